"""The typed model of the policy language: what every backend reads, and nothing else.

No YAML, no I/O, no quirk of any engine. Values and thresholds are whole numbers of steps of the fact's resolution, so
a comparison is exact. Truth is three-valued (Kleene): True, False, and None for unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.policy.effects import Effects

Truth = bool | None
Operator = Literal[">", ">=", "<", "<=", "=", "!="]
Colour = Literal["green", "yellow", "red"]
Gap = Literal["breaks", "holds", "counts"]
Worse = Literal["higher", "lower", "neither"]

ONE_OF = "one of"
FLAG = "flag"
UNITS = ("ratio", "percent", "multiple", "usd", "bps", "minutes", "days", "count", "ms", FLAG, ONE_OF)

HARD, SOFT = "HARD", "SOFT"
PROMOTE, ABORT = "PROMOTE", "ABORT"  # the outcomes of a stage policy
STAGE, DAYS_IN_STAGE = "stage", "days_in_stage"  # the facts that every stage reads


@dataclass(frozen=True)
class Difference:
    """`left` − `right` in common steps: each one's steps times its scale. Unknown where one of the two is."""

    left: str
    right: str
    left_scale: int = 1
    right_scale: int = 1


@dataclass(frozen=True)
class FactSpec:
    """One fact as the vocabulary declares it.

    Attributes:
        name: how rules call it.
        title: what people read.
        unit: one of `UNITS`.
        worse: which way is bad.
        low: the least step a value may have (value ÷ resolution).
        high: the greatest.
        resolution: the size of one step, in the unit (percent: 0.0001 is a ten-thousandth of a point).
        max_age_ms: a value older than this is stale.
        source: where it comes from, in words.
        choices: the words of a `one of` or a `flag`; the value is the index of the word.
        difference: the two facts whose difference this is, where no one posts it: a comparison of facts needs it.
    """

    name: str
    title: str
    unit: str
    worse: Worse
    low: int
    high: int
    resolution: Decimal
    max_age_ms: int
    source: str
    choices: tuple[str, ...] = ()
    difference: Difference | None = None

    @cached_property
    def lowest(self) -> float:
        """Half a step below the range: no lower value can round into it."""
        return float((self.low - Decimal("0.5")) * self.resolution)

    @cached_property
    def highest(self) -> float:
        """Half a step above the range."""
        return float((self.high + Decimal("0.5")) * self.resolution)

    @cached_property
    def places(self) -> int | None:
        """How many decimals a value has, where the resolution is a power of ten below 10; else None."""
        places = -int(self.resolution.normalize().as_tuple().exponent)
        return places if places >= 0 and self.resolution == Decimal(1).scaleb(-places) else None

    @cached_property
    def whole(self) -> bool:
        """Whether only whole numbers make sense."""
        return self.unit == "count"

    @cached_property
    def per_unit(self) -> int:
        """How many steps make one unit where that is a whole number, else 0."""
        inverse = 1 / self.resolution
        return int(inverse) if inverse == inverse.to_integral_value() else 0


@dataclass(frozen=True)
class Vocabulary:
    """Every fact that a rule may read.

    Attributes:
        name: of the vocabulary.
        facts: by name, in the order of the file.
        sha256: of the file.
        source: the file, as the user named it.
        text: the file's whole text, for the record.
        parameters: thresholds that several policies share, by name.
    """

    name: str
    facts: Mapping[str, FactSpec]
    sha256: str
    source: str
    text: str = field(repr=False, default="")
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Compare:
    """`fact` against a constant, in steps; unknown where the fact has no value.

    `text` is what people read (``> 12%``), `parameter` the name of the parameter that gave the constant, if one did.
    """

    fact: str
    operator: Operator
    steps: int
    text: str = field(compare=False, default="")
    parameter: str = field(compare=False, default="")


@dataclass(frozen=True, slots=True)
class Unknown:
    """True where `fact` has no value, else False; never unknown itself."""

    fact: str


@dataclass(frozen=True, slots=True)
class BandIs:
    """True where the band of `fact` shows `colour`; unknown where the fact has no value.

    An empty `fact` stands for the band that ``each: band`` goes through.
    """

    fact: str
    colour: Colour


@dataclass(frozen=True, slots=True)
class All:
    """Kleene's and: False if one part is, else unknown if one part is, else True."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Kleene's or: True if one part is, else unknown if one part is, else False."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Kleene's not: unknown stays unknown."""

    part: Condition


Condition = Compare | Unknown | BandIs | All | AnyOf | Not


@dataclass(frozen=True)
class Band:
    """Green and red of one fact; a value that is neither is yellow, no value is unknown."""

    fact: str
    green: Compare
    red: Compare


@dataclass(frozen=True)
class Span:
    """``for: 4 days`` (days 4, of None) or ``for: 3 of 5 days`` (days 3, of 5); complete UTC days."""

    days: int
    of: int | None = None


@dataclass(frozen=True)
class Rule:
    """A rule as it is written.

    Attributes:
        name: of the rule.
        outcome: what it asks for.
        when: the condition.
        span: for how many days, or None: at once.
        gap: what a day of unknown truth does inside `span`.
        each_band: whether it stands for one rule a band.
        effects: of this rule alone, beside those of the outcome.
        episode: the kind of episode it belongs to; empty: the outcome's own.
        because: the reason in words.
        refs: the ids of requirements and resolutions it implements, from the comment on its line.
        where: file:line:column.
        unless: the condition as written with `unless`, of which `when` is the expansion; None with `when`.
        severity: ``HARD`` or ``SOFT`` where the rule is a check; else empty.
        cure: what a person does about it; may be empty.
        enabled: a rule that is not is read and shown, but never fires.
    """

    name: str
    outcome: str
    when: Condition
    span: Span | None
    gap: Gap
    each_band: bool
    effects: Effects
    episode: str
    because: str
    refs: tuple[str, ...]
    where: str = field(compare=False, default="")
    unless: Condition | None = field(compare=False, default=None)
    severity: str = ""
    cure: str = ""
    enabled: bool = True


