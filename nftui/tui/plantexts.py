"""How a plan and a run read: the review's table and totals, the lines of a run, what was read back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from nftui.engine.consent import terms
from nftui.model.advice import Advice
from nftui.model.choices import Selection
from nftui.model.knobs import knob_named
from nftui.model.message import Message, msg
from nftui.model.plan import Draft, StepSpec, Undo
from nftui.model.units import GIB, human_days, human_seconds, human_size
from nftui.tui.texts import UNDO_WORDS, UNKNOWN, Line, Span, cut, cut_middle, longest, plural, share, shown_value, wrap

if TYPE_CHECKING:
    from nftui.model.run import RunStatus, StepState, WayBack
    from nftui.tui.desk import Desk

_HARDNESS = list(Undo)


def worst_undo(step: StepSpec) -> Undo:
    """How it is taken back at worst: before or after its first write."""
    return max(step.undo, step.undo_after_write, key=_HARDNESS.index)


def is_one_way(step: StepSpec) -> bool:
    """True where going back loses something, or cannot be done."""
    return step.lossy


def change_count(draft: Draft) -> int:
    """Values that would be written by what is on."""
    return sum(a.changes for item in draft.optimizations if item.selection is Selection.ON for a in item.advice)


def apply_words(draft: Draft) -> Message:
    """What the button does: "Apply 14 changes to 5 services, about 40 s of downtime"."""
    count, services = change_count(draft), {s for stage in draft.stages for s in stage.services}
    what = plural(count, "change", "changes") if count else plural(len(draft.steps), "step", "steps")
    where = plural(len(services), "service", "services") if services else plural(len(draft.files), "file", "files")
    if not draft.downtime_s:
        return msg("Apply {what} to {where}, no downtime", what=what, where=where)
    return msg(
        "Apply {what} to {where}, about {time} of downtime",
        what=what,
        where=where,
        time=human_seconds(draft.downtime_s),
    )


def step_lines(desk: Desk, draft: Draft, width: int) -> list[Line]:
    """One row per step in order; those that cannot be undone are said again at the end."""
    steps = draft.steps
    if not steps:
        return []
    said = [_step_words(desk, step) for step in steps]
    wanted = max(12, longest(said)), max(7, longest(s.service or "" for s in steps))
    what, service = share(wanted, (16, 13), width - 30)
    head = f" {'step':<6}{'what changes':<{what}} {'service':<{service + 1}}{'down':>6}  undo"
    rows = [_step_line(desk, f" {n:>3}   {cut(t, what, desk.glyphs):<{what}} ", s, service)
            for n, (t, s) in enumerate(zip(said, steps, strict=True), 1)]  # fmt: skip
    hard = [(n, s) for n, s in enumerate(steps, 1) if is_one_way(s)]
    tail: list[Line] = []
    if hard:
        tail = [(("", ""),), ((f" {desk.say(msg('Cannot be taken back whole:'))}", "bad"),)]
        tail += [((f"   {n}  {desk.say(s.summary)}", "bad"),) for n, s in hard]
    return [((head, "dim"),), *rows, *tail]


def _step_words(desk: Desk, step: StepSpec) -> str:
    place = desk.facts.stack.invocation.directory.rstrip("/") + "/"
    return desk.say(step.summary).replace(place, "")


def _step_line(desk: Desk, left: str, step: StepSpec, room: int) -> Line:
    glyphs = desk.glyphs
    service = cut_middle(step.service or glyphs.skipped, room, glyphs)
    down = human_seconds(step.downtime_s) if step.downtime_s else glyphs.skipped
    text = f"{left}{service:<{room + 1}}{down:>6}  "
    return ((text, ""), (desk.say(UNDO_WORDS[worst_undo(step)]), "bad" if step.lossy else "dim"))


def consent_words(draft: Draft) -> list[Message]:
    """What must be accepted: losses and terms of switched data; where neither says it, the steps themselves."""
    switched = [term for stage in draft.stages if stage.commit_point for term in terms(stage)]
    return [*draft.losses, *switched] or [s.summary for s in draft.steps if is_one_way(s)]


def whole_lines(desk: Desk, draft: Draft, width: int) -> list[Line]:
    """Every step and every value with nothing cut: what the table has no room for."""
    lines: list[Line] = []
    for number, step in enumerate(draft.steps, 1):
        down = human_seconds(step.downtime_s) if step.downtime_s else desk.say(msg("none"))
        undo = desk.say(UNDO_WORDS[worst_undo(step)])
        more = msg("{service}: downtime {down}, undo {undo}", service=step.service or UNKNOWN, down=down, undo=undo)
        plain = msg("downtime {down}, undo {undo}", down=down, undo=undo)
        lines += _hanging(f"{number:>3}  ", _step_words(desk, step), width, "bad" if step.lossy else "")
        lines += _hanging("     ", desk.say(more if step.service else plain), width, "dim")
    lines.append((("", ""),))
    for name, advice in _written(draft):
        service, knob, before, after = _value_words(desk, name, advice, advice.value)
        lines += _hanging(" ", f"{service} {knob}".strip(), width, "")
        lines += _hanging("     ", f"{before} {desk.glyphs.arrow} {after}", width, "dim")
    return lines


def _hanging(lead: str, text: str, width: int, tone: str) -> list[Line]:
    """Rows of `text`, all as far in as `lead` is wide."""
    rows = wrap(text, width - len(lead))
    return [((f"{lead if n == 0 else ' ' * len(lead)}{row}", tone),) for n, row in enumerate(rows)]


def total_lines(desk: Desk, draft: Draft) -> list[Line]:
    """Days, seconds, memory before and after."""
    dot = f" {desk.glyphs.dot} "
    days = desk.glyphs.plain(human_days(draft.effort.low, draft.effort.high))
    cost = dot.join([plural(len(draft.steps), "step", "steps"), plural(len(draft.files), "file", "files"), days,
                     *_copied(draft), f"{human_seconds(draft.downtime_s)} down"])  # fmt: skip
    used = sum(desk.facts.usage.values())
    memory, promised = draft.memory, sum(n for _, n in draft.memory.services)
    now = human_size(used) if used else UNKNOWN
    room = f" of {(memory.host_bytes - memory.reserved_bytes) / GIB:.1f} GiB" if memory.host_bytes else ""
    text = f" Memory: {now} in use now {desk.glyphs.arrow} {promised / GIB:.1f}{room} promised"
    return [((f" Total: {cost}", "strong"),), ((text, ""),)]


def way_back_lines(desk: Desk, way: WayBack) -> list[str]:
    """What a rollback would do: runs, downtime, services, files, what is lost."""
    down = human_seconds(way.downtime_s)
    where = ", ".join(way.services) or desk.say(msg("no service"))
    runs = plural(len(way.runs), "run", "runs")
    lines = [desk.say(msg("{runs}, about {time} of downtime ({services})", runs=runs, time=down,
                          services=where))]  # fmt: skip
    lines += [f"  {change.action} {change.path}" for change in way.files]
    lines += [desk.say(msg("  {path}: your edit stays, nftui's keys go", path=path)) for path in way.merged]
    edited = msg("! edited since: {path}", path=", ".join(way.foreign))
    lines += [desk.say(edited)] if way.foreign else []
    return [*lines, *(f"! {desk.say(words)}" for words in (*way.pending, *way.losses))]


def _copied(draft: Draft) -> list[str]:
    """The bytes that are copied, as far as they are known."""
    sizes = [stage.switch.size_bytes or 0 for stage in draft.stages if stage.switch]
    return [f"{human_size(sum(sizes))} copied"] if any(sizes) else []


# -- runs ----------------------------------------------------------------------------------------------------
_STATES: Mapping[str, tuple[str, str]] = {
    "running": ("running", "accent"),
    "verified": ("done", "good"),
    "skipped": ("skipped", "dim"),
    "failed": ("failed", "bad"),
    "undoing": ("running", "warn"),
    "undone": ("undone", "warn"),
    "undo-failed": ("failed", "bad"),
}


def run_lines(desk: Desk, steps: Iterable[StepState], width: int) -> list[Line]:
    """One fixed line per step: sign, what, detail, seconds."""
    return [_run_line(desk, step, max(60, width)) for step in steps]


def _run_line(desk: Desk, step: StepState, width: int) -> Line:
    glyphs = desk.glyphs
    name, tone = _STATES.get(step.state, ("", "dim"))
    sign = getattr(glyphs, name) if name else " "
    left, right = 34, 9
    what = cut(desk.say(step.summary), left - 2, glyphs)
    detail = cut(desk.glyphs.plain(_detail(step)), width - left - right - 5, glyphs)
    time = f"{step.seconds:.1f} s" if step.seconds is not None else ""
    gap = width - left - right - 4
    body: Span = (f" {detail:<{gap}}", "bad" if step.error else "dim")
    return ((f" {sign} ", tone), (f"{what:<{left - 1}}", "" if name else "dim"), body, (f"{time:>{right - 1}}", "dim"))


def _detail(step: StepState) -> str:
    word = {"skipped": "skipped: ", "undoing": "going back: ", "undone": "taken back "}.get(step.state, "")
    if step.error:
        return step.error.splitlines()[0]
    settings = step.data.get("settings")
    if step.state == "verified" and isinstance(settings, Mapping) and not step.detail:
        return f"{len(settings)} settings read back"
    return (word + step.detail).rstrip(": ") if word else step.detail


def read_back(status: RunStatus) -> dict[tuple[str | None, str], str]:
    """(service, setting) to the value that the running service gave, of verified steps only."""
    found: dict[tuple[str | None, str], str] = {}
    for step in status.steps:
        settings = step.data.get("settings")
        if step.state == "verified" and isinstance(settings, Mapping):
            found.update({(step.service, str(name)): str(value) for name, value in settings.items()})
    return found


def _written(draft: Draft) -> Iterator[tuple[str, Advice]]:
    """(optimization, advice) of every value that is to be written, in the wizard's order."""
    for item in draft.optimizations:
        if item.selection is Selection.ON:
            yield from ((item.id, advice) for advice in item.advice if advice.changes)


