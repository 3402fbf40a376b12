"""Verbs that change something: apply, rollback, recover, confirm; and attach, which follows them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from typing import Any

from nftui.cli import documents, render
from nftui.cli.context import Context, absolute, ask, make_registry, project_arguments
from nftui.cli.following import Detached, Follower
from nftui.cli.i18n import _, tr
from nftui.cli.planfile import SavedPlan, load_plan, must_be_here, must_fit
from nftui.cli.planning import given_plan_options, read_choices
from nftui.engine.consent import Consent, refusals
from nftui.engine.follow import told
from nftui.model.choices import Choices, Selection
from nftui.model.errors import ExitCode, UsageError
from nftui.model.message import Message, msg
from nftui.model.plan import Plan
from nftui.model.run import RunStatus
from nftui.system.bootunit import unit_text

_NAMES = {"confirm_within_s": "--confirm-within", "wait_quiet_s": "--wait-quiet", "settle_s": "--settle",
          "files_only": "--files-only", "force": "--force"}  # fmt: skip


# -- apply ------------------------------------------------------------------------------------------------------
def apply(ctx: Context) -> int:
    """Plan, consent, run, follow."""
    _judge_usage(ctx)
    _must_consent(ctx)
    if ctx.args.resume:
        _must_agree(ctx)
        nothing = _("Nothing to recover: no run was cut off.")
        return _follow_or_nothing(ctx, ctx.session.runs.start_recover(resume=True), nothing)
    plan, asked, warnings = _saved(ctx) if ctx.args.plan else _fresh(ctx)
    warned = documents.all_warnings(plan.draft, (*warnings, *_reboot_warning(ctx)))
    ctx.session.runs.must_reach_engine(files_only=ctx.args.files_only)
    if not plan.draft.changes:
        return _unchanged(ctx, plan, warned)
    _judge_plan(ctx, plan)
    if not ctx.args.yes:
        ctx.out.tell(*render.plan(plan, (*warnings, *_reboot_warning(ctx)), verbose=ctx.args.verbose))
        if not ask(ctx.out, _("Apply?")):
            return _declined(ctx)
    else:
        ctx.out.tell(*((f"! {text}", "yellow") for text in warned))
    status = _watch(ctx, _start(ctx, plan, asked))
    if status is None:
        return ExitCode.INTERRUPTED
    skipped = [s.id for s in plan.draft.skipped] if status.steps else []
    return _end(ctx, status, _unused(ctx, plan, status), skipped, warned)


def _reboot_warning(ctx: Context) -> tuple[Message, ...]:
    hint = ctx.session.runs.reboot_hint if ctx.args.confirm_within is not None else None
    return (hint,) if hint else ()


def _judge_usage(ctx: Context) -> None:
    args, used = ctx.args, given_plan_options(ctx.args)
    if args.measure:
        raise UsageError(msg("--measure comes with a later version of nftui; apply without it."))
    if args.plan and used:
        raise UsageError(msg("--plan excludes {options}: the saved plan says what changes.", options=", ".join(used)))
    if args.files_only and args.confirm_within is not None:
        raise UsageError(msg("--files-only and --confirm-within exclude each other: nothing live would be confirmed."))


def _must_agree(ctx: Context) -> None:
    """A run that goes on does what it was told when it began: saying that again is fine, anything else is not."""
    said = given_plan_options(ctx.args)
    saved = _load(ctx) if ctx.args.plan else None
    choices = read_choices(ctx)[0] if said else None
    run = ctx.session.runs.cut_off()
    if run is None:
        return
    order = told(run)
    options = {**_options(ctx.args), "force": ctx.args.force or None}
    other = [_NAMES[key] for key, value in options.items() if value is not None and value != order.options.get(key)]
    if saved is not None and saved.id != order.plan:
        other.append("--plan")
    if choices is not None and (order.choices is None or choices.as_json() != order.choices.as_json()):
        other += said
    if other:
        raise UsageError(
            msg(
                "--resume goes on with the run {run}, which was not told that when it began: {options}. Leave it out, "
                "or take the run back first: nftui rollback. Nothing was touched.",
                run=order.run,
                options=", ".join(other),
            )
        )


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """How a run is to behave, by the names of its record; what was not said is None."""
    return {"confirm_within_s": args.confirm_within, "wait_quiet_s": args.wait_quiet, "settle_s": args.settle,
            "files_only": args.files_only or None}  # fmt: skip


def _must_consent(ctx: Context) -> None:
    """No prompt ever where stdin is no terminal."""
    if not ctx.args.yes and not ctx.may_ask:
        verb = ctx.args.verb
        raise UsageError(msg("There is no terminal to ask on: {verb} needs --yes. Nothing was touched.", verb=verb))


def _fresh(ctx: Context) -> tuple[Plan, Choices, tuple[Message, ...]]:
    choices, warnings = read_choices(ctx)
    ctx.session.runs.must_be_free()
    return ctx.session.prove(choices), choices, warnings


def _saved(ctx: Context) -> tuple[Plan, Choices, tuple[Message, ...]]:
    """The saved plan, planned again: it must be the same one."""
    saved = _load(ctx)
    ctx.session.runs.must_be_free()
    plan = ctx.session.prove(saved.choices)
    must_fit(saved, plan, ctx.session.redact)
    return plan, saved.choices, ()


def _load(ctx: Context) -> SavedPlan:
    """The saved plan. Where no project is named, it is the plan's own."""
    saved: SavedPlan = load_plan(ctx.args.plan, make_registry())
    if not ctx.names_project:
        must_be_here(saved)
        ctx.request = saved.request
    return saved


