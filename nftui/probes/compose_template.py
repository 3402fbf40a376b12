"""Interpolation as Compose does it: `$A`, `${A}`, defaults, required values, alternatives, `$$`.

Source: compose-go template/template.go. What is missing never raises here: it becomes a Problem with its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field

from nftui.model.dataclass import dataclass
from nftui.model.stack import Problem
from nftui.probes.compose_nodes import At, Map, Node, Scalar, Seq, place

_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_PLAIN_TEXT = re.compile(r"[^$]+")
MAX_EXPANDED = 1_000_000
"""Characters that one value may grow to."""
MAX_NESTED = 20
"""Levels of `${A:-${B:-…}}`."""


@dataclass(slots=True)
class Ledger:
    """What interpolation met: names with their places, names without a value, problems."""

    referenced: dict[str, dict[At, None]] = field(default_factory=dict)
    unset: dict[str, dict[At, None]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def refer(self, name: str, at: At) -> None:
        """Note that `name` is read at `at`."""
        self.referenced.setdefault(name, {})[at] = None

    def problem(self, id: str, text: str, at: At | None, blocks: bool = True, key: str = "") -> None:
        """Note a problem, once."""
        found = Problem(id, text, place(at) if at else None, ("plan", "apply") if blocks else (), key=key)
        if found not in self.problems:
            self.problems.append(found)


def closing_brace(text: str, start: int) -> int:
    """Index of the brace that closes the one at `start`, -1 where there is none."""
    depth = 0
    for index in range(start, len(text)):
        if text[index] == "{":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    return -1


def split_outside(text: str, separator: str = ":") -> list[str]:
    """Split at `separator`, but not inside `${…}`: `${A:-x}:80` has two parts."""
    parts, start, index = [], 0, 0
    while index < len(text):
        if text.startswith("${", index):
            end = closing_brace(text, index + 1)
            index = end + 1 if end > 0 else len(text)
        elif text[index] == separator:
            parts.append(text[start:index])
            index = start = index + 1
        else:
            index += 1
    parts.append(text[start:])
    return parts


class Invalid(ValueError):
    """A `${…}` that is no variable, such as `${1}` or `${a b}`."""


@dataclass(slots=True)
class Interpolator:
    """Replaces variables by the values of `environment`."""

    environment: Mapping[str, str]
    ledger: Ledger
    _seen: dict[int, tuple[Node, Node]] = field(default_factory=dict)
    _depth: int = 0

    def tree(self, node: Node) -> Node:
        """The tree with every string interpolated; parts shared by anchors are done once."""
        if isinstance(node, Scalar) and not (isinstance(node.raw, str) and "$" in node.raw):
            return node
        found = self._seen.get(id(node))
        if found is None:
            # The source is kept beside the result, so that its id cannot be given to another object.
            found = self._seen[id(node)] = (node, self._made(node))
        return found[1]

    def _made(self, node: Node) -> Node:
        if isinstance(node, Scalar):
            return self.scalar(node)
        if isinstance(node, Map):
            return Map({key: self.tree(item) for key, item in node.items.items()}, node.at)
        return Seq([self.tree(item) for item in node.items], node.at)

    def scalar(self, node: Scalar) -> Scalar:
        """One value; what cannot be interpolated stays as written."""
        try:
            return Scalar(self.text(str(node.raw), node.at), node.raw, node.at)
        except Invalid as error:
            what = f"invalid interpolation: {error} (a literal $ is written $$)"
            self.ledger.problem("interpolation-invalid", what, node.at)
            return node

    def text(self, template: str, at: At) -> str:
        """The template with its variables replaced; raises Invalid."""
        out, index = [], 0
        while index < len(template):
            literal = _PLAIN_TEXT.match(template, index)
            if literal:
                out.append(literal.group())
                index = literal.end()
                continue
            value, index = self._variable(template, index, at)
            out.append(value)
        result = "".join(out)
        if len(result) > MAX_EXPANDED:
            raise Invalid("the value grows beyond all measure")
        return result

    def _variable(self, template: str, index: int, at: At) -> tuple[str, int]:
        """The value of the variable at `index` (which holds `$`), and where the text goes on."""
        following = template[index + 1 : index + 2]
        if following == "$":
            return "$", index + 2
        if following == "{":
            end = closing_brace(template, index + 1)
            if end < 0:
                raise Invalid(f"'{template[index : index + 40]}' has no closing brace")
            return self._braced(template[index + 2 : end], at), end + 1
        name = _NAME.match(template, index + 1)
        if not name:
            # `$1`, `$(` and a `$` at the end are no variables to Compose: they stay.
            return "$", index + 1
        return self._plain(name.group(), at), name.end()

    def _plain(self, name: str, at: At) -> str:
        self.ledger.refer(name, at)
        value = self.environment.get(name)
        if value is None:
            self.ledger.unset.setdefault(name, {})[at] = None
            return ""
        return value

    def _braced(self, inside: str, at: At) -> str:
        found = _NAME.match(inside)
        if not found:
            raise Invalid(f"'${{{inside[:40]}}}' names no variable")
        name, rest = found.group(), inside[found.end() :]
        if not rest:
            return self._plain(name, at)
        colon = rest.startswith(":")
        operator, operand = rest[colon : colon + 1], rest[colon + 1 :]
        if not operator or operator not in "-?+":
            raise Invalid(f"'${{{inside[:40]}}}' has no operator that Compose knows")
        self.ledger.refer(name, at)
        # Compose interpolates the operand even where it is not used.
        other = self._nested(operand, at)
        value = self.environment.get(name)
        usable = value is not None and not (colon and value == "")
        return self._choose(operator, name, value or "", other, usable, at)

    def _nested(self, operand: str, at: At) -> str:
        if self._depth >= MAX_NESTED:
            raise Invalid(f"variables are nested deeper than {MAX_NESTED} levels")
        self._depth += 1
        try:
            return self.text(operand, at)
        finally:
            self._depth -= 1

    def _choose(self, operator: str, name: str, value: str, other: str, usable: bool, at: At) -> str:
        if operator == "-":
            return value if usable else other
        if operator == "+":
            return other if usable else value
        if not usable:
            reason = f": {other}" if other else ""
            self.ledger.problem(
                "variable-missing", f"required variable {name} is missing a value{reason}", at, key=name
            )
        return value
