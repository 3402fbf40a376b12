"""The tree a Compose file is read into: every value with what was written and where.

Nodes are never changed in place once built, so that anchors and `extends` may share them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from nftui.model.stack import Place

At = tuple[str, int]
"""Absolute file and line, from 1."""


class Scalar:
    """A string, number, boolean or null: `value` after interpolation, `raw` before it."""

    __slots__ = ("at", "raw", "value")

    def __init__(self, value: object, raw: object, at: At) -> None:
        self.value = value
        self.raw = raw
        self.at = at

    def moved(self, at: At) -> Scalar:
        """The same value, written elsewhere (the key's line, where an alias is used)."""
        return Scalar(self.value, self.raw, at)


class Seq:
    """A list."""

    __slots__ = ("at", "items")

    def __init__(self, items: list[Node], at: At) -> None:
        self.items = items
        self.at = at

    def moved(self, at: At) -> Seq:
        """The same list under another key."""
        return Seq(self.items, at)


class Map:
    """A mapping; each item's `at` is the line of its key."""

    __slots__ = ("at", "items")

    def __init__(self, items: dict[str, Node], at: At) -> None:
        self.items = items
        self.at = at

    def moved(self, at: At) -> Map:
        """The same mapping under another key."""
        return Map(self.items, at)

    def get(self, key: str) -> Node | None:
        """The item called `key`, or None."""
        return self.items.get(key)

    def with_items(self, changes: Mapping[str, Node]) -> Map:
        """A copy with `changes` put in."""
        return Map({**self.items, **changes}, self.at)

    def without(self, *keys: str) -> Map:
        """A copy that lacks `keys`."""
        return Map({k: v for k, v in self.items.items() if k not in keys}, self.at)


class Words(Seq):
    """A command that was written as one string and is split now; `raw` is the string."""

    __slots__ = ("raw",)

    def __init__(self, items: list[Node], at: At, raw: object) -> None:
        super().__init__(items, at)
        self.raw = raw


Node = Scalar | Seq | Map

UNWRITTEN = object()
"""The raw form of a value that no Compose file holds: it comes from env_file."""


def made(value: object, at: At) -> Scalar:
    """A scalar that nobody wrote: a default; its raw form is the same."""
    return Scalar(value, value, at)


def is_null(node: Node | None) -> bool:
    """True for an absent node and for a YAML null."""
    return node is None or (isinstance(node, Scalar) and node.value is None)


def map_of(node: Node | None) -> Map | None:
    """The node where it is a mapping."""
    return node if isinstance(node, Map) else None


def child(node: Node | None, key: str) -> Node | None:
    """The item called `key` where the node is a mapping that has it."""
    return node.items.get(key) if isinstance(node, Map) else None


def text_of(node: Node | None) -> str | None:
    """The interpolated value as text where it is a scalar that says something."""
    if isinstance(node, Scalar) and node.value is not None:
        return go_text(node.value)
    return None


def go_text(value: object) -> str:
    """What Go's fmt prints for a YAML value: Compose turns numbers and booleans to text by it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _go_float(value)
    return str(value)


def _go_float(value: float) -> str:
    """%v of a float64: its shortest digits, with an exponent below 1e-4 and from 1e6 up."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    power = len(digits) - 1 + exponent
    if value and not -4 <= power < 6:
        text = "".join(map(str, digits))
        mantissa = text[0] + ("." + text[1:] if len(text) > 1 else "")
        return f"{'-' if sign else ''}{mantissa}e{power:+03d}"
    return format(Decimal(repr(value)).normalize(), "f")


def plain(node: Node) -> object:
    """The tree as Python values, interpolated."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Map):
        return {key: plain(item) for key, item in node.items.items()}
    return [plain(item) for item in node.items]


def plain_raw(node: Node) -> object:
    """The tree as Python values, as written before interpolation."""
    if isinstance(node, Scalar):
        return node.raw
    if isinstance(node, Map):
        pairs = ((key, plain_raw(item)) for key, item in node.items.items())
        return {key: raw for key, raw in pairs if raw is not UNWRITTEN}
    if isinstance(node, Words):
        return node.raw
    return [plain_raw(item) for item in node.items]


def walk(node: Node, prefix: str) -> Iterator[tuple[str, At]]:
    """Dotted key and position of everything below `node`."""
    pairs: Iterator[tuple[str, Node]]
    if isinstance(node, Map):
        pairs = iter(node.items.items())
    elif isinstance(node, Seq):
        pairs = ((str(number), item) for number, item in enumerate(node.items))
    else:
        return
    for key, item in pairs:
        dotted = f"{prefix}.{key}" if prefix else key
        yield dotted, item.at
        if not isinstance(item, Scalar):
            yield from walk(item, dotted)


def place(at: At) -> Place:
    """The model's form of a position; line 0 means that only the file is known."""
    return Place(at[0], at[1] or None)
