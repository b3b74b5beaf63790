"""`policy doc`: everything a bundle says, in tables that a risk committee can read and sign.

Made from the policies alone: the same files give the same text, so the copy in the repository is checked to be current.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from engine.documents import parse_document
from engine.errors import PolicyError
from engine.policy.guard_times import ABOUT
from engine.policy.model import FLAG
from engine.policy.notation import duration_words, printed
from engine.policy.words import band_words, effects_words, gap_words, rule_notes, span_words, when_words
from engine.reports.numbers import MINUS, count, percent, usd
from engine.reports.tables import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from decimal import Decimal

    from engine.documents import Document, Key
    from engine.policy.bundle import Bundle
    from engine.policy.model import FactSpec, Parameter, Policy, Rule
    from engine.reports.tables import Table

SIGNATURES = 4  # empty rows: more than any policy asks for

_ID = re.compile(r"\b[RA][0-9]{2,3}\b")
_UNITS = {"one of": "a word", FLAG: "yes or no"}
_SUFFIXES = {"percent": " %", "multiple": "\N{MULTIPLICATION SIGN}"}
_READING = (
    """
    A rule fires when its condition is true. A fact without a value (young, stale, missing or invalid) makes a
    comparison unknown, and unknown is not true. “Unless” turns this around: such a rule fires where its condition is
    false or unknown, so that a check which could not be made has failed.
    """,
    """
    All rules are judged at every verdict; of the outcomes that fired rules ask for, the most severe one counts. A day
    is a complete day in UTC. A word after a dollar sign is the name of a parameter. R and A numbers are requirements
    of the SOP and resolutions of its open questions.
    """,
)


@dataclass(frozen=True)
class Part:
    """A table with its heading."""

    title: str
    table: Table


@dataclass(frozen=True)
class Chapter:
    """A policy, the vocabulary, or what belongs to the whole bundle.

    Attributes:
        name: unique in the document.
        title: its heading.
        source: its file, and that file's hash.
        texts: paragraphs.
        parts: tables.
    """

    name: str
    title: str
    source: str
    texts: tuple[str, ...]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Reference:
    """The policy reference of a bundle, ready for its templates.

    Attributes:
        title: of the document.
        lead: what it holds, in a sentence.
        reading: how to read it.
        chapters: the policies in the order of the bundle, then what they share.
        hashes: of every file, in full.
        signatures: lines to sign on.
    """

    title: str
    lead: str
    reading: tuple[str, ...]
    chapters: tuple[Chapter, ...]
    hashes: Table
    signatures: Table


def policy_reference(bundle: Bundle) -> Reference:
    """Return the reference of a bundle."""
    policies = bundle.policies.values()
    rules = sum(len(policy.rules) for policy in policies)
    parts = (
        count(len(policies), "policy", "policies"),
        count(rules, "rule"),
        count(len(bundle.vocabulary.facts), "fact"),
    )
    return Reference(
        title=f"Policy reference {bundle.name}",
        lead=f"{', '.join(parts)}. Made by “stagegate policy doc” from the files at the end; not to be edited.",
        reading=tuple(" ".join(text.split()) for text in _READING),
        chapters=(*(policy_chapter(policy) for policy in policies), _shared_chapter(bundle)),
        hashes=table("file | =SHA-256", _hashes(bundle)),
        signatures=table("name | role | date | signature", [("", "", "", "")] * SIGNATURES),
    )


def reference_markdown(reference: Reference) -> str:
    """Return the reference in Markdown; text from the files is escaped."""
    from engine.reports.page import render  # noqa: PLC0415 - keeps the command line fast

    return render("policy_reference.md.j2", reference=reference)


def reference_html(reference: Reference) -> str:
    """Return the reference as one HTML page that fetches nothing and prints well; every text is escaped."""
    from engine.reports.page import render  # noqa: PLC0415 - keeps the command line fast

    return render("policy_reference.html.j2", reference=reference)


def policy_chapter(policy: Policy) -> Chapter:
    """Return all that a policy decides."""
    document = _document(policy.text, policy.source)
    parts = (
        _outcomes(policy),
        _episodes(policy),
        _stages(policy),
        _bands(policy, document),
        _rules(policy),
        _parameters("Parameters", policy.parameters.values(), document, _readers(policy)),
        _facts("Facts it reads", [policy.vocabulary.facts[name] for name in policy.facts]),
    )
    return Chapter(
        name=policy.name,
        title=policy.title,
        source=_source(policy.source, policy.sha256),
        texts=_purpose(policy.text),
        parts=tuple(part for part in parts if part is not None),
    )


def _shared_chapter(bundle: Bundle) -> Chapter:
    """Return what belongs to all policies: assumptions, shared parameters, and facts that none of them reads."""
    vocabulary = bundle.vocabulary
    document = _document(vocabulary.text, vocabulary.source)
    readers: dict[str, list[str]] = {}
    for policy in bundle.policies.values():
        for name, rules in _readers(policy).items():
            readers.setdefault(name, []).extend(f"{policy.name}: {rule}" for rule in rules)
    read = {name for policy in bundle.policies.values() for name in policy.facts}
    assumptions = [
        ("dead band of a rebalance", percent(100 * bundle.rebalance_dead_band_ratio, 2).replace(".00", "")),
        ("age from which a decision only reduces", duration_words(bundle.decision_valid_ms)),
        ("time that what people are asked to sign waits for them", duration_words(bundle.request_valid_ms)),
        ("the same of a promotion", duration_words(bundle.promotion_valid_ms)),
        ("the same of an adoption", duration_words(bundle.adoption_valid_ms)),
        ("cash that venue and ledger may differ by", usd(bundle.balance_tolerance_usd)),
        *((ABOUT[key], words) for key, words in (bundle.guard_times.in_words() if bundle.guard_times else {}).items()),
        ("periods of a year", str(bundle.periods_per_year)),
        ("risk-free rate", percent(100 * bundle.risk_free_rate_ratio, 2).replace(".00", "")),
    ]
    parts = (
        Part("Assumptions of the bundle", table("assumption | #value", assumptions)),
        _parameters("Parameters that several policies read", vocabulary.parameters.values(), document, readers),
        _facts("Facts that no policy reads", [spec for name, spec in vocabulary.facts.items() if name not in read]),
    )
    return Chapter(
        name="shared",
        title="What the policies share",
        source=_source(vocabulary.source, vocabulary.sha256),
        texts=(),
        parts=tuple(part for part in parts if part is not None),
    )


def _outcomes(policy: Policy) -> Part | None:
    if not policy.outcomes:
        return None
    rows = []
    for rank, name in enumerate(policy.outcomes, 1):
        does = list(effects_words(policy.effects[name])) if name in policy.effects else []
        does += ["raises the risk"] if name in policy.promotes else []
        does += ["stands where no rule fires"] if name == policy.otherwise else []
        rows.append((str(rank), name, _listed(does) or "changes nothing", str(policy.exit_codes.get(name, ""))))
    return Part("Outcomes, most severe first", table("#rank | !outcome | what it does | #exit code", rows))


def _episodes(policy: Policy) -> Part | None:
    rows = [
        (
            kind,
            ", ".join(rule.name for rule in policy.rules.values() if rule.episode == kind),
            _listed(effects_words(effects)),
        )
        for kind, effects in policy.episodes.items()
    ]
    return Part("Episodes of their own", table("=episode | rules | how it ends", rows)) if rows else None


def _stages(policy: Policy) -> Part | None:
    rows = []
    for stage in policy.stages.values():
        up = f"to {stage.promote.to}, {count(stage.promote.approvals, 'approval')}" if stage.promote else "none"
        down = f"to {stage.abort.to}{', flat first' if stage.abort.flatten else ''}" if stage.abort else "none"
        restart = f"to {stage.restart_at}"
        cap = usd(stage.cap_usd, 0)
        rows.append((str(stage.number), stage.title, cap, count(stage.min_days, "day"), up, down, restart))
    heads = "#stage | title | #cap | #at least | promotion | abort | restart"
    return Part("Stages", table(heads, rows)) if rows else None


def _bands(policy: Policy, document: Document) -> Part | None:
    rows = []
    for name, band in policy.bands.items():
        spec = policy.vocabulary.facts[name]
        words = band_words(band, spec)
        rows.append((name, spec.title, words.green, words.yellow, words.red, _ids(document, ("bands", name))))
    return Part("Bands", table("=fact | title | green | yellow | red | refs", rows)) if rows else None


def _rules(policy: Policy) -> Part | None:
    """Return the rules; columns in which no rule says anything are left out."""
    rules = policy.rules.values()
    columns = {
        "=rule": [rule.name for rule in rules],
        "check": [rule.severity for rule in rules],
        "!outcome": [rule.outcome for rule in rules],
        "fires": [". ".join((when_words(rule, policy), *_notes(rule))) for rule in rules],
        "for": ["; ".join((span_words(rule.span), gap_words(rule))) if rule.span else "" for rule in rules],
        "because": [rule.because for rule in rules],
        "cure": [rule.cure for rule in rules],
        "refs": [" ".join(rule.refs) for rule in rules],
    }
    told = {head: cells for head, cells in columns.items() if any(cells)}
    if not told:
        return None
    return Part("Rules", table(" | ".join(told), list(zip(*told.values(), strict=True))))


def _notes(rule: Rule) -> tuple[str, ...]:
    notes = _listed(rule_notes(rule))
    return (notes,) if notes else ()


def _parameters(
    title: str, parameters: Iterable[Parameter], document: Document, readers: dict[str, list[str]]
) -> Part | None:
    rows = [
        (
            parameter.name,
            parameter.about,
            printed(parameter.value),
            f"{printed(parameter.low)} to {printed(parameter.high)}",
            ", ".join(readers.get(parameter.name, [])),
            _ids(document, ("parameters", parameter.name)),
        )
        for parameter in parameters
    ]
    return Part(title, table("=name | what it is | #value | range | read by | refs", rows)) if rows else None


def _facts(title: str, specs: Sequence[FactSpec]) -> Part | None:
    rows = [_fact(spec) for spec in specs if spec.difference is None]
    heads = "=fact | title | unit | worse | range | #step | #stale after | where it comes from"
    return Part(title, table(heads, rows)) if rows else None


def _fact(spec: FactSpec) -> tuple[str, ...]:
    unit = _UNITS.get(spec.unit, spec.unit)
    if spec.choices:
        values, step = ", ".join(spec.choices), ""
    else:
        values = f"{_value(spec, spec.low * spec.resolution)} to {_value(spec, spec.high * spec.resolution)}"
        step = _value(spec, spec.resolution)
    return (spec.name, spec.title, unit, spec.worse, values, step, duration_words(spec.max_age_ms), spec.source)


def _value(spec: FactSpec, value: Decimal) -> str:
    """Return a number of the fact's unit, thousands apart; the column beside it names most units."""
    text = f"{value.normalize():,f}".replace("-", MINUS)
    return text + _SUFFIXES.get(spec.unit, "")


