"""Verbs that only look: detect, check, status, log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from nftui.cli import documents, render
from nftui.cli.context import Context
from nftui.cli.i18n import _, tr
from nftui.cli.output import Line
from nftui.model.errors import ExitCode, UsageError
from nftui.model.findings import Finding, Level
from nftui.model.message import msg

if TYPE_CHECKING:
    from nftui.engine.check import Ignore

_STATUS_CODES = {
    "running": ExitCode.LOCKED,
    "interrupted": ExitCode.CUT_OFF,
    "awaiting-confirm": ExitCode.AWAITING_CONFIRM,
}


def detect(ctx: Context) -> int:
    """The host and the stack, as found."""
    facts = ctx.session.facts(live=False, versions=True)
    ctx.out.document(documents.detect(facts))
    ctx.out.text(render.detect(facts))
    return ExitCode.DONE


def check(ctx: Context) -> int:
    """Findings, worst first."""
    from nftui.engine.check import apply_ignores, at_least, notes

    args, sarif = ctx.args, ctx.args.format == "sarif"
    if sarif and args.json:
        raise UsageError(msg("--json and --format sarif exclude each other: each is a document of its own."))
    ignores, warnings = _ignores(ctx)
    findings, ignored = apply_ignores(ctx.session.findings(), ignores)
    ctx.out.tell(*((f"! {text}", "yellow") for text in warnings))
    unread = ctx.session.facts().unread()
    ctx.out.tell(*((render.unread(live), "yellow") for live in unread))
    for note in notes(ctx.session.facts().stack.problems):
        ctx.out.tell(note.text if note.message is None else tr(note.message))
    if sarif:
        _sarif(ctx, findings)
    else:
        more = {"unread": [documents.unread(live) for live in unread], "warnings": warnings}
        told = {key: value for key, value in more.items() if value}
        ctx.out.document({"findings": [documents.finding(f) for f in findings], "ignored": ignored, **told})
        ctx.out.text(render.check(findings, ignored, verbose=args.verbose))
    failed = args.fail_on is not None and at_least(findings, Level(args.fail_on))
    return ExitCode.FINDINGS if failed else ExitCode.DONE


def _ignores(ctx: Context) -> tuple[tuple[Ignore, ...], list[str]]:
    """What the preset accepts, and what of it can accept nothing here."""
    if not ctx.args.preset:
        return (), []
    from nftui.engine.check import misses
    from nftui.presets import load_preset, unknown_word

    preset = load_preset(ctx.session.registry, ctx.args.preset)
    stack = ctx.session.facts().stack
    names = [s.name for s in stack.services]
    nowhere = [
        msg("{path} ignores {id} of a service that is not here. {text}",
            path=str(preset.path), id=rule.id, text=str(unknown_word("service", rule.service or "", names)))
        for rule in misses(preset.ignore, stack)
    ]  # fmt: skip
    return preset.ignore, [tr(text) for text in (*preset.warnings, *nowhere)]


def _sarif(ctx: Context, findings: tuple[Finding, ...]) -> None:
    from nftui.cli.sarif import sarif_log

    ctx.out.raw_json(sarif_log(findings))


def status(ctx: Context) -> int:
    """A run that goes on or was cut off, and drift."""
    found = ctx.session.runs.status()
    ctx.out.document(documents.status(found))
    ctx.out.text(render.status(found))
    code = _STATUS_CODES.get(found.state, ExitCode.DONE)
    return ExitCode.DRIFT if code is ExitCode.DONE and found.drift else code


def log(ctx: Context) -> int:
    """Who did what, when: the audit log, oldest first."""
    records = list(_audit(ctx))
    if ctx.args.last is not None:
        records = records[len(records) - min(ctx.args.last, len(records)) :]
    ctx.out.document({"entries": [documents.log_entry(r) for r in records]})
    ctx.out.text(_log_lines(records, ctx.args.verbose))
    return ExitCode.DONE


def _audit(ctx: Context) -> Iterator[Mapping[str, object]]:
    path = ctx.session.state.root / "audit.jsonl"
    if not path.exists():
        return
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict):
            yield record
        else:
            ctx.out.tell(_("{path} line {line} is damaged and left out.").format(path=path, line=number))


def _who(record: Mapping[str, object]) -> str:
    """ "ann as root from 192.0.2.7": who logged in, as whom, from where."""
    user = str(record.get("user") or _("unknown"))
    person = str(record.get("sudo_user") or record.get("login") or user)
    text = person if person == user else _("{person} as {user}").format(person=person, user=user)
    return _("{who} from {place}").format(who=text, place=record["from"]) if record.get("from") else text


def _log_lines(records: list[Mapping[str, object]], verbose: bool) -> Iterator[Line]:
    for r in records:
        run = f" {r['run']}" if r.get("run") else ""
        yield f"{r.get('time')}  {_who(r)}  {r.get('kind')}{run}: {r.get('outcome')} (exit {r.get('code')})"
        if r.get("reason"):
            yield f"    {r['reason']}"
        steps = r.get("steps")
        if verbose and isinstance(steps, list):
            yield from (f"    - {step}" for step in steps)
    if not records:
        yield _("nftui has changed nothing in this project yet.")