def _unchanged(ctx: Context, plan: Plan, warnings: list[str]) -> int:
    ctx.out.tell(*((f"! {text}", "yellow") for text in warnings))
    ctx.out.document(documents.unchanged(plan.id, warnings))
    ctx.out.text([_("Nothing to do: everything is already as planned.")])
    return ExitCode.DONE


def _judge_plan(ctx: Context, plan: Plan) -> None:
    """What would be refused anyway is said before the question."""
    args = ctx.args
    ctx.session.runs.must_be_applicable(plan, files_only=args.files_only, force=args.force)
    confirm = args.confirm_within is not None
    for refusal in refusals(plan.draft, _consent(ctx), confirm=confirm, files_only=args.files_only):
        raise UsageError(refusal)


def _consent(ctx: Context) -> Consent:
    return Consent(ctx.args.accept_irreversible, ctx.args.without_backup)


def _declined(ctx: Context) -> int:
    ctx.out.error(_("not confirmed; nothing was touched"), ExitCode.FAILED)
    return ExitCode.FAILED


def _start(ctx: Context, plan: Plan, asked: Choices) -> str:
    options = {key: value for key, value in _options(ctx.args).items() if value is not None}
    return ctx.session.runs.start_apply(plan, **options, force=ctx.args.force, consent=_consent(ctx), asked=asked)


def _unused(ctx: Context, plan: Plan, status: RunStatus) -> list[tuple[str, str]]:
    """The steps of a run that was refused; else optimizations that were named and have nothing to act on here."""
    if not status.steps:
        return [(s.id, status.reason or status.state) for s in plan.draft.steps]
    if not (ctx.args.plan or given_plan_options(ctx.args)):
        return []
    chosen = (o for o in plan.draft.optimizations if o.selection is Selection.ON and not o.applicable)
    return [(o.id, tr(o.reason)) for o in chosen]


# -- rollback, recover, confirm, attach -------------------------------------------------------------------------
def rollback(ctx: Context) -> int:
    """Back to the state before a snapshot's run; what that takes back is shown before it is asked."""
    if not ctx.args.dry_run:
        _must_consent(ctx)
    way = ctx.session.history.way_back(ctx.snapshot)
    if way is None:
        return _follow_or_nothing(ctx, None, _("Nothing to roll back: no run of nftui stands in this project."))
    if ctx.args.dry_run:
        ctx.out.document({**documents.unchanged(None), "way_back": documents.way_back(way)})
        ctx.out.text(render.way_back(way))
        return ExitCode.DONE
    if not ctx.args.yes:
        ctx.out.tell(*render.way_back(way))
        if not ask(ctx.out, _("Roll back?")):
            return _declined(ctx)
    elif way.losses and not ctx.args.force:
        lost = "; ".join(tr(loss) for loss in way.losses)
        raise UsageError(msg("Rolling back would lose: {lost}. Consent with --force; nothing was touched.", lost=lost))
    return _follow_or_nothing(ctx, ctx.session.runs.start_rollback(ctx.snapshot, force=ctx.args.force), "")


