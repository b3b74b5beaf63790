"""`policy schema`: JSON Schema (2020-12) for editors, which complete names and mark mistakes while a file is written.

The shapes are those that the loader checks; facts come from the vocabulary, and the patterns of comparisons from their
units. A schema sees one value at a time: what needs two (a band with a gap, an outcome without a rule) is left to
``policy check``.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from engine.policy.conditions import COLOURS, RESERVED
from engine.policy.editor.shape import shape, whole
from engine.policy.editor.values import (
    DURATION,
    NUMBER,
    SPAN,
    comparison,
    condition_of,
    effects,
    quantity,
    series,
    words,
)
from engine.policy.guard_times import ABOUT as GUARD_ABOUT
from engine.policy.guard_times import DURATION as GUARD_DURATION
from engine.policy.guard_times import KEYS
from engine.policy.model import FLAG, ONE_OF, UNITS
from engine.policy.schema import BUNDLE, OUTCOME, POLICY, SHA256, VALIDITIES, VOCABULARY
from engine.policy.testing.casefile import CASES
from engine.policy.testing.declared import DECLARED

if TYPE_CHECKING:
    from pathlib import Path

    from engine.policy.bundle import Bundle
    from engine.policy.editor.shape import Schema
    from engine.policy.model import FactSpec, Vocabulary

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = "docs/schemas"

_DAY = r"[1-9][0-9]{0,3}"
_DAYS = rf"(?:@{_DAY}(?:-{_DAY})?)?"
_RESERVED_EXITS = [1, 2]  # of the command line itself
# stages that nothing leads out of have no outcomes
_WITHOUT_WAYS = {"properties": {"stages": {"additionalProperties": {"properties": {"promote": False, "abort": False}}}}}
_TITLES = {
    "policy": "A policy: outcomes, bands, rules and effects",
    "vocabulary": "The vocabulary: every fact that a rule may read",
    "bundle": "A bundle: the policies of a release, and what they were signed with",
    "policy-test": "Policy tests: days of facts, and what the policy makes of them",
}
_ABOUT = {
    "outcomes": "most severe first; of the outcomes that rules ask for, the most severe one counts",
    "otherwise": "the outcome where no rule fires",
    "promotes": "outcomes that raise the risk: a day without data breaks their streaks",
    "parameters": "thresholds with a name and a range; a comparison reads one as `$name`",
    "bands": "green and red of a fact; a value that is neither is yellow, no value is unknown",
    "rules": "each asks for an outcome when its condition is true",
    "effects": "what an outcome does",
    "episodes": "kinds of episodes that end otherwise than their outcome's",
    "exit": "the command line's exit code for each outcome",
    "stages": "the staged rollout: caps, least days, ways up and down",
}
_RULE_ABOUT = {
    "enabled": "no: the rule is shown, but never fires",
    "severity": "HARD or SOFT: the rule is a check of a launch",
    "each": "one rule for each band; the condition reads `band`",
    "when": "fires where this is true",
    "unless": "fires where this is false or unknown",
    "for": "3 days, or 3 of 5 days: true on so many complete UTC days",
    "gap": "what a day of unknown truth does to the days counted",
    "effects": "of this rule alone, beside those of its outcome",
    "because": "the reason, in words",
    "cure": "what a person does about it",
}


def policy_schema(vocabulary: Vocabulary) -> Schema:
    """Return the schema of a policy on the facts of `vocabulary`."""
    facts = [spec for spec in vocabulary.facts.values() if spec.difference is None]
    schema = shape(POLICY)
    of = schema["properties"]
    outcome = {"type": "string", "pattern": whole(OUTCOME)}
    of["otherwise"] = outcome
    of["promotes"]["items"] = outcome
    _parameters(of)
    of["bands"] = _bands(facts)
    _rule(of["rules"]["additionalProperties"], outcome)
    for name in ("effects", "episodes"):
        of[name]["additionalProperties"] = _ref("effects")
    of["effects"]["propertyNames"] = of["exit"]["propertyNames"] = outcome
    of["exit"]["additionalProperties"]["not"] = {"enum": _RESERVED_EXITS}
    of["outcomes"]["uniqueItems"] = True
    _stages(of["stages"])
    _describe(of, _ABOUT)
    schema["anyOf"] = [{"required": ["rules"]}, {"required": ["stages"]}]
    schema["if"] = {"anyOf": [{"required": ["rules"]}, {"required": ["stages"], "not": _WITHOUT_WAYS}]}
    schema["then"] = {"required": ["outcomes", "otherwise", "effects", "exit"]}
    schema["$defs"] = {"condition": _condition(facts), "effects": effects(), **_comparisons(facts)}
    return _titled("policy", schema)


def vocabulary_schema() -> Schema:
    """Return the schema of a vocabulary."""
    schema = shape(VOCABULARY)
    of = schema["properties"]
    _parameters(of)
    of["facts"]["propertyNames"]["not"] = {"enum": list(RESERVED)}
    fact = of["facts"]["additionalProperties"]
    one_of = {"type": "string", "pattern": r"^one of \[[^\[\],]+(?:,[^\[\],]+)+\]$"}
    fact["properties"]["unit"] = {"anyOf": [{"enum": [unit for unit in UNITS if unit != ONE_OF]}, one_of]}
    fact["properties"]["max_age"] = {"type": "string", "pattern": whole(DURATION)}
    fact["properties"]["resolution"]["exclusiveMinimum"] = 0
    no_numbers = {"properties": {"range": False, "resolution": False}}
    fact["if"] = {"properties": {"unit": {"anyOf": [{"const": FLAG}, one_of]}}, "required": ["unit"]}
    fact["then"], fact["else"] = no_numbers, {"required": ["range", "resolution"]}
    return _titled("vocabulary", schema)


def bundle_schema() -> Schema:
    """Return the schema of a bundle."""
    schema = shape(BUNDLE)
    of = schema["properties"]
    of["config"]["properties"]["sha256"] = {"type": "string", "pattern": whole(SHA256)}
    share = {"type": "string", "pattern": whole(r"\s*[0-9]{1,2}(?:\.[0-9]{1,18})? ?%\s*")}
    execution = of["execution"]["properties"]
    execution["rebalance_dead_band"] = share
    for name in VALIDITIES:
        execution[name] = {"type": "string", "pattern": whole(DURATION)}
    for name in KEYS:
        execution["risk_guard"]["properties"][name] = {"type": "string", "pattern": whole(GUARD_DURATION)}
    _describe(execution["risk_guard"]["properties"], GUARD_ABOUT)
    execution["filters"]["properties"]["sha256"] = of["config"]["properties"]["sha256"]
    return _titled("bundle", schema)


def policy_test_schema(vocabulary: Vocabulary) -> Schema:
    """Return the schema of policy tests on the facts of `vocabulary`."""
    facts = [spec for spec in vocabulary.facts.values() if spec.difference is None]
    days = {spec.name: {**_ref(_kind(spec)), "description": _about(spec)} for spec in facts}
    schema = shape(CASES)
    schema["$defs"] = {
        "facts": {"type": "object", "properties": days, "additionalProperties": False},
        **{_kind(spec): series(spec) for spec in facts},
    }
    schema["properties"]["defaults"] = {"anyOf": [{"type": "string"}, _ref("facts")]}
    test = schema["properties"]["tests"]["items"]["properties"]
    test["facts"] = _ref("facts")
    test["expect"] |= {
        "properties": {section: {"type": ["object", "array"]} for section in DECLARED},
        "patternProperties": {
            whole(f"outcome{_DAYS}"): {"type": "string", "pattern": whole(words(OUTCOME))},
            whole(f"rules{_DAYS}"): {"type": "array", "items": {"type": "string"}},
        },
        "additionalProperties": False,
    }
    return _titled("policy-test", schema)


def schema_files(vocabulary: Vocabulary) -> dict[str, str]:
    """Return the text of each schema by the name of its file in `FOLDER`; the same vocabulary gives the same texts."""
    schemas = {
        "policy": policy_schema(vocabulary),
        "vocabulary": vocabulary_schema(),
        "bundle": bundle_schema(),
        "policy-test": policy_test_schema(vocabulary),
    }
    return {
        file_name(kind): json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for kind, schema in schemas.items()
    }


def file_name(kind: str) -> str:
    """Return the file of a schema: ``policy``, ``vocabulary``, ``bundle`` or ``policy-test``."""
    return f"{kind}.schema.json"


def modeline(kind: str, up: str = "..") -> str:
    """Return the first line of a file that tells an editor's YAML language server its schema; `up` leads to the root.

    >>> modeline("policy")
    '# yaml-language-server: $schema=../docs/schemas/policy.schema.json'
    """
    return f"# yaml-language-server: $schema={up}/{FOLDER}/{file_name(kind)}"


def editor_settings(bundle: Bundle) -> str:
    """Return ``.vscode/settings.json`` for the files of a bundle: the YAML extension then needs no first lines."""
    root = bundle.path.parent.parent
    files = {
        "policy": [_inside(policy.source, root) for policy in bundle.policies.values()],
        "vocabulary": [_inside(bundle.vocabulary.source, root)],
        "bundle": [_inside(str(bundle.path), root)],
        "policy-test": ["policies/tests/*.yaml"],
    }
    schemas = {f"./{FOLDER}/{file_name(kind)}": names for kind, names in files.items()}
    return json.dumps({"yaml.schemas": schemas}, indent=2) + "\n"


def _inside(name: str, root: Path) -> str:
    return os.path.relpath(name, root).replace(os.sep, "/")


def _titled(kind: str, schema: Schema) -> Schema:
    return {"$schema": DIALECT, "title": _TITLES[kind], **schema}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _describe(properties: Schema, about: dict[str, str]) -> None:
    for name, text in about.items():
        properties[name]["description"] = text


def _about(spec: FactSpec) -> str:
    unit = f"one of {', '.join(spec.choices)}" if spec.choices else spec.unit
    worse = "" if spec.worse == "neither" else f"; {spec.worse} is worse"
    return f"{spec.title} ({unit}{worse}): {spec.source}"


def _condition(facts: list[FactSpec]) -> Schema:
    """Return the schema of a condition: one key, which is a word of the language or a fact."""
    many = {"type": "array", "items": _ref("condition"), "minItems": 1}
    properties: dict[str, Any] = {
        "all": {**many, "description": "all of these hold"},
        "any": {**many, "description": "any of these holds"},
        "not": {**_ref("condition"), "description": "unknown stays unknown"},
        "band": {"enum": list(COLOURS), "description": "the band that `each: band` goes through"},
        "every_band": {"enum": list(COLOURS), "description": "all bands of this policy"},
    }
    properties |= {spec.name: {**_ref(_kind(spec)), "description": _about(spec)} for spec in facts}
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }


def _comparisons(facts: list[FactSpec]) -> Schema:
    """Return for each unit what may follow a fact in a condition, and what may be the edge of its band."""
    schemas: Schema = {}
    for spec in facts:
        alike = [other.name for other in facts if other.unit == spec.unit and not spec.choices]
        schemas.setdefault(_kind(spec), condition_of(spec, alike))
        schemas.setdefault(_edge(spec), comparison(spec))
    return schemas


def _kind(spec: FactSpec) -> str:
    """Return the name of the schema that facts of one unit (or of the same words) share."""
    return "-".join(spec.choices) if spec.unit == ONE_OF else spec.unit


def _edge(spec: FactSpec) -> str:
    return f"edge-{_kind(spec)}"


def _bands(facts: list[FactSpec]) -> Schema:
    bands = {
        spec.name: {
            "type": "object",
            "properties": {"green": _ref(_edge(spec)), "red": _ref(_edge(spec))},
            "additionalProperties": False,
            "required": ["green", "red"],
            "description": _about(spec),
        }
        for spec in facts
    }
    return {"type": "object", "properties": bands, "additionalProperties": False}


def _rule(rule: Schema, outcome: Schema) -> None:
    of = rule["properties"]
    of["outcome"] = outcome
    of["for"] = {"type": "string", "pattern": whole(SPAN)}
    of["effects"] = _ref("effects")
    of["when"], of["unless"] = _ref("condition"), _ref("condition")
    _describe(of, _RULE_ABOUT)
    rule["oneOf"] = [{"required": ["when"]}, {"required": ["unless"]}]
    rule["dependentRequired"] = {"gap": ["for"], "each": ["when"]}


def _stages(stages: Schema) -> None:
    stage = stages["additionalProperties"]
    of = stage["properties"]
    of["cap"] = {"type": "string", "pattern": whole(rf"\s*(?!-){quantity('usd')}\s*")}
    of["promote"]["properties"]["all"]["items"] = _ref("condition")
    of["abort"]["properties"]["any"]["items"] = _ref("condition")
    stages["patternProperties"] = {"^00?$": stage}
    stages["additionalProperties"] = {**stage, "required": [*stage["required"], "restart_at"]}


def _parameters(of: Schema) -> None:
    number = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": whole(rf"\s*{NUMBER} ?(?:%|[A-Za-z]+)?\s*")}]}
    parameter = of["parameters"]["additionalProperties"]["properties"]
    parameter["value"] = number
    parameter["range"]["items"] = number
