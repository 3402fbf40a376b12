"""Presets and the options of plan: intent as text, checked against the knobs, turned into choices.

No optimization is named here: ids, knobs and bounds come from the registry, values from data files.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nftui.engine.check import Ignore
from nftui.model.choices import Choices, Selection
from nftui.model.dataclass import dataclass
from nftui.model.errors import UsageError
from nftui.model.knobs import AUTO, Knob, knob_named
from nftui.model.message import Message, msg
from nftui.model.patterns import regex

if TYPE_CHECKING:
    from nftui.engine.protocols import Optimization, Registry

PRESET_SCHEMA = "nftui/preset/1"
FEW = 12
"""So many words are read at a glance: a nearest one does not hide the others."""
_SUFFIXES = (".yaml", ".yml")
_PLAIN = regex(r"[A-Za-z0-9][A-Za-z0-9_./%+-]*")
"""Scalars that any YAML reader takes as the text they are; all others are quoted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a preset's file, and where; `line` counts from 1."""

    line: int
    text: Message


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset file, read and checked."""

    name: str
    description: str
    path: Path
    text: str
    """As it was read: a pipe can be read once."""
    choices: Choices
    ignore: tuple[Ignore, ...] = ()
    problems: tuple[Problem, ...] = ()
    """What it can be used with all the same: it may have been written for another version of nftui."""

    @property
    def warnings(self) -> tuple[Message, ...]:
        """The same in sentences."""
        return tuple(
            msg("{path} line {line}: {text}", path=str(self.path), line=p.line, text=str(p.text)) for p in self.problems
        )


# -- names ------------------------------------------------------------------------------------------------------
def preset_directories(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Where presets are looked for, first hit wins: the user's, the machine's, the bundled ones."""
    home = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or "/nonexistent") / ".config"
    return Path(home) / "nftui" / "presets", Path("/etc/nftui/presets"), bundled_directory()


