"""How values, totals and lines read: pure functions from the model to text, shared by the screens."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from nftui.model.host import Disk, Medium
from nftui.model.knobs import Kind, Knob
from nftui.model.message import Message, msg
from nftui.model.plan import Draft, MemoryUse, Undo
from nftui.model.units import GIB, format_size, human_days, human_seconds, human_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nftui.model.facts import Facts
    from nftui.tui.glyphs import Glyphs

Span = tuple[str, str]
"""A piece of text and its tone: "", dim, strong, good, warn, bad, add, remove, accent."""
Line = tuple[Span, ...]

UNKNOWN = "unknown"
_SAID_UNITS = ("us", "ms", "s", "min", "h", "d", "%")
"""Others ("cost", "processes") are said by the knob's name already."""
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([A-Za-z]+)")
_MEDIA = {Medium.NVME: "NVMe", Medium.SSD: "SSD", Medium.HDD: "HDD"}
_SPEED = (Medium.NVME, Medium.SSD, Medium.HDD, Medium.VIRTUAL, Medium.UNKNOWN)

UNDO_WORDS = {
    Undo.EXACT: msg("exact"),
    Undo.BY_RESTART: msg("by restart"),
    Undo.CARRY_BACK: msg("data carried back"),
    Undo.LOSSY: msg("with loss"),
    Undo.IMPOSSIBLE: msg("not possible"),
}


def shown_value(value: str | None, knob: Knob | None, unit: str = "") -> str:
    """A value as people read it: "128 MB", "90 s", "300 ms"; the service's own unit stays."""
    if value is None:
        return UNKNOWN
    match = _SIZE.fullmatch(value)
    if match and (knob is None or knob.kind in (Kind.SIZE, Kind.SECONDS)):
        return f"{match[1]} {match[2]}"
    numeric = knob is not None and knob.kind in (Kind.INTEGER, Kind.REAL, Kind.SECONDS)
    if numeric and unit in _SAID_UNITS and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return f"{value} {unit}"
    return value


def shown_bounds(knob: Knob) -> Message:
    """What the knob takes, for the line under its input."""
    if knob.kind is Kind.BOOLEAN:
        return msg("on or off")
    if knob.kind is Kind.ENUM:
        return msg("one of {choices}", choices=", ".join(knob.choices))
    low, high = (_bound(knob, n) for n in (knob.minimum, knob.maximum))
    if low and high:
        return msg("{low} to {high}, or auto", low=low, high=high)
    if low or high:
        return msg("at least {low}, or auto", low=low) if low else msg("at most {high}, or auto", high=high)
    return msg("a value, or auto")


def _bound(knob: Knob, number: float | None) -> str | None:
    if number is None:
        return None
    if knob.kind is Kind.SIZE:
        exact = format_size(int(number))
        return exact if len(exact) < 9 else f"about {human_size(int(number))}"
    return f"{number:g}" + ("s" if knob.kind is Kind.SECONDS else "")


def cut(text: str, width: int, glyphs: Glyphs) -> str:
    """`text` in `width` cells, its end replaced by the ellipsis where it is longer."""
    return text if len(text) <= width else text[: max(0, width - 1)] + glyphs.more[:width]


