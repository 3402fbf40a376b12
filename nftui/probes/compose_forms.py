"""The forms that attributes take: numbers, sizes, texts, KEY=VALUE mappings, lists, absolute paths.

A form turns a node into another node; doing it twice gives the same.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping

from nftui.model.dataclass import dataclass
from nftui.probes import compose_short as short
from nftui.probes import compose_values as values
from nftui.probes.compose_merge import as_sequence, unique
from nftui.probes.compose_nodes import Map, Node, Scalar, Seq, go_text, is_null, text_of
from nftui.probes.compose_template import Ledger


@dataclass(frozen=True, slots=True)
class Context:
    """What the form of a value depends on."""

    directory: str
    """Relative paths begin here."""
    environment: Mapping[str, str]
    ledger: Ledger


Form = Callable[[Node, Context], Node]


def absolute(path: str, directory: str, environment: Mapping[str, str]) -> str:
    """The path as Compose resolves it."""
    if path.startswith("~"):
        path = posixpath.normpath(environment.get("HOME", "") + "/" + path[1:])
    if posixpath.isabs(path):
        return path
    return short.clean_path(posixpath.join(directory, path))


def absolute_node(node: Node, context: Context) -> Node:
    if not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.value:
        return node
    value = absolute(node.value, context.directory, context.environment)
    raw = node.raw
    if isinstance(raw, str) and not raw.startswith("$"):
        # A variable at the start may hold an absolute path: only the rest can be resolved before interpolation.
        raw = absolute(raw, context.directory, context.environment)
    return Scalar(value, raw, node.at)


def converted(convert: Callable[[object], object]) -> Form:
    """A scalar through `convert`; the written form stays."""

    def form(node: Node, context: Context) -> Node:
        if not isinstance(node, Scalar) or node.value is None:
            return node
        try:
            return Scalar(convert(node.value), node.raw, node.at)
        except ValueError as error:
            context.ledger.problem("value-invalid", str(error), node.at)
            return node

    return form


text = converted(go_text)
size = converted(values.size_bytes)
duration = converted(values.duration)
boolean = converted(values.boolean)
whole = converted(values.whole)
number = converted(values.number)


def texts(node: Node, context: Context) -> Node:
    """A list of texts, also from one text."""
    if isinstance(node, Map):
        return node
    return Seq([text(item, context) for item in as_sequence(node).items], node.at)


def pairs(node: Node, null: str | None) -> Node:
    """KEY=VALUE entries or a mapping, as a mapping of texts; `null` stands for a missing value."""
    if isinstance(node, Scalar):
        return Map({}, node.at)
    items: dict[str, Node] = {}
    if isinstance(node, Map):
        for key, item in node.items.items():
            items[key] = _pair_value(item, null)
        return Map(items, node.at)
    for item in node.items:
        if isinstance(item, Scalar) and item.value is not None:
            key, scalar = _cut(item, null)
            items.pop(key, None)
            items[key] = scalar
    return Map(items, node.at)


def _pair_value(item: Node, null: str | None) -> Node:
    if not isinstance(item, Scalar):
        return item
    value = null if item.value is None else go_text(item.value)
    raw = null if item.raw is None else go_text(item.raw)
    return Scalar(value, raw, item.at)


def _cut(item: Scalar, null: str | None) -> tuple[str, Scalar]:
    """Key and value of `KEY=VALUE`, in both forms."""
    key, equals, value = go_text(item.value).partition("=")
    written, raw_equals, raw = go_text(item.raw).partition("=")
    if not equals:
        return key, Scalar(null, null, item.at)
    if written == key:
        return key, Scalar(value, raw if raw_equals else null, item.at)
    return key, Scalar(value, value, item.at)


def labels(node: Node, context: Context) -> Node:
    return pairs(node, "")


def environment(node: Node, context: Context) -> Node:
    """A mapping; a key without a value takes the caller's, where there is one."""
    result = pairs(node, None)
    if not isinstance(result, Map):
        return result
    for key, item in result.items.items():
        if isinstance(item, Scalar) and item.raw is None:
            context.ledger.refer(key, item.at)
            if item.value is None and key in context.environment:
                result.items[key] = Scalar(context.environment[key], None, item.at)
    return result


def entries(node: Node, make: Callable[[Node, Context], list[Node]], context: Context) -> Seq:
    """A list whose entries `make` brings into form; an entry that Compose refuses is noted and left out."""
    result: list[Node] = []
    for item in as_sequence(node).items:
        try:
            result.extend(make(item, context))
        except ValueError as error:
            context.ledger.problem("value-invalid", str(error), item.at)
    return Seq(result, node.at)


def names(node: Node, context: Context) -> Node:
    """Texts without repetition (by what stands before `=`)."""
    result = texts(node, context)
    return unique(result, lambda item: str(text_of(item)).partition("=")[0]) if isinstance(result, Seq) else result


def applied(table: Mapping[str, Form]) -> Form:
    """The form of a mapping whose keys have the forms of `table`."""
    return lambda node, context: apply(node, table, context)


def apply(node: Node, table: Mapping[str, Form], context: Context) -> Node:
    """A mapping with each of its keys brought into its form; anything else as it is."""
    return formed(node, table, context) if isinstance(node, Map) else node


def formed(node: Map, table: Mapping[str, Form], context: Context) -> Map:
    """The mapping with each of its keys brought into its form."""
    items = {}
    for key, item in node.items.items():
        form = table.get(key)
        items[key] = form(item, context) if form is not None and not is_null(item) else item
    return Map(items, node.at)