def bundled_directory() -> Path:
    """Inside of an installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "_data" / "presets"
    return installed if installed.is_dir() else package.parent / "presets"


def preset_files(environ: Mapping[str, str] = os.environ) -> dict[str, Path]:
    """Every preset that can be named; the operator's hide bundled ones of the same name."""
    found: dict[str, Path] = {}
    for directory in preset_directories(environ):
        if directory.is_dir():
            for path in sorted(directory.iterdir()):
                if path.suffix in _SUFFIXES and path.is_file():
                    found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def find_preset(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The file of a preset: a path (with a / or .yaml), else a name. Raises UsageError naming the known ones."""
    if "/" in name or name.endswith(_SUFFIXES):
        if Path(name).exists():
            return Path(name)
        raise UsageError(msg("There is no preset file {path}.", path=name))
    known = preset_files(environ)
    if name not in known:
        raise UsageError(unknown_word("preset", name, known))
    return known[name]


def load_preset(registry: Registry, name: str, environ: Mapping[str, str] = os.environ) -> Preset:
    """Read a preset by name or file. Raises UsageError with the first problem and how many more there are."""
    from nftui.presetfile import read_preset

    path = find_preset(name, environ)
    preset, problems = read_preset(path, registry)
    if preset is None or problems:
        more = f" ({len(problems) - 1} more; see nftui preset validate)" if len(problems) > 1 else ""
        first = problems[0]
        raise UsageError(
            msg("{path} line {line}: {text}{more}", path=str(path), line=first.line, text=str(first.text), more=more)
        )
    return preset


# -- ids and knobs ----------------------------------------------------------------------------------------------
def unknown_word(what: str, word: str, known: Iterable[str], most: int | None = None) -> Message:
    """Names the nearest known word, and all of them where there is none or they are few.

    With `most`, none of them where they are more than that.
    """
    words = list(known)
    import difflib

    near = difflib.get_close_matches(word, words, 1, 0.6)
    listed = ", ".join(words) or "none"
    if near and len(words) > FEW:
        return msg("There is no {what} '{word}'. Did you mean '{near}'?", what=what, word=word, near=near[0])
    if near:
        return msg("There is no {what} '{word}'. Did you mean '{near}'? Known: {known}.", what=what, word=word,
                   near=near[0], known=listed)  # fmt: skip
    if most is not None and len(words) > most:
        return msg("There is no {what} '{word}'.", what=what, word=word)
    return msg("There is no {what} '{word}'. Known: {known}.", what=what, word=word, known=listed)


def find_optimization(registry: Registry, name: str) -> Optimization:
    """By its id. Raises UsageError with a suggestion."""
    if name not in registry:
        raise UsageError(unknown_word("optimization", name, registry))
    return registry[name]


def known_findings(registry: Registry) -> tuple[str, ...]:
    """Every id that an ignore list may name: the public ones, and those that an optimization brings."""
    from nftui.engine.protocols import NamesFindings
    from nftui.model.finding_ids import IDS, REFUSALS

    more = (name for o in registry.values() if isinstance(o, NamesFindings) for name in o.finding_ids)
    return tuple(dict.fromkeys((*IDS, *REFUSALS, *more)))


def find_knob(optimization: Optimization, name: str) -> Knob:
    """By its name, variable ends included ("route.app"). Raises UsageError with a suggestion."""
    knob = match_knob(optimization, name)
    if knob is None:
        known = [k.name for k in optimization.knobs]
        raise UsageError(unknown_word("knob", f"{optimization.id}.{name}", [f"{optimization.id}.{k}" for k in known]))
    return knob


def match_knob(optimization: Optimization, name: str) -> Knob | None:
    """The knob of that name, None where there is none; exact names come before patterns."""
    return knob_named(optimization.knobs, name)


def checked(optimization: Optimization, service: str | None, name: str, text: str) -> str:
    """The canonical value ("auto" stays). Raises UsageError: unknown knob, bad value, not per service."""
    knob = find_knob(optimization, name)
    place = f"@{service}" if service else ""
    qualified = f"{optimization.id}{place}.{name}"
    if service and not knob.per_service:
        raise UsageError(
            msg("{id}.{knob} holds for the whole optimization; write it without @{service}.",
                id=optimization.id, knob=name, service=service)
        )  # fmt: skip
    return knob.check(text, qualified)


# -- options of plan --------------------------------------------------------------------------------------------
Assignment = tuple[str, str | None, str, str]
"""Optimization, service, knob, value; "auto" stands for taking the value out."""


def parse_set(registry: Registry, text: str) -> Assignment:
    """`ID.KNOB=VALUE` or `ID@SERVICE.KNOB=VALUE`. Names of services and knobs may hold dots."""
    left, equals, value = text.partition("=")
    name = re.split(r"[.@]", left, maxsplit=1)[0]
    rest = left[len(name) :]
    if not equals or len(rest) < 2:
        raise UsageError(msg("--set {text}: write it as ID.KNOB=VALUE or ID@SERVICE.KNOB=VALUE.", text=text))
    optimization = find_optimization(registry, name)
    service, knob = _service_and_knob(optimization, rest, text)
    return name, service, knob, checked(optimization, service, knob, value)


def _service_and_knob(optimization: Optimization, rest: str, text: str) -> tuple[str | None, str]:
    if rest.startswith("."):
        return None, rest[1:]
    words = rest[1:].split(".")
    splits = [(".".join(words[:i]), ".".join(words[i:])) for i in range(1, len(words))]
    if not splits or not words[0]:
        raise UsageError(msg("--set {text}: write it as ID.KNOB=VALUE or ID@SERVICE.KNOB=VALUE.", text=text))
    return next((s for s in splits if match_knob(optimization, s[1])), splits[-1])


def parse_sets(registry: Registry, sets: Iterable[str]) -> Choices:
    """All of them as choices: later ones win, and what is set is on."""
    return _with_sets(Choices(), [parse_set(registry, text) for text in sets])


def _with_sets(choices: Choices, sets: Iterable[Assignment]) -> Choices:
    for optimization, service, knob, value in sets:
        choices = choices.select(optimization, Selection.ON).set(optimization, service, knob, value)
    return choices


def build_choices(
    registry: Registry,
    *,
    preset: str | None = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    off: Sequence[str] = (),
    sets: Sequence[str] = (),
) -> tuple[Choices, tuple[Message, ...]]:
    """The options of plan as choices, and warnings. Raises UsageError before anything of the stack is read.

    Without a preset all optimizations are on; a preset speaks for those it names. `only` and `skip` bound what may
    change, `off` takes out, and a value that is set turns its optimization on.
    """
    for name in (*only, *skip, *off):
        find_optimization(registry, name)
    parsed = [parse_set(registry, text) for text in sets]
    _refuse_contradictions(only, skip, off, parsed)
    loaded = load_preset(registry, preset) if preset else None
    base = loaded.choices if loaded else Choices(dict.fromkeys(registry, Selection.ON))
    base, warnings = _restrict(base, only, skip, preset)
    for name in off:
        base = _without_values(base, name).select(name, Selection.OFF)
    return _with_sets(base, parsed), (*(loaded.warnings if loaded else ()), *warnings)


def _refuse_contradictions(
    only: Sequence[str], skip: Sequence[str], off: Sequence[str], sets: Sequence[Assignment]
) -> None:
    named = {"--set": [s[0] for s in sets], "--off": off, "--only": only, "--skip": skip}
    for one, two in (("--only", "--skip"), ("--off", "--skip"), ("--set", "--skip"), ("--set", "--off")):
        for name in named[one]:
            if name in named[two]:
                raise UsageError(msg("{one} and {two} contradict each other about {id}.", one=one, two=two, id=name))
    if only:
        for option in ("--set", "--off"):
            for name in named[option]:
                if name not in only:
                    raise UsageError(
                        msg("{option} changes {id}, but --only leaves it out.", option=option, id=name)
                    )  # fmt: skip


def _restrict(
    base: Choices, only: Sequence[str], skip: Sequence[str], preset: str | None
) -> tuple[Choices, tuple[Message, ...]]:
    warnings = []
    for name in only:
        if base.selection(name) is Selection.UNTOUCHED:
            warnings.append(msg("The preset {preset} says nothing of {id}.", preset=preset, id=name))
    for name in list(base.selections):
        if name in skip or (only and name not in only):
            base = _without_values(base, name).select(name, Selection.UNTOUCHED)
    return base, tuple(warnings)


def _without_values(choices: Choices, optimization: str) -> Choices:
    values = {key: value for key, value in choices.values.items() if key[0] != optimization}
    return replace(choices, values=values)


def check_choices(registry: Registry, choices: Choices, origin: str) -> None:
    """Choices from a file that is not to be trusted: ids, knobs and values must be known and canonical."""
    for name in choices.selections:
        find_optimization(registry, name)
    for (name, service, knob), value in choices.values.items():
        canonical = checked(find_optimization(registry, name), service, knob, value)
        if canonical != value or value == AUTO:
            raise UsageError(msg("{path} was edited: {value} is not how nftui writes it.", path=origin, value=value))


# -- export -----------------------------------------------------------------------------------------------------
def export_preset(choices: Choices, name: str, description: str, ignore: Iterable[Ignore] = ()) -> str:
    """The choices as a preset file."""
    head = [f"schema: {PRESET_SCHEMA}", f"name: {_scalar(name)}", f"description: {_scalar(description)}"]
    body: list[str] = []
    for optimization, selection in sorted(choices.selections.items()):
        if selection is not Selection.UNTOUCHED:
            body += _optimization_lines(choices, optimization, selection)
    ignored = [
        f"  - {{id: {_scalar(i.id)}, service: {_scalar(i.service)}, reason: {_scalar(i.reason)}}}"
        if i.service
        else f"  - {{id: {_scalar(i.id)}, reason: {_scalar(i.reason)}}}"
        for i in ignore
    ]
    return "\n".join([*head, "optimizations:", *body, *(["ignore:", *ignored] if ignored else []), ""])


def _optimization_lines(choices: Choices, optimization: str, selection: Selection) -> list[str]:
    values = sorted((s or "", k, v) for (o, s, k), v in choices.values.items() if o == optimization)
    if selection is Selection.OFF or not values:
        return [f"  {optimization}: {selection}"]
    lines = [f"  {optimization}:", *(f"    {_scalar(k)}: {_scalar(v)}" for s, k, v in values if not s)]
    services = sorted({s for s, _knob, _value in values if s})
    if services:
        lines.append("    services:")
    for service in services:
        lines.append(f"      {_scalar(service)}:")
        lines += [f"        {_scalar(k)}: {_scalar(v)}" for s, k, v in values if s == service]
    return lines


def _scalar(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
