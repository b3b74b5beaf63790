"""The `policy` commands: check, format, test, mutate, compare, replay, review, and document the policies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.commands.shared import LEDGER, RULES, JsonOption, LedgerOption, RulesOption, output, show

POLICY_TESTS = Path("policies/tests")
REFERENCE = Path("docs/policy-reference.md")
SCHEMAS = Path("docs/schemas")

policy_app = typer.Typer(
    help="Policies: check, test, explain, mutate, compare, replay, review.", no_args_is_help=True, rich_markup_mode=None
)


@policy_app.command("check")
def policy_check(rules: RulesOption = RULES, as_json: JsonOption = False) -> None:
    """Check a bundle and all it names; every mistake with file, line and column.

    Example: stagegate policy check --rules config/prod_scale_rules_R1.yaml
    """
    from engine.policy.bundle import load_bundle
    from engine.reports.terminal_policy import check_text

    bundle = load_bundle(rules)
    hashes = {"bundle": bundle.name, "sha256": bundle.sha256, "config_sha256": bundle.config_sha256}
    hashes["digest"] = bundle.digest
    output(hashes if as_json else bundle, check_text, as_json)


@policy_app.command("test")
def policy_test(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files or folders of tests.")] = None,
    rules: RulesOption = RULES,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write the results as JUnit XML.")] = None,
    both: Annotated[bool, typer.Option("--both", help="Decide each day with both engines.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the tests of the policies and say what they cover; exit code 1 if one fails.

    Example: stagegate policy test policies/tests --junit reports/policy.xml
    """
    from engine.policy.bundle import load_bundle
    from engine.policy.testing.coverage import coverage
    from engine.policy.testing.junit import write_junit
    from engine.policy.testing.run import run_policy_tests
    from engine.reports.terminal_policy import tests_text

    run = run_policy_tests(load_bundle(rules), paths or [POLICY_TESTS], engines="both" if both else "interpreter")
    if junit:
        write_junit(run, junit)
    seen = coverage(run)
    output({**run.to_json(), "coverage": seen} if as_json else run, lambda tests: tests_text(tests, seen), as_json)
    raise typer.Exit(1 if run.failed else 0)


