"""Why a saved plan no longer fits: the differences of two plan cores, in lines for people (engine.md 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Core = Mapping[str, object]


def differences(saved_core: Core, fresh_core: Core) -> list[str]:
    """One line per difference of what would be done or of what it rests on; empty where the saved plan still fits.

    Grants and fragments do not count by themselves: what they change shows in the files and steps, and the memory of
    services that the plan leaves alone moves with every reading. Takes cores as JSON gives them.
    """
    return [
        *_choices(saved_core, fresh_core),
        *_preconditions(saved_core, fresh_core),
        *_stages(saved_core, fresh_core),
    ]


def _items(core: Core, key: str) -> list[Core]:
    found = core.get(key)
    return [i for i in found if isinstance(i, Mapping)] if isinstance(found, list) else []


def _choices(saved: Core, fresh: Core) -> Iterable[str]:
    if saved.get("choices") != fresh.get("choices"):
        yield "the choices are other ones"


def _preconditions(saved: Core, fresh: Core) -> Iterable[str]:
    old = {(i.get("key"), i.get("op")): i.get("value") for i in _items(saved, "preconditions")}
    new = {(i.get("key"), i.get("op")): i.get("value") for i in _items(fresh, "preconditions")}
    for key in [*old, *(k for k in new if k not in old)]:
        if old.get(key) != new.get(key):
            yield f"{key[0]} was {_short(old.get(key))}, is {_short(new.get(key))}"


def _short(value: object) -> str:
    """Digests and long values are told apart by their beginning."""
    text = "absent" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"


def _stages(saved: Core, fresh: Core) -> Iterable[str]:
    old, new = _items(saved, "stages"), _items(fresh, "stages")
    if [s.get("id") for s in old] != [s.get("id") for s in new]:
        yield f"the stages were {_names(old)}, are {_names(new)}"
    yield from _files(old, new)
    yield from _steps(old, new)


def _names(stages: list[Core]) -> str:
    return ", ".join(str(s.get("id")) for s in stages) or "none"


def _files(old: list[Core], new: list[Core]) -> Iterable[str]:
    before = {(str(s.get("id")), str(f.get("path"))): f for s in old for f in _items(s, "files")}
    after = {(str(s.get("id")), str(f.get("path"))): f for s in new for f in _items(s, "files")}
    for key in [*before, *(p for p in after if p not in before)]:
        path = key[1]
        if key not in after:
            yield f"{path} would not be written any more"
        elif key not in before:
            yield f"{path} would be written as well"
        elif before[key].get("before") != after[key].get("before"):
            yield f"{path} was changed since"
        elif before[key] != after[key]:
            yield f"{path} would get another content"


def _steps(old: list[Core], new: list[Core]) -> Iterable[str]:
    before = {str(i.get("id")): i for s in old for i in _items(s, "steps")}
    after = {str(i.get("id")): i for s in new for i in _items(s, "steps")}
    for name in [*before, *(n for n in after if n not in before)]:
        if name not in after:
            yield f"step {name} is gone"
        elif name not in before:
            yield f"step {name} is new"
        elif before[name] != after[name]:
            yield f"step {name} differs: {_changed_keys(before[name], after[name])}"
    if list(before) != list(after) and sorted(before) == sorted(after):
        yield "the order of the steps is another one"


def _changed_keys(old: Core, new: Core) -> str:
    keys = []
    for key in sorted({*old, *new}):
        one, two = old.get(key), new.get(key)
        if key == "params" and isinstance(one, Mapping) and isinstance(two, Mapping):
            keys += [str(k) for k in sorted({*one, *two}) if one.get(k) != two.get(k)]
        elif one != two:
            keys.append(key)
    return ", ".join(keys)
