"""`stagegate rehearse`: the policy in the loop, on a simulated clock."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from engine.commands.shared import (
    CONFIG,
    RULES,
    ConfigOption,
    FromOption,
    JsonOption,
    KlinesOption,
    RulesOption,
    ToOption,
    moment,
    output,
    show,
)
from engine.errors import Problem, UsageError

if TYPE_CHECKING:
    from engine.real_path.drill import Drill
    from engine.real_path.loop import Course, Scene
    from engine.rehearsal.run import CarryOut


def rehearse(
    seed: Annotated[int, typer.Option(help="Of the synthetic market.")] = 7,
    days: Annotated[int, typer.Option(help="Of the synthetic market.")] = 366,
    data: Annotated[Path | None, typer.Option("--data", help="Recorded prices: a folder or a market store.")] = None,
    klines: KlinesOption = "klines",
    from_: FromOption = None,
    to: ToOption = None,
    stage: Annotated[int, typer.Option(help="The stage to begin at.")] = 3,
    stages: Annotated[bool, typer.Option("--stages", help="Promotions and aborts of stages are decided too.")] = False,
    approve: Annotated[str, typer.Option(help="Who approves: all (a day later), none, or a script.")] = "all",
    venue: Annotated[
        Literal["fast", "simulator"],
        typer.Option(help="fast: orders fill at the open; simulator: every order through the client and a venue."),
    ] = "fast",
    drill: Annotated[bool, typer.Option("--drill", help="At the end pull the kill switch; on the simulator.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="The folder of ledger and report.")] = None,
    config: ConfigOption = CONFIG,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Run R1 bar by bar on a simulated clock with the policy in the loop, and write a report.

    Example: stagegate rehearse --seed 7

    Another: stagegate rehearse --data ../shared/data --from 2022-03-01 --to 2023-03-01

    The staged rollout: stagegate rehearse --stage 1 --stages

    The path of real orders: stagegate rehearse --days 7 --venue simulator
    """
    from engine.rehearsal.run import RehearsalRequest, default_folder, on_fast_loop, rehearse
    from engine.reports.terminal import rehearsal_progress, rehearsal_summary

    on_simulator = venue == "simulator"
    if drill and not on_simulator:
        help_ = "add --venue simulator"
        raise UsageError(Problem("drill", "--drill", "the fast loop has no venue to close anything at", help_))
    from_ms, to_ms = moment(from_, "--from"), moment(to, "--to")
    folder = out or default_folder(seed, data, from_ms, to_ms)
    command = f"stagegate {' '.join(sys.argv[1:])}"
    request = RehearsalRequest(
        config, rules, folder, seed, days, data, klines, from_ms, to_ms, stage, approve, command, stages
    )
    drills: list[Drill] = []
    with rehearsal_progress() as advance:
        done = rehearse(request, advance, carry_out=_real_path(seed, drills, drill) if on_simulator else on_fast_loop)
    output(done, rehearsal_summary, as_json)
    if drills and not as_json:
        from engine.real_path.drill import drill_text

        show(drill_text(drills[0]))


def _real_path(seed: int, drills: list[Drill], drill: bool) -> CarryOut:
    from functools import partial

    from engine.real_path.drill import kill_switch_drill
    from engine.real_path.loop import on_real_path

    async def pull(scene: Scene, course: Course, ledger: Path) -> None:
        drills.append(await kill_switch_drill(scene, course, ledger))

    return partial(on_real_path, seed=seed, at_end=pull if drill else None)
