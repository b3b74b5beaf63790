"""Rehearsals that several tests look at; each is run once a worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.clock import parse_time
from engine.rehearsal.run import RehearsalRequest, Rehearsed, rehearse

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config/prod_candidate_R1.yaml"
RULES = ROOT / "config/prod_scale_rules_R1.yaml"


def request(out: Path, **changes: object) -> RehearsalRequest:
    values: dict[str, object] = {
        "config": CONFIG,
        "rules": RULES,
        "out": out,
        "seed": 7,
        "days": 366,
        "data": None,
        "klines": "klines",
        "from_ms": None,
        "to_ms": None,
        "stage": 3,
        "approve": "all",
        "command": "stagegate rehearse",
    }
    return RehearsalRequest(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def terra_and_ftx(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    """The real year 2022-03-01 to 2023-03-01 (Terra, FTX) from Stage 3, approvals given."""
    out = tmp_path_factory.mktemp("real")
    plan = request(
        out,
        data=real_data,
        klines="klines_composite",
        from_ms=parse_time("2022-03-01"),
        to_ms=parse_time("2023-03-01"),
    )
    return rehearse(plan, lambda _: None, report=False)


@pytest.fixture(scope="session")
def demo_year(tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    """The year of `make demo`: synthetic, seed 7, with a crash that hits a hard stop."""
    return rehearse(request(tmp_path_factory.mktemp("demo")), lambda _: None)