def _readers(policy: Policy) -> dict[str, list[str]]:
    """Return what reads each parameter: bands and rules."""
    from engine.policy.difference.firing import compares  # noqa: PLC0415 - belongs to the review, not to every report

    found: dict[str, list[str]] = {}
    for band in policy.bands.values():
        for edge in (band.green, band.red):
            found.setdefault(edge.parameter, []).append(f"band {band.fact}")
    for rule in policy.rules.values():
        for name in dict.fromkeys(compare.parameter for compare in compares(rule.when)):
            found.setdefault(name, []).append(rule.name)
    return found


def _purpose(text: str) -> tuple[str, ...]:
    """Return the comment at the head of a file, which says what the policy is for."""
    lines = []
    for line in text.lstrip("\ufeff").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("#").strip())
    return tuple(" ".join(paragraph.split("\n")) for paragraph in "\n".join(lines).split("\n\n") if paragraph.strip())


@lru_cache(maxsize=16)
def _document(text: str, name: str) -> Document:
    """Return the places of a file that was loaded before: the ids of bands and parameters stand in its comments."""
    return parse_document(text.encode(), name, error=PolicyError)


def _ids(document: Document, path: Key) -> str:
    return " ".join(dict.fromkeys(_ID.findall(document.comment(path))))


def _hashes(bundle: Bundle) -> list[tuple[str, str]]:
    """Return the hash of every file, and the one of them all."""
    files = [(_file(str(path)), sha256) for path, sha256 in bundle.files.items()]
    return [*files, ("all of these: the digest", bundle.digest)]


def _source(name: str, sha256: str) -> str:
    return f"{_file(name)} · SHA-256 {sha256}"


def _file(name: str) -> str:
    """Return a path as it stands in the repository, whatever folder it was read from."""
    return "/".join(Path(name).parts[-2:])


def _listed(phrases: Iterable[str]) -> str:
    text = "; ".join(phrases)
    return text[:1].upper() + text[1:] if text else ""