@policy_app.command("explain")
def policy_explain(
    subject: Annotated[str | None, typer.Argument(metavar="[ID]", help="A verdict, rule, fact or requirement.")] = None,
    facts: Annotated[Path | None, typer.Option("--facts", help="A YAML or JSON file: values, or days of them.")] = None,
    policy: Annotated[str | None, typer.Option("--policy", help="The policy; `action` if facts are given.")] = None,
    ledger: Annotated[
        Path | None, typer.Option("--ledger", envvar="STAGEGATE_LEDGER", help="The ledger to read.")
    ] = None,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Explain a verdict, facts, or an id: every condition with value, threshold and margin, causes, what is near.

    Example: stagegate policy explain V20221109-1400-action-3fa9c1

    Another: stagegate policy explain drawdown_red

    Another: stagegate policy explain --facts facts.yaml --policy action
    """
    from engine.policy_explain.question import Question, answer
    from engine.policy_explain.text import answer_text

    known = ledger or (LEDGER if LEDGER.is_file() else None)
    output(answer(Question(subject, facts, policy, known, rules)), answer_text, as_json)


@policy_app.command("mutate")
def policy_mutate(
    policies: Annotated[list[str] | None, typer.Argument(help="Policies to change; all if absent.")] = None,
    rules: RulesOption = RULES,
    tests: Annotated[Path, typer.Option("--tests", help="The folder of tests.")] = POLICY_TESTS,
    as_json: JsonOption = False,
) -> None:
    """Change every decision alone and see whether a test notices; exit code 1 if a change survives.

    Example: stagegate policy mutate action
    """
    from engine.policy.bundle import load_bundle
    from engine.policy.mutation.run import mutate
    from engine.reports.terminal_policy import mutation_text

    report = mutate(load_bundle(rules), [tests], policies=policies or ())
    output(report, mutation_text, as_json)
    raise typer.Exit(1 if report.survivors else 0)


@policy_app.command("replay")
def policy_replay(
    ledger: LedgerOption = LEDGER,
    rules: RulesOption = RULES,
    against: Annotated[str | None, typer.Option(help="Compare with a bundle, a file or a git revision.")] = None,
    in_loop: Annotated[bool, typer.Option("--in-loop", help="Rehearse the period with these policies.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Decide every recorded day of a ledger anew: days by outcome, transitions, time in each.

    Example: stagegate policy replay --ledger reports/demo/ledger.db
    """
    from engine.policy_review.replay import replay_report
    from engine.policy_review.text import policy_replay_text
    from engine.reports.progress import rehearsal_progress

    with rehearsal_progress() as advance:
        report = replay_report(ledger, str(rules), rules=rules, against=against, in_loop=in_loop, progress=advance)
    output(report, policy_replay_text, as_json)


@policy_app.command("diff")
def policy_diff(
    old: Annotated[str, typer.Argument(help="A file, a bundle, a git revision, or REV:PATH.")],
    new: Annotated[str, typer.Argument(help="The same.")],
    history: Annotated[Path | None, typer.Option("--history", help="A ledger to replay both over.")] = None,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Say in words what changed, softer or harder, and on which recorded days the outcome differs.

    Example: stagegate policy diff main config/prod_scale_rules_R1.yaml --history reports/demo/ledger.db
    """
    from engine.policy_review.diff import diff_report
    from engine.policy_review.text import diff_text

    output(diff_report(old, new, history, rules=rules), diff_text, as_json)


@policy_app.command("review")
def policy_review(
    revisions: Annotated[str, typer.Argument(metavar="BASE..HEAD", help="What changed since when.")],
    history: Annotated[Path | None, typer.Option("--history", help="A ledger to replay both over.")] = None,
    out: Annotated[Path, typer.Option("--out", help="The Markdown page.")] = Path("review.md"),
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Write the review of a change for those who must sign it; exit code 10 if something became softer.

    Example: stagegate policy review main..HEAD --out review.md
    """
    from engine.policy_review.review import review_page
    from engine.policy_review.text import review_text
    from engine.reports.progress import rehearsal_progress

    with rehearsal_progress() as advance:
        review = review_page(revisions, history, out, rules=rules, progress=advance)
    output(review, review_text, as_json)
    raise typer.Exit(review.exit_code)


@policy_app.command("fmt")
def policy_fmt(
    paths: Annotated[list[Path], typer.Argument(help="Policies, vocabularies, bundles, policy tests, or folders.")],
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing, show the difference; exit code 1 if there is one.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Lay files out as the house does; comments and meaning stay.

    Example: stagegate policy fmt policies/action.yaml
    """
    from engine.policy.layout.formatting import format_files
    from engine.reports.terminal_policy import formats_text

    found = format_files(paths)
    changed = [formatted for formatted in found if formatted.is_changed]
    for formatted in [] if check else changed:
        Path(formatted.name).write_bytes(formatted.after.encode())
    output(found, lambda files: formats_text(files, check=check), as_json)
    raise typer.Exit(1 if check and changed else 0)


@policy_app.command("doc")
def policy_doc(
    out: Annotated[Path, typer.Option("--out", help="A .md or .html file.")] = REFERENCE,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Write the policy reference: tables a committee can sign.

    Example: stagegate policy doc --out policy-reference.html
    """
    from engine.policy.bundle import load_bundle
    from engine.reports.archive import write_report
    from engine.reports.policy_reference import policy_reference, reference_html, reference_markdown
    from engine.reports.terminal_policy import written_text

    reference = policy_reference(load_bundle(rules))
    text = reference_html(reference) if out.suffix == ".html" else reference_markdown(reference)
    output([write_report(out, text)], written_text, as_json)


@policy_app.command("schema")
def policy_schema(
    out: Annotated[Path, typer.Option("--out", help="The folder.")] = SCHEMAS,
    settings: Annotated[bool, typer.Option("--settings", help="Print .vscode/settings.json, write nothing.")] = False,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Write JSON Schemas, by which an editor completes and checks policies.

    Example: stagegate policy schema

    Another: stagegate policy schema --settings > .vscode/settings.json
    """
    from engine.policy.bundle import load_bundle
    from engine.policy.editor.schema import editor_settings, schema_files
    from engine.reports.archive import write_report
    from engine.reports.terminal_policy import written_text

    bundle = load_bundle(rules)
    if settings:
        show(editor_settings(bundle).rstrip())
        return
    files = schema_files(bundle.vocabulary)
    output([write_report(out / name, text) for name, text in files.items()], written_text, as_json)
