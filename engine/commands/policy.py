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
    help="Policies: check, test, mutate, compare, replay, review.", no_args_is_help=True, rich_markup_mode=None
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
    from engine.policy.coverage import coverage
    from engine.policy.junit import write_junit
    from engine.policy.testing import run_policy_tests
    from engine.reports.terminal_policy import tests_text

    run = run_policy_tests(load_bundle(rules), paths or [POLICY_TESTS], engines="both" if both else "interpreter")
    if junit:
        write_junit(run, junit)
    output(coverage(run) if as_json else run, lambda tests: tests_text(tests, coverage(tests)), as_json)
    raise typer.Exit(1 if run.failed else 0)


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
    from engine.policy.mutation import mutate
    from engine.reports.terminal_policy import mutation_text

    report = mutate(load_bundle(rules), [tests], policies=policies or ())
    output(report.survivors if as_json else report, mutation_text, as_json)
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

    report = replay_report(ledger, str(rules), rules=rules, against=against, in_loop=in_loop)
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

    review = review_page(revisions, history, out, rules=rules)
    output(review, review_text, as_json)
    raise typer.Exit(review.exit_code)


@policy_app.command("fmt")
def policy_fmt(
    paths: Annotated[list[Path], typer.Argument(help="Policies, vocabularies, bundles or policy tests.")],
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit code 1 if a file is not formatted.")
    ] = False,
) -> None:
    """Lay files out as the house does; comments and meaning stay.

    Example: stagegate policy fmt policies/action.yaml
    """
    from engine.policy.formatting import format_file

    changed = [formatted for formatted in map(format_file, paths) if formatted.is_changed]
    for formatted in changed:
        show(f"{'would change' if check else 'changed'} {formatted.name}")
        if not check:
            Path(formatted.name).write_text(formatted.after, encoding="utf-8")
    raise typer.Exit(1 if check and changed else 0)


@policy_app.command("doc")
def policy_doc(
    out: Annotated[Path, typer.Option("--out", help="A .md or .html file.")] = REFERENCE,
    rules: RulesOption = RULES,
) -> None:
    """Write the policy reference: tables a committee can sign.

    Example: stagegate policy doc --out policy-reference.html
    """
    from engine.policy.bundle import load_bundle
    from engine.reports.archive import write_report
    from engine.reports.policy_reference import policy_reference, reference_html, reference_markdown

    reference = policy_reference(load_bundle(rules))
    text = reference_html(reference) if out.suffix == ".html" else reference_markdown(reference)
    show(f"written: {write_report(out, text)}")


@policy_app.command("schema")
def policy_schema(
    out: Annotated[Path, typer.Option("--out", help="The folder.")] = SCHEMAS,
    rules: RulesOption = RULES,
) -> None:
    """Write JSON Schemas, by which an editor completes and checks policies.

    Example: stagegate policy schema
    """
    from engine.policy.bundle import load_bundle
    from engine.policy.editor_schema import schema_files
    from engine.reports.archive import write_report

    for name, text in schema_files(load_bundle(rules).vocabulary).items():
        show(f"written: {write_report(out / name, text)}")