def cut_middle(text: str, width: int, glyphs: Glyphs) -> str:
    """A name in `width` cells: names of one stack differ at their end, so its middle gives way."""
    if len(text) <= width:
        return text
    end = max(0, min(width // 2 + 1, width - 2))
    return cut(text, width - end, glyphs) + text[len(text) - end :]


def share(wanted: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Widths of columns in cells: each as wide as its contents while there is `room`, the first ones first."""
    found = [min(pair) for pair in zip(wanted, least, strict=True)]
    for number, full in enumerate(wanted):
        found[number] += max(0, min(full - found[number], room - sum(found)))
    return found


def longest(texts: Iterable[str]) -> int:
    """The cells of the longest one."""
    return max((len(text) for text in texts), default=0)


def wrap(text: str, width: int, *, indent: str = "") -> list[str]:
    """Lines of at most `width` cells; an empty text gives none."""
    return textwrap.wrap(text, max(10, width), initial_indent=indent, subsequent_indent=indent, break_long_words=True)


def fitted(text: str, width: int, rows: int, glyphs: Glyphs, rest: str = "") -> list[str]:
    """At most `rows` lines of `text`; where it has more, the last one ends with "…" and where the `rest` is."""
    lines = wrap(text, width)
    if len(lines) <= rows:
        return lines
    end = f"{glyphs.more} {rest}".rstrip()
    kept = wrap(lines[rows - 1], width - len(end) - 1)[:1]
    return [*lines[: rows - 1], " ".join([*kept, end])]


def host_line(facts: Facts, glyphs: Glyphs, width: int = 9999) -> str:
    """ "nextflow · 23.5 GiB · 8 cores · NVMe 1.8 TiB"; where that is wider than `width`, whole parts are left out."""
    host = facts.host
    parts = [facts.stack.name, human_size(host.memory_bytes)]
    parts.append(f"{host.cpu.logical} cores" if host.cpu.logical else "cores unknown")
    disk = best_disk(host.disks)
    if disk is not None:
        parts.append(f"{_MEDIA.get(disk.medium, str(disk.medium))} {human_size(disk.size_bytes)}")
    dot = f" {glyphs.dot} "
    while len(parts) > 1 and len(dot.join(parts)) > width:
        parts.pop()
    return dot.join(parts)


def best_disk(disks: Iterable[Disk]) -> Disk | None:
    """The fastest disk that keeps its data, the largest of equals."""
    kept = [d for d in disks if not d.ephemeral]
    return min(kept, key=lambda d: (_SPEED.index(d.medium), -(d.size_bytes or 0)), default=None)


def totals(draft: Draft, glyphs: Glyphs) -> str:
    """ "7 to 9 days, 40 s": what everything that is on costs."""
    days = human_days(draft.effort.low, draft.effort.high)
    return f"{glyphs.plain(days)} {glyphs.dot} {human_seconds(draft.downtime_s)}"


def memory_line(memory: MemoryUse, width: int, glyphs: Glyphs) -> Line:
    """The host's memory bar: promised to services of what is left after the system's part."""
    used = sum(number for _, number in memory.services)
    if not memory.host_bytes:
        return ((f" Memory  {used / GIB:.1f} GiB promised, the host's memory is {UNKNOWN}", ""),)
    room = max(1, memory.host_bytes - memory.reserved_bytes)
    cells = max(8, min(30, width - 50))
    full = min(cells, round(cells * used / room))
    over = used > room
    parts = [(" Memory  ", ""), (glyphs.full * full, "bad" if over else "good"), (glyphs.empty * (cells - full), "dim")]
    figure = f"  {used / GIB:.1f} of {room / GIB:.1f} GiB" + ("  ! too much" if over else "")
    rest = width - 9 - cells - len(figure) - 2
    return (*parts, (figure, "bad" if over else ""), ("  " + _largest(memory, rest, glyphs), "dim"))


def _largest(memory: MemoryUse, width: int, glyphs: Glyphs) -> str:
    text = ""
    for name, number in sorted(memory.services, key=lambda item: (-item[1], item[0])):
        part = f"{name} {number / GIB:.1f}"
        if len(text) + len(part) + 3 > width:
            return text.rstrip() + " " + glyphs.more if text else ""
        text += part + "  "
    return text.rstrip()


def diff_lines(lines: Sequence[str]) -> list[Line]:
    """Unified diff lines with the tone of their mark."""
    tones = {"+": "add", "-": "remove", "@": "dim"}
    return [((line, tones.get(line[:1], "")),) for line in lines]


def clock(seconds: float) -> str:
    """ "4:52" of a countdown."""
    left = max(0, int(seconds))
    return f"{left // 60}:{left % 60:02d}"


def plural(number: int, one: str, many: str) -> str:
    """ "1 change", "14 changes"."""
    return f"{number} {one if number == 1 else many}"