def recover(ctx: Context) -> int:
    """Finish or undo a run that was cut off; for use at boot, so it never asks."""
    if ctx.args.print_unit:
        return _print_unit(ctx)
    return _follow_or_nothing(ctx, ctx.session.runs.start_recover(), _("Nothing to recover: no run was cut off."))


def _print_unit(ctx: Context) -> int:
    """The unit for this project, with the very nftui that runs now."""
    project, state = absolute(ctx.request), str(ctx.session.state_root.absolute())
    command = [sys.executable, "-I", "-m", "nftui", "recover", *project_arguments(project), "--state-dir", state]
    directory, name = os.path.realpath(ctx.session.directory), ctx.session.facts(live=False).stack.name
    text = unit_text(name, directory, command, (directory, state))
    ctx.out.document({"unit": text, "name": f"nftui-recover-{name}.service"})
    ctx.out.text(text.splitlines())
    return ExitCode.DONE


def _follow_or_nothing(ctx: Context, run: str | None, nothing: str) -> int:
    if run is not None:
        return _follow(ctx, run)
    ctx.out.document(documents.unchanged(None))
    ctx.out.text([nothing])
    return ExitCode.DONE


def confirm(ctx: Context) -> int:
    """Keep what was applied with --confirm-within."""
    status = ctx.session.runs.status()
    if status.state == "interrupted":
        raise UsageError(
            msg(
                "The run {run} was cut off, so nothing can be confirmed. nftui recover goes on with it, or takes it "
                "back where its time is over.",
                run=status.run,
            )
        )
    if status.state != "awaiting-confirm" or status.run is None:
        raise UsageError(msg("Nothing waits to be confirmed."))
    accepted, words = ctx.session.runs.request(status.run, "confirm")
    ctx.out.document({"run": status.run, "accepted": accepted, "message": words})
    ctx.out.text([f"{status.run}: {words}"])
    return ExitCode.DONE if accepted else ExitCode.FAILED


def attach(ctx: Context) -> int:
    """Follow the run that is going on."""
    status = ctx.session.runs.status()
    if status.state not in ("running", "awaiting-confirm") or status.run is None:
        raise UsageError(msg("No run is going on in this project."))
    return _follow(ctx, status.run)


def _follow(ctx: Context, run: str) -> int:
    status = _watch(ctx, run)
    return _end(ctx, status) if status else ExitCode.INTERRUPTED


def _watch(ctx: Context, run: str) -> RunStatus | None:
    """How it ended; None where the follower left it running."""
    try:
        return Follower(ctx.session, ctx.out, run).follow()
    except Detached:
        ctx.out.error(_("left; the run {run} goes on: nftui attach").format(run=run), ExitCode.INTERRUPTED)
        return None


def _end(
    ctx: Context,
    status: RunStatus,
    unused: Iterable[tuple[str, str]] = (),
    skipped: Iterable[str] = (),
    warnings: Iterable[str] = (),
) -> int:
    ctx.out.document(documents.run(status, unused=unused, skipped=skipped, warnings=warnings))
    ctx.out.text(render.run(status))
    return exit_code(status)


def exit_code(status: RunStatus) -> int:
    """The run's own code, else by its outcome."""
    if status.code is not None:
        return status.code
    if status.outcome in ("applied", "unchanged") or (status.kind, status.outcome) == ("rollback", "rolled-back"):
        return ExitCode.DONE
    if status.outcome == "partial":
        return ExitCode.PARTIAL
    return ExitCode.CUT_OFF if status.standing or status.state == "interrupted" else ExitCode.FAILED