@dataclass(frozen=True)
class Instance:
    """One rule that can fire: a rule, or one of those that ``each: band`` stands for.

    Attributes:
        id: ``drawdown_red``, or ``yellow_too_long[sharpe_20d]``.
        rule: as written.
        band: the fact whose band it is about; empty without `each`.
        when: the rule's condition with the band put in.
    """

    id: str
    rule: Rule
    band: str
    when: Condition

    @property
    def outcome(self) -> str:
        """What it asks for."""
        return self.rule.outcome

    @property
    def effects(self) -> Effects:
        """The effects of this rule alone."""
        return self.rule.effects

    @property
    def episode(self) -> str:
        """The kind of episode it belongs to; empty: the outcome's own."""
        return self.rule.episode

    @property
    def span(self) -> Span | None:
        """For how many days, or None: at once."""
        return self.rule.span

    @cached_property
    def days_key(self) -> str:
        """The name under which a snapshot holds the days counted for it."""
        return f"days {self.id}"


@dataclass(frozen=True)
class Parameter:
    """A threshold with a name: its value and range as written, and what it is about."""

    name: str
    value: str
    low: str
    high: str
    about: str


@dataclass(frozen=True)
class Promotion:
    """What leads up from a stage: where to, how many people must agree, and the rule that asks for it."""

    to: int
    approvals: int
    rule: str


@dataclass(frozen=True)
class Abort:
    """What ends a stage: where to, whether the book is flattened, and the rules of which any one is enough."""

    to: int
    flatten: bool
    rules: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """One stage of the rollout: its cap, the least days in it, where a restart out of it leads, and the ways out."""

    number: int
    cap_usd: Decimal
    min_days: int
    restart_at: int
    title: str = ""
    promote: Promotion | None = None
    abort: Abort | None = None


@dataclass(frozen=True)
class Policy:
    """A whole policy.

    Attributes:
        name: ``action``, ``stages``, …
        title: what people read.
        vocabulary: the facts it may read.
        outcomes: most severe first.
        otherwise: the outcome where no rule fires; empty where the policy has no rules.
        promotes: outcomes that raise the risk: an unknown day breaks their streaks.
        parameters: by name.
        bands: by fact.
        rules: as written, by name.
        instances: what can fire, in the order of the file.
        effects: by outcome.
        episodes: by kind, for kinds other than an outcome.
        exit_codes: by outcome.
        stages: by number; empty in all policies but the stages'.
        sha256: of the file.
        source: the file, as the user named it.
        text: the file's whole text, for the record.
    """

    name: str
    title: str
    vocabulary: Vocabulary
    outcomes: tuple[str, ...]
    otherwise: str
    promotes: tuple[str, ...]
    parameters: Mapping[str, Parameter]
    bands: Mapping[str, Band]
    rules: Mapping[str, Rule]
    instances: tuple[Instance, ...]
    effects: Mapping[str, Effects]
    episodes: Mapping[str, Effects]
    exit_codes: Mapping[str, int]
    stages: Mapping[int, Stage]
    sha256: str
    source: str
    text: str = field(repr=False, default="")

    @cached_property
    def facts(self) -> tuple[str, ...]:
        """The facts that its rules and bands read, in the vocabulary's order."""
        read = {fact for instance in self.instances for fact in facts_of(instance.when)} | set(self.bands)
        specs = self.vocabulary.facts
        read |= {fact for name in read for fact in compared_facts(name, specs)}
        return tuple(name for name in specs if name in read)

    @cached_property
    def timed(self) -> tuple[Instance, ...]:
        """The instances with a span, in the order of the file."""
        return tuple(instance for instance in self.instances if instance.span)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The keys of every snapshot of this policy: facts, then counted days."""
        return (*self.facts, *(instance.days_key for instance in self.timed))

    @cached_property
    def by_id(self) -> Mapping[str, Instance]:
        """The instances by id."""
        return {instance.id: instance for instance in self.instances}


@dataclass(frozen=True)
class Snapshot:
    """What both engines read: one whole number, or None where it is unknown, for each of `Policy.inputs`.

    Attributes:
        at_ms: the moment it describes.
        values: steps of facts, and counted days under `Instance.days_key`.
    """

    at_ms: int
    values: dict[str, int | None]


def facts_of(condition: Condition) -> tuple[str, ...]:
    """Return the facts that a condition reads, each once, in the order of reading."""
    if isinstance(condition, All | AnyOf):
        return tuple(dict.fromkeys(fact for part in condition.parts for fact in facts_of(part)))
    if isinstance(condition, Not):
        return facts_of(condition.part)
    return (condition.fact,) if condition.fact else ()


def compared_facts(name: str, specs: Mapping[str, FactSpec]) -> tuple[str, ...]:
    """Return the posted facts behind a fact: itself, or the two whose difference it is."""
    difference = specs[name].difference if name in specs else None
    return (name,) if difference is None else (difference.left, difference.right)


def in_band(condition: Condition, fact: str) -> Condition:
    """Return `condition` with the band that ``each: band`` goes through put in."""
    if isinstance(condition, All | AnyOf):
        return type(condition)(tuple(in_band(part, fact) for part in condition.parts))
    if isinstance(condition, Not):
        return Not(in_band(condition.part, fact))
    if isinstance(condition, BandIs) and not condition.fact:
        return BandIs(fact, condition.colour)
    return condition
