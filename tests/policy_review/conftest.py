"""A small bundle in a git repository of its own, with fixed dates: the same change has the same commits everywhere."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.clock import DAY_MS, parse_time
from engine.ledger import FactsSnapshot, Ledger
from engine.policy.facts import MISSING, OK, Fact
from engine.policy.load import parse_policy, parse_vocabulary
from engine.posted import facts_document

if TYPE_CHECKING:
    from engine.policy.model import Policy, Vocabulary

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(__file__).parent / "data"
GIT = shutil.which("git") or "git"
RULES = Path("rules/bundle.yaml")
START_MS = parse_time("2024-03-01")

VOCABULARY = parse_vocabulary((DATA / "facts.yaml").read_bytes(), "facts.yaml")
ACTION = (DATA / "action.yaml").read_text()
STAGES = (DATA / "stages.yaml").read_text()


def edited(text: str, old: str, new: str) -> str:
    assert old in text, f"`{old}` is not in the file"
    return text.replace(old, new, 1)


def action(old: str = "", new: str = "", vocabulary: Vocabulary = VOCABULARY) -> Policy:
    """The small action policy, with one edit."""
    text = edited(ACTION, old, new) if old else ACTION
    return parse_policy(text.encode(), "action.yaml", vocabulary)


@dataclass(frozen=True)
class Repository:
    """A git repository on disk."""

    folder: Path

    def git(self, *arguments: str) -> str:
        date = "2024-01-02T03:04:05+00:00"
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_DATE": date,
        }
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            [GIT, *identity, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / "rules" / name
        path.write_text(edited(path.read_text(), old, new))

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")


def make_repository(folder: Path) -> Repository:
    """The small bundle, committed on `main`; on `change` nothing has happened yet."""
    repository = Repository(folder)
    rules = folder / "rules"
    shutil.copytree(DATA, rules)
    config = (ROOT / "config/prod_candidate_R1.yaml").read_bytes()
    (rules / "config.yaml").write_bytes(config)
    bundle = rules / "bundle.yaml"
    bundle.write_text(edited(bundle.read_text(), "PINNED", hashlib.sha256(config).hexdigest()))
    repository.git("init", "--quiet", "--initial-branch", "main")
    repository.commit("Small policies")
    repository.git("switch", "--quiet", "--create", "change")
    return repository


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    made = make_repository(tmp_path / "repository")
    monkeypatch.chdir(made.folder)
    return made


def write_history(path: Path, drawdowns: list[float | None], sharpe: float = 0.5, kind: str = "paper") -> Path:
    """A ledger of days on which only the drawdown moves; None: no value."""
    with Ledger.open(path, create=True) as ledger:
        ledger.set_meta(kind=kind, created_at_ms=START_MS)
        for day, drawdown in enumerate(drawdowns, 1):
            at_ms = START_MS + day * DAY_MS
            facts = {
                "drawdown": Fact("drawdown", drawdown, MISSING if drawdown is None else OK, at_ms),
                "sharpe_20d": Fact("sharpe_20d", sharpe, OK, at_ms),
                "equity_age": Fact("equity_age", 0.0, OK, at_ms),
            }
            ledger.append(FactsSnapshot.of(at_ms, facts_document(facts), day_close=True))
    return path
