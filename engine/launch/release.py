"""The rules that decide a launch, read also where the frozen configuration is not the one that they were signed with.

Nothing else may run on a broken bundle (`load_bundle` refuses it); the launch guard must, to say so as a verdict.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.documents import read_document
from engine.errors import PolicyError
from engine.launch_word import LAUNCH
from engine.ledger.rows import StoredDocument
from engine.policy.bundle import bundle_duration_ms, load_bundle
from engine.policy.load import load_policy, load_vocabulary
from engine.policy.schema import Findings
from engine.verdict import bundle_documents, bundle_hashes

if TYPE_CHECKING:
    from pathlib import Path

    from engine.ledger.rows import Row
    from engine.policy.bundle import Bundle
    from engine.policy.model import Policy

STAGES = "stages"
_CONFIG_HASH = "config-hash"


@dataclass(frozen=True)
class Rules:
    """What decides a launch.

    Attributes:
        path: of the bundle.
        policy: the launch policy.
        stages: the stages and their caps.
        config: the frozen configuration to be launched.
        pinned_sha256: which configuration the bundle was signed with; empty: it does not say.
        config_sha256: of the file at `config`; empty where it cannot be read.
        unreadable: why it cannot.
        broken: why the bundle is not whole; empty where it is.
        digest: what people sign; empty where the bundle is not whole.
        request_valid_ms: how long what people are asked to sign waits for them.
        hashes: recorded with the verdict.
        documents: recorded beside it, so that it can be replayed.
    """

    path: Path
    policy: Policy
    stages: Policy
    config: Path
    pinned_sha256: str
    config_sha256: str
    unreadable: str
    broken: str
    digest: str
    request_valid_ms: int
    hashes: dict[str, str] = field(repr=False)
    documents: tuple[Row, ...] = field(repr=False)


def read_rules(path: Path, config: Path | None = None) -> Rules:
    """Return the rules of a bundle.

    Args:
        path: of the bundle.
        config: what is to be launched; None: the configuration that the bundle names.

    Raises:
        PolicyError: the bundle or a policy is wrong in any other way than that its configuration was changed.
    """
    try:
        bundle = load_bundle(path, only=(LAUNCH, STAGES))
    except PolicyError as error:
        if {problem.code for problem in error.problems} != {_CONFIG_HASH}:
            raise
        return _broken(path, config, error.problems[0].problem)
    return _whole(bundle, config or bundle.config_path)


def _whole(bundle: Bundle, config: Path) -> Rules:
    raw, unreadable = _read(config)
    sha256 = _sha256(raw)
    return Rules(
        path=bundle.path,
        policy=bundle.policies[LAUNCH],
        stages=bundle.policies[STAGES],
        config=config,
        pinned_sha256=bundle.config_sha256,
        config_sha256=sha256,
        unreadable=unreadable,
        broken="",
        digest=bundle.digest,
        request_valid_ms=bundle.request_valid_ms,
        hashes={**bundle_hashes(bundle), "config": sha256},
        documents=(*bundle_documents(bundle), *_stored(config, raw)),
    )


def _broken(path: Path, config: Path | None, why: str) -> Rules:
    document = read_document(path, error=PolicyError)
    data: dict[str, Any] = document.data
    vocabulary = load_vocabulary(path.parent / data["vocabulary"])
    policy, stages = (load_policy(path.parent / data["policies"][name], vocabulary) for name in (LAUNCH, STAGES))
    config = config or path.parent / data["config"]["path"]
    raw, unreadable = _read(config)
    return Rules(
        path=path,
        policy=policy,
        stages=stages,
        config=config,
        pinned_sha256=str(data["config"]["sha256"] or ""),
        config_sha256=_sha256(raw),
        unreadable=unreadable,
        broken=why,
        digest="",
        request_valid_ms=bundle_duration_ms(Findings(document), "requests_valid_for"),
        hashes={"bundle": document.sha256, "config": _sha256(raw), "digest": ""},
        documents=(
            StoredDocument.of("policy", policy.source, policy.text),
            StoredDocument.of("vocabulary", vocabulary.source, vocabulary.text),
            StoredDocument.of("bundle", str(path), document.text),
            *_stored(config, raw),
        ),
    )


def _read(config: Path) -> tuple[bytes, str]:
    try:
        return config.read_bytes(), ""
    except OSError as error:
        return b"", f"{config}: cannot be read: {(error.strerror or str(error)).lower()}"


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest() if raw else ""


def _stored(config: Path, raw: bytes) -> tuple[StoredDocument, ...]:
    return (StoredDocument.of("config", str(config), raw.decode(errors="replace")),) if raw else ()
