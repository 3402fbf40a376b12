"""Reading a preset file strictly: every problem with its line. Scalars are taken as they are written,

so that YAML's own ideas (`on` as true, `1:30` as a number) never come between the author and the knob.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from nftui.engine.check import Ignore
from nftui.model.choices import Choices, Selection
from nftui.model.dataclass import dataclass
from nftui.model.errors import NftuiError, UsageError
from nftui.model.knobs import AUTO
from nftui.model.message import Message, msg
from nftui.presets import PRESET_SCHEMA, Preset, Problem, checked, find_optimization, known_findings, unknown_word

if TYPE_CHECKING:
    from nftui.engine.protocols import Optimization, Registry

_MAX_BYTES = 1024 * 1024
_KEYS = ("schema", "name", "description", "if_refused", "optimizations", "ignore")
_IF_REFUSED = (AUTO, "stop")
_IGNORE_KEYS = ("id", "service", "reason")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_SELECTIONS = {
    "on": Selection.ON, "true": Selection.ON, "yes": Selection.ON,
    "off": Selection.OFF, "false": Selection.OFF, "no": Selection.OFF,
}  # fmt: skip


class Wrong(Exception):
    """One problem, raised where reading of that part cannot go on."""

    def __init__(self, node: yaml.Node | None, text: Message) -> None:
        super().__init__(str(text))
        self.problem = Problem(_line(node), text)


def read_preset(path: Path, registry: Registry) -> tuple[Preset | None, list[Problem]]:
    """The preset and every problem of its file; None where not even the frame of it can be read."""
    try:
        text = _text_of(path)
        root = _parse(text)
        entries = dict(_entries(root, "preset"))
        _check_schema(root, entries)
    except Wrong as wrong:
        return None, [wrong.problem]
    reader = _Reader(registry)
    return reader.read(path, text, root, entries), sorted(reader.problems, key=lambda p: p.line)


def _line(node: yaml.Node | None) -> int:
    return node.start_mark.line + 1 if node is not None else 1


def _text_of(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as handle:  # perhaps a pipe, whose size nobody knows before
            text = handle.read(_MAX_BYTES + 1)
    except OSError as error:
        raise Wrong(None, msg("the file cannot be read: {why}", why=error.strerror or str(error))) from error
    except ValueError as error:
        raise Wrong(None, msg("the file cannot be read: {why}", why=str(error))) from error
    if len(text) > _MAX_BYTES:
        raise Wrong(None, msg("the file is too large for a preset"))
    return text


def _parse(text: str) -> yaml.MappingNode:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        wrong = Wrong(None, msg("this is not YAML: {why}", why=str(error.problem or error.context)))
        wrong.problem = Problem(mark.line + 1 if mark else 1, wrong.problem.text)
        raise wrong from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Wrong(None, msg("the file cannot be read: {why}", why=why)) from error
    if not isinstance(node, yaml.MappingNode):
        raise Wrong(node, msg("a preset is a mapping with schema, name, description and optimizations"))
    return node


def _check_schema(root: yaml.Node, entries: dict[str, tuple[yaml.Node, yaml.Node]]) -> None:
    if "schema" not in entries:
        raise Wrong(root, msg("'schema: {schema}' is missing", schema=PRESET_SCHEMA))
    node = entries["schema"][1]
    found = node.value if isinstance(node, yaml.ScalarNode) else ""
    version = re.fullmatch(r"nftui/preset/(\d+)", found)
    if version and int(version[1]) > 1:
        raise Wrong(node, msg("this preset ({found}) needs a newer nftui", found=found))
    if found != PRESET_SCHEMA:
        raise Wrong(node, msg("the schema is '{found}', not {schema}", found=found, schema=PRESET_SCHEMA))


def _entries(node: yaml.Node, what: str) -> Iterator[tuple[str, tuple[yaml.Node, yaml.Node]]]:
    """Keys of a mapping, each once. Raises Wrong."""
    if not isinstance(node, yaml.MappingNode):
        raise Wrong(node, msg("{what} must be a mapping", what=what))
    seen: set[str] = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
            raise Wrong(key, msg("{what} takes plain keys only", what=what))
        if key.value in seen:
            raise Wrong(key, msg("'{key}' stands here twice", key=key.value))
        seen.add(key.value)
        yield key.value, (key, value)


def _text(node: yaml.Node, what: str) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
        raise Wrong(node, msg("{what} must be a text", what=what))
    return str(node.value)


@dataclass
class _Reader:
    registry: Registry
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def read(self, path: Path, text: str, root: yaml.Node, entries: dict[str, tuple[yaml.Node, yaml.Node]]) -> Preset:
        for key, (node, _value) in entries.items():
            if key not in _KEYS:
                self._add(node, unknown_word("key", key, _KEYS))
        name = self._required(root, entries, "name")
        if name and not _NAME.fullmatch(name):
            self._add(entries["name"][1], msg("the name takes small letters, digits, . _ and - only"))
        description = self._required(root, entries, "description")
        choices = Choices()
        ignore: tuple[Ignore, ...] = ()
        if "optimizations" in entries:
            choices = self._optimizations(entries["optimizations"][1])
        else:
            self._add(root, msg("'{key}' is missing", key="optimizations"))
        if "ignore" in entries:
            ignore = self._ignore(entries["ignore"][1])
        if "if_refused" in entries and self._yields(entries["if_refused"][1]):
            choices = replace(choices, yielding=frozenset(choices.values))
        return Preset(name, description, path, text, choices, ignore, tuple(self.warnings))

    def _yields(self, node: yaml.Node) -> bool:
        """Whether a value that a server must not get gives way to the recommendation."""
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        if text not in _IF_REFUSED:
            words = " or ".join(_IF_REFUSED)
            self._add(node, msg("if_refused is {words}: what a value gives way to that does not fit", words=words))
        return text == AUTO

    def _add(self, node: yaml.Node | None, text: Message) -> None:
        self.problems.append(Problem(_line(node), text))

    def _required(self, root: yaml.Node, entries: dict[str, tuple[yaml.Node, yaml.Node]], key: str) -> str:
        if key not in entries:
            self._add(root, msg("'{key}' is missing", key=key))
            return ""
        try:
            return _text(entries[key][1], key)
        except Wrong as wrong:
            self.problems.append(wrong.problem)
            return ""

    def _optimizations(self, node: yaml.Node) -> Choices:
        choices = Choices()
        try:
            for name, (key, value) in _entries(node, "optimizations"):
                choices = self._optimization(choices, name, key, value)
        except Wrong as wrong:
            self.problems.append(wrong.problem)
        return choices

    def _optimization(self, choices: Choices, name: str, key: yaml.Node, value: yaml.Node) -> Choices:
        try:
            optimization = find_optimization(self.registry, name)
        except UsageError as error:
            self._add(key, error.message)
            return choices
        if isinstance(value, yaml.ScalarNode):
            selection = _SELECTIONS.get(value.value.lower())
            if selection is None:
                self._add(value, msg("{id} is on, off, or a mapping of its knobs", id=name))
                return choices
            return choices.select(name, selection)
        return self._knobs(choices.select(name, Selection.ON), optimization, None, value)

    def _knobs(self, choices: Choices, optimization: Optimization, service: str | None, node: yaml.Node) -> Choices:
        place = f"{optimization.id}@{service}" if service else optimization.id
        try:
            for name, (key, value) in _entries(node, place):
                if name == "services" and service is None:
                    choices = self._services(choices, optimization, value)
                else:
                    choices = self._knob(choices, optimization, service, (name, key, value))
        except Wrong as wrong:
            self.problems.append(wrong.problem)
        return choices

    def _services(self, choices: Choices, optimization: Optimization, node: yaml.Node) -> Choices:
        for service, (_key, value) in _entries(node, "services"):
            choices = self._knobs(choices, optimization, service, value)
        return choices

    def _knob(
        self,
        choices: Choices,
        optimization: Optimization,
        service: str | None,
        entry: tuple[str, yaml.Node, yaml.Node],
    ) -> Choices:
        name, key, node = entry
        try:
            text = _text(node, f"{optimization.id}.{name}")
            value = checked(optimization, service, name, text)
            if value.startswith("/dev/"):
                raise Wrong(node, msg("a preset holds intent; name no device such as {value}", value=value))
        except Wrong as wrong:
            self.problems.append(wrong.problem)
            return choices
        except NftuiError as error:
            self._add(key, error.message)
            return choices
        return choices.set(optimization.id, service, name, value)

    def _ignore(self, node: yaml.Node) -> tuple[Ignore, ...]:
        if not isinstance(node, yaml.SequenceNode):
            self._add(node, msg("ignore must be a list of id, service and reason"))
            return ()
        found = []
        for item in node.value:
            try:
                found.append(self._ignored(item))
            except Wrong as wrong:
                self.problems.append(wrong.problem)
        return tuple(found)

    def _ignored(self, node: yaml.Node) -> Ignore:
        entries = dict(_entries(node, "ignore"))
        for key, (place, _value) in entries.items():
            if key not in _IGNORE_KEYS:
                raise Wrong(place, unknown_word("key", key, _IGNORE_KEYS))
        for key in ("id", "reason"):
            if key not in entries:
                raise Wrong(node, msg("'{key}' is missing", key=key))
        service = _text(entries["service"][1], "service") if "service" in entries else None
        name, reason = _text(entries["id"][1], "id"), _text(entries["reason"][1], "reason")
        known = known_findings(self.registry)
        if name not in known:  # Not an error: another version of nftui may know it.
            self.warnings.append(Problem(_line(entries["id"][1]), unknown_word("finding", name, known, most=9)))
        return Ignore(name, service, reason)
