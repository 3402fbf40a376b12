"""Welcome: what this machine and its stack are, what is wrong, what can be done about it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, ClassVar

from nftui.model.errors import NftuiError
from nftui.model.message import Message, msg
from nftui.model.units import human_days, human_seconds, human_size
from nftui.tui.background import in_thread
from nftui.tui.keys import HELP, QUIT, Key, bindings
from nftui.tui.moves import Follow, Move
from nftui.tui.screens.page import Page
from nftui.tui.screens.reader import WIDTH, finding_lines
from nftui.tui.screens.wayback import AskWayBack
from nftui.tui.texts import Line, clock, cut, cut_middle, longest, plural, totals, wrap
from nftui.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from nftui.model.plan import OptimizationPlan
    from nftui.model.run import ProjectStatus
    from nftui.model.stack import Service

_TELL = 10
"""Cells of the word in front of each line."""
_ITEM = 35
"""Cells in front of what is told of an optimization."""


class WelcomeScreen(Page[Move | Follow]):
    """Reads the machine, then shows it."""

    KEYS: ClassVar[tuple[Key, ...]] = (
        Key("enter", "start", "⏎", msg("start"), msg("go through the optimizations, one screen each"), 1),
        Key("f", "findings", "f", msg("findings"), msg("everything that was found, with evidence"), 2),
        Key("a", "follow", "a", msg("run"), msg("follow the run that goes on, or finish the one that was cut off"), 3),
        Key("R", "roll_back", "R", msg("roll back"), msg("take the newest run that stands back; asks first"), 4),
        Key("t", "again", "t", msg("read again"), msg("read the machine again"), 6),
        HELP,
        QUIT,
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEYS)

    def __init__(self, notice: Message | None = None) -> None:
        super().__init__()
        self._notice = notice

    def body(self) -> ComposeResult:
        """One list: the summary first, the long part last."""
        yield Lines(id="welcome")

    def fill(self) -> None:
        """Read the machine on the first visit only."""
        self.query_one("#welcome").focus()
        if self._notice is not None:
            self.notice(self.say(self._notice), "bad")
        if self.desk.loaded:
            self._tell()
        else:
            # After the first frame: reading would take the processor from what the operator waits for.
            self._await()
            self.call_after_refresh(self._start_reading, False)

    def _read(self, *, refresh: bool) -> None:
        self._await()
        self._start_reading(refresh)

    def _await(self) -> None:
        waiting = self.say(msg("Reading this machine, its Compose project and its services; a few seconds."))
        self.query_one(Lines).show([((f" {waiting}", ""),)])

    def _start_reading(self, refresh: bool) -> None:
        self.run_worker(self._load(refresh), group="load", exclusive=True)

    async def _load(self, refresh: bool) -> None:
        try:
            await in_thread(lambda: self.desk.load(refresh=refresh))
        except NftuiError as error:
            self.desk.failure = error
            self.query_one(Lines).show([])
            self.notice(f"{self.say(error.message)} {self.say(msg('Mend this, then t reads again.'))}", "bad")
            return
        self.desk.failure = None
        self._tell()

    def _tell(self) -> None:
        self.fill_head()
        self.fill_keys()
        self.query_one(Lines).show(self._lines())

    def keys_now(self) -> Sequence[Key]:
        """Before the machine was read there is nothing to go on with."""
        return [key for key in self.KEYS if self.desk.loaded or key.action in ("again", "help", "leave")]

    def relayout(self) -> None:
        """Texts wrap at the width."""
        if self.desk.loaded:
            self._tell()

    def position(self) -> str:
        """What everything together costs."""
        return totals(self.desk.draft, self.desk.glyphs) if self.desk.loaded else ""

    # -- what it tells -------------------------------------------------------------------------------------
    def _lines(self) -> list[Line]:
        lines = [*self._machine(), *self._troubles(), (("", ""),)]
        items = self.desk.draft.optimizations
        here = [i for i in items if i.applicable]
        head = (
            msg("{what} here", what=plural(len(here), "optimization applies", "optimizations apply"))
            if here
            else msg("Nothing applies here.")
        )
        lines += [((f" {self.say(head)}", "strong"),), *(line for i in here for line in self._applies(i))]
        lines += [line for i in items if not i.applicable for line in self._applies_not(i)]
        services = self.desk.facts.stack.services
        lines += [(("", ""),), ((f" {self.say(msg('{count} services', count=len(services)))}", "strong"),)]
        return [*lines, *(self._service(s) for s in services)]

    def _machine(self) -> list[Line]:
        facts, dot = self.desk.facts, f" {self.desk.glyphs.dot} "
        host, engine = facts.host, facts.engine
        memory = f"{human_size(host.memory_bytes)} memory, {human_size(host.memory_available_bytes)} available"
        cores = f"{host.cpu.logical or 'unknown number of'} cores"
        disks = [f"{d.name} {d.medium} {human_size(d.size_bytes)} {' '.join(d.mounts[:2])}" for d in host.disks]
        run = f"Docker {engine.version}, Compose {engine.compose_version or 'unknown'}" if engine else ""
        files = ", ".join(f.rpartition("/")[2] for f in facts.stack.files)
        lines = self._told("Host", dot.join([memory, cores, *[g.name for g in host.gpus]]))
        lines += self._told("Disks", dot.join(d.rstrip() for d in disks) or "unknown")
        lines += self._told("Stack", f"{facts.stack.name} ({files})")
        lines += self._told("Engine", run or self.say(msg("not reachable: files are read, nothing can be applied")))
        levels = Counter(str(f.level) for f in self.desk.findings)
        found = ", ".join(f"{levels[level]} {level}" for level in ("high", "medium", "low", "info") if levels[level])
        return [*lines, *self._told("Findings", (found or "none") + "   (f)" * bool(found))]

    @property
    def _room(self) -> int:
        """Cells of a line."""
        return self.size.width - 4 if self.size.width < 120 else WIDTH

    def _told(self, word: str, text: str, tone: str = "") -> list[Line]:
        parts = wrap(self.desk.glyphs.plain(text), self._room - _TELL) or [""]
        return [((f" {word if n == 0 else '':<{_TELL}}", "dim"), (part, tone)) for n, part in enumerate(parts)]

    def _troubles(self) -> list[Line]:
        """A run that goes on or was cut off first, then what stands in the way here."""
        lines: list[Line] = []
        run = run_sentence(self.desk.status)
        if run is not None:
            lines += self._told("Run !", f"{self.say(run)}   (a)", "warn")
        for problem in self.desk.facts.stack.problems:
            place = f" ({problem.place.file}:{problem.place.line})" if problem.place and problem.place.line else ""
            lines += self._told("Problem !", f"{problem.text}{place}", "warn")
        return lines

    def _applies(self, item: OptimizationPlan) -> list[Line]:
        glyphs = self.desk.glyphs
        title = cut(self.say(item.title) if item.title else item.id, 28, glyphs)
        days = glyphs.plain(human_days(item.effort.low, item.effort.high))
        change = sum(a.changes for a in item.advice)
        if not change:
            asked = self.say(item.lacks or msg("nothing to change unless you ask for it"))
            parts = wrap(glyphs.plain(asked), self._room - _ITEM)
            heads = [f"   {glyphs.changed} {title:<28}", *[" " * (_ITEM - 2)] * len(parts)]
            return [((head, ""), (f"  {part}", "dim")) for head, part in zip(heads, parts, strict=False)]
        cost = f" {glyphs.dot} ".join([days, f"{human_seconds(item.downtime_s)} down", f"{item.risk} risk"])
        count = f"{plural(change, 'change', 'changes'):>10}  "
        return [((f"   {glyphs.changed} {title:<28}", ""), (count, "strong"), (cost, "dim"))]

    def _applies_not(self, item: OptimizationPlan) -> list[Line]:
        """With the whole reason: its end is what to do about it."""
        glyphs = self.desk.glyphs
        title = cut(self.say(item.title) if item.title else item.id, 28, glyphs)
        rows = wrap(self.say(item.reason), min(WIDTH, self.size.width - 36)) or [""]
        heads = [f"   {glyphs.skipped} {title:<28} ", *[" " * 34] * len(rows)]
        return [((f"{head}{row}", "dim"),) for head, row in zip(heads, rows, strict=False)]

    def _service(self, service: Service) -> Line:
        state = service.state if service.active else "profile off"
        limit = human_size(service.memory_limit_bytes) if service.memory_limit_bytes else "no memory limit"
        tone = "" if service.state == "running" else "warn"
        role, glyphs = f"{service.role} {service.version or ''}".rstrip(), self.desk.glyphs
        room = self._name_room
        name = f"{cut_middle(service.name, room, glyphs):<{room + 1}}"
        return ((f"   {name}{cut(role, 17, glyphs):<18}", ""), (f"{state:<12}", tone), (limit, "dim"))

    @property
    def _name_room(self) -> int:
        """Cells of the services' names: those of the longest, beside role, state and limit."""
        names = longest(s.name for s in self.desk.facts.stack.services)
        return min(max(22, names), max(22, self.query_one(Lines).size.width - 50))

    # -- keys ------------------------------------------------------------------------------------------------
    def action_start(self) -> None:
        """To the first optimization, or the reason why there is none."""
        if self.desk.loaded:
            self.dismiss(Move.NEXT)

    def action_findings(self) -> None:
        """All findings, worst first."""
        if self.desk.loaded:
            self.show_lines(msg("Findings"), finding_lines(self.desk, self.desk.findings, self.text_width))

    def action_follow(self) -> None:
        """Watch the run that goes on; finish the one that was cut off."""
        status = self.desk.status
        if not self.desk.loaded:
            return
        if status is None or status.state == "idle":
            self.notice(self.say(msg("No run is going on, and none was cut off.")))
        elif status.state == "interrupted":
            self.dismiss(Follow(self.desk.session.runs.start_recover))
        else:
            run = status.run
            self.dismiss(Follow(lambda: run))

    def action_roll_back(self) -> None:
        """Ask, then take back what an earlier day applied."""
        status = self.desk.status
        if not self.desk.loaded:
            return
        if status is None or status.state != "idle":
            self.notice(self.say(msg("A run comes first: a follows or finishes it.")))
        elif not status.generation:
            self.notice(self.say(msg("Nothing of nftui is in force; there is nothing to take back.")))
        else:
            AskWayBack(self, self.dismiss).ask()

    def action_again(self) -> None:
        """Fresh facts; the choices stay."""
        self.notice("")
        self._read(refresh=True)


def run_sentence(status: ProjectStatus | None) -> Message | None:
    """What the project's run needs from the operator, None where there is none."""
    if status is None or status.state == "idle":
        return None
    if status.state == "interrupted":
        return msg("A run was cut off. It can be finished or undone now; what it left is safe.")
    if status.state == "awaiting-confirm" and status.confirm_left_s is not None:
        return msg("A run waits to be kept; back to before in {left}.", left=clock(status.confirm_left_s))
    return msg("A run is going on{owner}.", owner=f", started by {status.owner}" if status.owner else "")
