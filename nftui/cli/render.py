"""The same in words, for people: plain lines that a pipe, a log and a screen reader can take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from nftui.cli import documents
from nftui.cli.i18n import _, plural, tr
from nftui.cli.output import Line, table
from nftui.engine.preview import diff_files
from nftui.model.advice import Advice
from nftui.model.artefact import Artefact
from nftui.model.choices import Selection
from nftui.model.facts import Facts, Live
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.host import Host
from nftui.model.message import Message
from nftui.model.plan import Draft, OptimizationPlan, Plan, Stage
from nftui.model.run import Damage, Drift, ProjectStatus, Pruning, RunStatus, SnapshotInfo, WayBack
from nftui.model.stack import Service
from nftui.model.units import human_days, human_seconds, human_size

_STYLE = {Level.HIGH: "red", Level.MEDIUM: "yellow", Level.LOW: "cyan", Level.INFO: "dim"}


def detect(facts: Facts) -> Iterator[Line]:
    """Host, stack, engine."""
    yield from _host(facts.host)
    engine, stack = facts.engine, facts.stack
    if engine is None:
        yield _("Engine: none can be reached")
    else:
        compose = engine.compose_version or _("unknown")
        yield _("Engine: {product} {version}, Compose {compose}").format(
            product=engine.product, version=engine.version, compose=compose
        )
    services = plural("{count} service", "{count} services", len(stack.services))
    yield _("Stack: {name}, {services}").format(name=stack.name, services=services)
    yield from (f"  {path}" for path in stack.files)
    yield from table([_service(s) for s in stack.services])
    for problem in stack.problems:
        yield (f"  ! {problem.text}", "yellow")


def _host(host: Host) -> Iterator[Line]:
    yield _("Host: {total} memory, {free} available, {swap} swap, {cpus} CPUs").format(
        total=human_size(host.memory_bytes), free=human_size(host.memory_available_bytes),
        swap=human_size(host.swap_bytes) if host.swap_bytes != 0 else _("no"), cpus=host.cpu.logical or _("unknown"),
    )  # fmt: skip
    if host.cgroup_memory_bytes is not None:
        yield "  " + _("nftui itself is limited to {size}").format(size=human_size(host.cgroup_memory_bytes))
    yield from table(
        (d.name, str(d.medium), human_size(d.size_bytes), d.model or "-", " ".join(d.mounts) or "-") for d in host.disks
    )
    yield from table((g.name, g.vendor, human_size(g.memory_bytes)) for g in host.gpus)
    for unknown in host.unknowns:
        yield ("  " + _("{what}: unknown ({why})").format(what=unknown.what, why=unknown.reason), "dim")


def _service(service: Service) -> tuple[str, ...]:
    limit = human_size(service.memory_limit_bytes) if service.memory_limit_bytes else _("no limit")
    state = service.state if service.active else _("inactive")
    return service.name, str(service.role), state, limit, service.image or "-"


def check(findings: Sequence[Finding], ignored: int, *, verbose: bool) -> Iterator[Line]:
    """Worst first, by level."""
    for level in Level:
        group = [f for f in findings if f.level is level]
        if group:
            yield (f"{str(level).upper()} ({len(group)})", _STYLE[level])
        for alike in _alike(group) if not verbose else [[f] for f in group]:
            yield from _finding(alike, verbose)
    counts = ", ".join(f"{sum(f.level is v for f in findings)} {v}" for v in Level)
    total = plural("{count} finding", "{count} findings", len(findings))
    yield f"{total}: {counts}."
    if ignored:
        yield _("{count} more are ignored by the preset.").format(count=ignored)


def unread(live: Live) -> str:
    """A running service that did not answer: what it runs with is unknown, and says so."""
    return _("! {service} could not be asked: {why}").format(service=live.service, why=live.error)


def _alike(group: Iterable[Finding]) -> list[list[Finding]]:
    """The same said of several services is one line."""
    found: dict[tuple[str, str], list[Finding]] = {}
    for finding in group:
        found.setdefault((finding.id, tr(finding.title)), []).append(finding)
    return list(found.values())


def _finding(alike: Sequence[Finding], verbose: bool) -> Iterator[Line]:
    found = alike[0]
    yield f"  {', '.join(f.service or '-' for f in alike)}: {tr(found.title)}  [{found.id}]"
    if verbose:
        yield f"      {tr(found.detail)}"
        yield from (f"      {_evidence(e)}" for e in found.evidence)
        yield ("      " + _("source: {source}").format(source=found.source), "dim")


def _evidence(item: Evidence) -> str:
    value = "" if item.value is None else f" = {item.value}"
    line = f":{item.line}" if item.line else ""
    place = f"  ({item.file}{line})" if item.file else ""
    return f"{item.key}{value}{place}"


def plan(found: Plan, warnings: Iterable[Message], *, verbose: bool) -> Iterator[Line]:
    """What would change, file by file and step by step."""
    draft = found.draft
    for item in draft.optimizations:
        yield from _optimization(item, verbose)
    for diff in diff_files(draft.files):
        yield (f"{diff.action} {diff.path}", "bold")
        yield from (_diff_line(line) for line in diff.lines)
    yield from _steps(draft)
    yield from summary(draft, documents.all_warnings(draft, warnings))
    yield _("Plan {id}").format(id=found.id)


def _optimization(item: OptimizationPlan, verbose: bool) -> Iterator[Line]:
    title = tr(item.title) if item.title else item.id
    head = f"{item.id} ({item.selection}): {title}"
    if not item.applicable:
        yield (_("{head}: does not apply. {why}").format(head=head, why=tr(item.reason)), "dim")
        return
    if item.selection is Selection.UNTOUCHED:
        yield (_("{head}: left as it is").format(head=head), "dim")
        return
    if item.selection is Selection.OFF:
        yield (_("{head}: taken out, the services' own values are back").format(head=head), "bold")
        return
    cost = [human_days(item.effort.low, item.effort.high), human_seconds(item.downtime_s), str(item.risk)]
    yield (f"{head}  " + _("{days}, {down} down, risk {risk}").format(days=cost[0], down=cost[1], risk=cost[2]), "bold")
    if item.lacks is not None:
        yield (f"  {tr(item.lacks)}", "yellow")
    shown = [a for a in item.advice if a.changes or a.kept or verbose]
    yield from table(_advice(a) for a in shown)
    yield from _notes(shown)
    same = sum(not (a.changes or a.kept) for a in item.advice)
    if same and not verbose:
        yield ("  " + _("{count} more, unchanged").format(count=same), "dim")


def _notes(shown: Iterable[Advice]) -> Iterator[Line]:
    """Each once, with all that it is said of."""
    said: dict[tuple[str | None, str], list[str]] = {}
    for advice in shown:
        for note in advice.notes:
            said.setdefault((advice.service, tr(note)), []).append(advice.knob)
    for (service, text), knobs in said.items():
        yield f"    {service}: {', '.join(knobs)}: {text}" if service else f"    {', '.join(knobs)}: {text}"


def _advice(advice: Advice) -> tuple[str, ...]:
    unknown = _("unknown")
    mark = "~" if advice.changes else "=" if advice.kept else " "
    why = tr(advice.why)
    if advice.kept:
        why = _("yours is kept; recommended {value}: {why}").format(value=advice.recommended or unknown, why=why)
    name = f"{advice.service}: {advice.knob}" if advice.service else advice.knob
    return f"{mark} {name}", advice.current or unknown, "->", advice.value or unknown, why


def _diff_line(line: str) -> Line:
    style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
    return (f"  {line}", style) if style else f"  {line}"


def _steps(draft: Draft) -> Iterator[Line]:
    if draft.steps:
        yield (_("Steps"), "bold")
    for number, step in enumerate(draft.steps, 1):
        down = "  " + _("{time} down").format(time=human_seconds(step.downtime_s)) if step.downtime_s else ""
        yield f"  {number}. {tr(step.summary)}{down}  [{step.undo_after_write}]"
    for stage in (s for s in draft.stages if s.commit_point):
        yield from _commit_point(stage)


def _commit_point(stage: Stage) -> Iterator[Line]:
    """What the operator consents to with a stage that cannot simply be taken back."""
    from nftui.engine.consent import terms

    yield (_("Commit point {stage}:").format(stage=stage.id), "bold")
    yield from ((f"  ! {tr(term)}", "yellow") for term in terms(stage))


def summary(draft: Draft, warnings: Iterable[str]) -> Iterator[Line]:
    """Warnings and totals: what is shown before the question."""
    for text in warnings:
        yield (f"! {text}", "yellow")
    if not draft.changes:
        yield _("Nothing to do.")
        return
    services = sorted({s.service for s in draft.steps if s.service and s.downtime_s})
    yield _("{steps}, {files}; {down} of downtime ({services}); {days}.").format(
        steps=plural("{count} step", "{count} steps", len(draft.steps)),
        files=plural("{count} file", "{count} files", len(draft.files)), down=human_seconds(draft.downtime_s),
        services=", ".join(services) or _("no service"), days=human_days(draft.effort.low, draft.effort.high),
    )  # fmt: skip


def way_back(found: WayBack) -> Iterator[Line]:
    """What a rollback takes back: runs, files, services, and what is lost with it."""
    yield (_("Takes back, newest first: {runs}").format(runs=", ".join(found.runs)), "bold")
    for diff in diff_files(found.files):
        yield (f"{diff.action} {diff.path}", "bold")
        yield from (_diff_line(line) for line in diff.lines)
    for path in found.merged:
        yield _("{path} was edited since: only nftui's keys are taken out, the edit stays.").format(path=path)
    for path in found.foreign:
        text = _("{path} was edited since nftui wrote it: --force overwrites that edit.")
        yield ("! " + text.format(path=path), "yellow")
    for words in found.pending:
        yield (_("! {words} --force takes back all the same.").format(words=tr(words)), "yellow")
    yield from ((f"! {tr(loss)}", "yellow") for loss in found.losses)
    yield _("{steps} steps, {files} files; {down} of downtime ({services}). In force afterwards: {after}.").format(
        steps=len(found.steps), files=len(found.files), down=human_seconds(found.downtime_s),
        services=", ".join(found.services) or _("no service"),
        after=_("generation {number}").format(number=found.generation) if found.generation else _("nothing of nftui"),
    )  # fmt: skip


def run(status: RunStatus) -> Iterator[Line]:
    """How a run ended."""
    good = status.outcome in ("applied", "unchanged") or (status.kind, status.outcome) == ("rollback", "rolled-back")
    reason = f": {status.reason}" if status.reason else ""
    yield (f"{status.kind} {status.run}: {status.outcome or status.state}{reason}", "green" if good else "red")
    for note in status.notes:
        yield f"  {note}"
    if status.standing:
        yield (_("Still changed:"), "red")
        yield from (f"  {target}" for target in status.standing)
        yield _("Run nftui rollback or nftui recover again.")


def status(found: ProjectStatus) -> Iterator[Line]:
    """One line on the run, then drift."""
    words = {
        "idle": _("No run is going on."),
        "running": _("The run {run} is going on. Follow it: nftui attach").format(run=found.run),
        "awaiting-confirm": _("The run {run} waits to be confirmed: nftui confirm").format(run=found.run),
        "interrupted": _("The run {run} was cut off. Finish or undo it: nftui recover").format(run=found.run),
    }
    yield words.get(found.state, found.state)
    if found.confirm_left_s is not None:
        yield _("{time} left to confirm.").format(time=human_seconds(found.confirm_left_s))
    yield (
        _("In force: generation {number}.").format(number=found.generation)
        if found.generation
        else _("Nothing of nftui is in force.")
    )
    yield from (line for d in found.drift for line in _drift(d))
    for change in found.told:
        yield _("{target} is {actual} now; it was {expected} when it was applied. Nothing is broken by that.").format(
            target=change.target, actual=change.actual, expected=change.expected
        )
    yield from ((_("cannot be read now: {target}").format(target=d.target), "dim") for d in found.unknown)
    for item in found.data:
        yield _("{dataset} lies in {whole}; {other} is not the whole one.").format(
            dataset=item.dataset, whole=item.whole, other=item.other
        )
    if found.hint:
        yield found.hint


def _drift(drift: Drift) -> Iterator[Line]:
    actual = _("not there") if drift.actual == str(None) else drift.actual  # a file or key that is gone
    text = _("drift ({level}): {target} should be {expected}, is {actual}").format(
        level=drift.level, target=drift.target, expected=drift.expected, actual=actual
    )
    yield text, "red" if drift.level == "high" else "yellow"
    if drift.repair:
        yield ("  " + _("repair: {command}").format(command=drift.repair), "dim")


def snapshots(found: Sequence[SnapshotInfo]) -> Iterator[Line]:
    """One line each, newest first."""
    yield from table(
        (s.id, s.created, s.kind, s.outcome or _("open"), _("stands") if s.stands else "-", human_size(s.bytes))
        for s in found
    )
    if not found:
        yield _("There are no snapshots of this project.")


def snapshot(info: SnapshotInfo) -> Iterator[Line]:
    """One snapshot whole."""
    yield from table(
        [
            (_("snapshot"), info.id), (_("made"), info.created), (_("kind"), info.kind),
            (_("outcome"), info.outcome or _("open")), (_("stands"), _("yes") if info.stands else _("no")),
            (_("plan"), info.plan or "-"), (_("size"), human_size(info.bytes)),
            (_("services"), ", ".join(info.services) or "-"), (_("files"), ", ".join(info.files) or "-"),
        ],
        "",
    )  # fmt: skip


def damages(found: Iterable[Damage]) -> Iterator[Line]:
    """Each with what can be done."""
    for damage in found:
        yield f"    {damage.path}: {tr(damage.what)}", "red"
        yield f"      {tr(damage.safe)}"


def pruning(found: Pruning) -> Iterator[Line]:
    """What goes and what stays."""
    word = _("removed") if found.done else _("would go")
    yield from (f"{name}: {word}" for name in found.going)
    yield from ((_("{id}: stays, {why}").format(id=name, why=tr(why)), "dim") for name, why in found.kept)
    count, size = len(found.going), human_size(found.bytes)
    if found.done:
        yield _("{count} snapshots removed, {size} freed.").format(count=count, size=size)
    else:
        yield _("{count} snapshots could go ({size}); nothing was touched. Remove them with --yes.").format(
            count=count, size=size
        )


def artefacts(found: Sequence[Artefact]) -> Iterator[Line]:
    """One line each, oldest first, and the rollbacks that need it."""
    for item in found:
        yield f"{item.kind} {item.name}  {human_size(item.size)}  {item.state}  {item.created}  {item.run}"
        if item.needed_by:
            yield _("    needed to roll back: {runs}").format(runs=", ".join(item.needed_by))
    if not found:
        yield _("nftui keeps no data of this project besides its snapshots.")
