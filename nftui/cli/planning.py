"""`nftui plan`, and what apply shares with it: options to choices to a proven plan."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from nftui.cli import documents, render
from nftui.cli.context import Context
from nftui.cli.i18n import _
from nftui.cli.planfile import save_plan
from nftui.model.choices import Choices
from nftui.model.errors import ExitCode, UsageError
from nftui.model.message import Message, msg


def plan(ctx: Context) -> int:
    """What would change; writes nothing but --out."""
    choices, warnings = read_choices(ctx)
    found = ctx.session.prove(choices)
    if ctx.args.out is not None:
        save_plan(ctx.args.out, found, ctx.request, ctx.session.redact)
    ctx.out.document(documents.plan(found, warnings))
    ctx.out.text(render.plan(found, warnings, verbose=ctx.args.verbose))
    if ctx.args.out is not None:
        ctx.out.tell(_("Saved as {path}. Apply it: nftui apply --plan {path}").format(path=ctx.args.out))
    return ExitCode.CHANGES if ctx.args.exit_code and found.draft.changes else ExitCode.DONE


def read_choices(ctx: Context) -> tuple[Choices, tuple[Message, ...]]:
    """The options of plan, all judged before the stack is read."""
    args = ctx.args
    if args.repair:
        others = [name for name in given_plan_options(args) if name != "--repair"]
        if others:
            raise UsageError(msg("--repair excludes {options}: it changes nothing.", options=", ".join(others)))
        return Choices(), tuple(_beyond_repair(ctx))
    return ctx.session.choices(
        preset=args.preset,
        only=ids("--only", args.only),
        skip=ids("--skip", args.skip),
        off=ids("--off", args.off),
        sets=args.sets,
    )


def _beyond_repair(ctx: Context) -> Iterable[Message]:
    """Drift that no plan takes back: left in silence, `apply --repair` would seem to have done it."""
    from nftui.engine.drift import REPAIR

    for drift in ctx.session.runs.status().drift:
        if drift.repair != REPAIR:
            yield msg(
                "{target} should be {expected}, is {actual}; --repair leaves that. Repair it with: {command}",
                target=drift.target,
                expected=drift.expected,
                actual=drift.actual,
                command=drift.repair,
            )


def ids(option: str, values: Sequence[str]) -> tuple[str, ...]:
    """The ids of a repeatable, comma-separated option. Raises UsageError for an empty one."""
    found = [word.strip() for text in values for word in text.split(",")]
    if not all(found):
        raise UsageError(msg("{option} takes ids separated by commas, none of them empty.", option=option))
    return tuple(dict.fromkeys(found))


def given_plan_options(args: argparse.Namespace) -> list[str]:
    """The options of plan that were used: apply --plan excludes them."""
    used = {"--preset": args.preset, "--only": args.only, "--skip": args.skip, "--off": args.off, "--set": args.sets,
            "--repair": args.repair}  # fmt: skip
    return [name for name, value in used.items() if value]