def value_lines(desk: Desk, draft: Draft, width: int) -> list[Line]:
    """Every value that would be written, beside what it replaces."""
    rows = [_value_words(desk, name, advice, advice.value) for name, advice in _written(draft)]
    widths = _value_widths(rows, width - 3)
    return [(("   ", ""), *_value_spans(desk, row, widths)) for row in rows]


def result_lines(desk: Desk, status: RunStatus, draft: Draft, width: int) -> list[Line]:
    """Before and after per knob; what was not read back is said to be so."""
    found, written = read_back(status), list(_written(draft))
    known = [found.get((advice.service, advice.knob)) for _, advice in written]
    rows = [_value_words(desk, name, a, after or a.value) for (name, a), after in zip(written, known, strict=True)]
    widths = _value_widths(rows, width - 3 - len("not read back"))
    lines: list[Line] = []
    for row, after in zip(rows, known, strict=True):
        mark: Span = (" ? ", "warn") if after is None else (f" {desk.glyphs.done} ", "good")
        note: Span = ("not read back", "warn") if after is None else ("read back", "dim")
        lines.append((mark, *_value_spans(desk, row, widths), note))
    return lines


def _value_words(desk: Desk, optimization: str, advice: Advice, value: str | None) -> Sequence[str]:
    """Service, knob, before, after."""
    knob = knob_named(desk.optimization(optimization).knobs, advice.knob)
    before, after = (shown_value(v, knob, advice.unit) for v in (advice.current, value))
    return advice.service or "", advice.knob, before, after


def _value_widths(rows: Sequence[Sequence[str]], width: int) -> Sequence[int]:
    """Of those columns, equal for all rows; a value gets more than a sixth only where names leave it."""
    if not rows:
        return ()
    service, knob, before, after = (longest(column) for column in zip(*rows, strict=True))
    room = width - 7
    most = max(10, room // 6)
    knob, service, after, before = share((knob, service, after, before), (14, 8, most, most), room)
    return service, knob, before, after


def _value_spans(desk: Desk, row: Sequence[str], widths: Sequence[int]) -> Line:
    service, knob, before, after = (
        f"{cut_middle(text, room, desk.glyphs):{side}{room}}"
        for text, room, side in zip(row, widths, "<<>>", strict=True)
    )
    arrow = f" {desk.glyphs.arrow} "
    return ((f"{service} {knob} ", ""), (before, "dim"), (arrow, "dim"), (f"{after}  ", "strong"))
