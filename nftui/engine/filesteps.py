"""Steps that switch files in, and the look at what Compose makes of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast

from nftui.engine import own
from nftui.engine.override import lineage_of
from nftui.engine.persist import KEY, Persistence, env_readers, named, separator_in
from nftui.engine.state import InForce
from nftui.model.facts import Facts
from nftui.model.message import msg
from nftui.model.plan import FileChange, StepSpec, digest
from nftui.steps.envkeys import drop_key, get_key, set_key


def override_change(facts: Facts, keep: Persistence, content: bytes | None, before: bytes | None) -> FileChange | None:
    """The override from `before` to `content`; None where they are the same."""
    if content == before:
        return None
    base = facts.files.get(facts.stack.files[0]) if facts.stack.files else None
    mode = base.mode if base and base.mode is not None else 0o644
    action = "delete" if content is None else "create" if before is None else "update"
    return FileChange(keep.override, action, before, content, mode & 0o777, "override")


def other_changes(
    facts: Facts, keep: Persistence, lineage: str, present: Callable[[str], bytes | None]
) -> Iterable[FileChange]:
    """nftui's files by other names go with the last one: Compose would load such a one next. Another state's stay."""
    for path in keep.others:
        if lineage_of(present(path)) == lineage:
            change = override_change(facts, replace(keep, override=path), None, present(path))
            yield from [change] if change else ()


def env_change(keep: Persistence, in_force: InForce, before: bytes | None, *, wanted: bool) -> FileChange | None:
    """`.env` with or without nftui's file in COMPOSE_FILE; None where it stays as it is."""
    content = _with_ours(keep, before) if wanted else _without_ours(keep, in_force.env_origin, before)
    if content == before:
        return None
    action = "delete" if content is None else "create" if before is None else "update"
    return FileChange(keep.env, action, before, content, 0o644, "env", (KEY,))


def _with_ours(keep: Persistence, before: bytes | None) -> bytes | None:
    if keep.mode != "env" or keep.value is None or get_key(before, KEY) == keep.value:
        return before
    return set_key(before, KEY, keep.value)


def _without_ours(keep: Persistence, origin: Mapping[str, object], before: bytes | None) -> bytes | None:
    """`.env` where it names nftui's file, whatever would keep that loaded today: the value from before is back.

    Where it names other files than it did then, those stay. No file where there was none.
    """
    listed = named(before)
    rest = [name for name in listed if not keep.is_ours(name)]
    if before is None or rest == listed:
        return before
    value = _former(keep, origin, before, rest)
    content = set_key(before, KEY, value) if value is not None else drop_key(before, KEY)
    if origin.get("unended") and before.startswith(content) and content.endswith(b"\n"):
        # The last line had no end before the key was appended to it.
        content = content.removesuffix(b"\n").removesuffix(b"\r")
    return None if not content and not origin.get("existed", True) else content


def _former(keep: Persistence, origin: Mapping[str, object], before: bytes, rest: list[str]) -> str | None:
    """The value of the key from before nftui, None for no key; as it is beside nftui's file where that was edited."""
    value, separator = cast("str | None", origin.get("value")), separator_in(before)
    parts = keep.found if value is None else value.split(separator)
    former = None if parts is None else [name for name in parts if name and not keep.is_ours(name)]
    return separator.join(rest) if rest and former is not None and rest != former else value


def file_steps(files: Iterable[FileChange], base: tuple[str, ...]) -> list[StepSpec]:
    """One step each, in the order of writing; `base` is the first Compose file, where there is one."""
    return [_env_step(c) if c.role == "env" else _file_step(c, base) for c in files]


def _file_step(change: FileChange, base: tuple[str, ...]) -> StepSpec:
    """A new file belongs to whom the base Compose file belongs (engine.md 10)."""
    return StepSpec(
        id=f"{change.role}:{change.path.rpartition('/')[2]}",
        kind="file",
        target=change.path,
        params={"after": digest(change.content), "mode": change.mode, "like": base[0] if base else None},
        summary=msg("{action} {path}", action=change.action, path=change.path),
    )


def _env_step(change: FileChange) -> StepSpec:
    keys = {key: get_key(change.content, key) for key in change.keys}
    return StepSpec(
        id="env:.env",
        kind="env",
        target=change.path,
        params={"after": digest(change.content), "keys": keys},
        summary=msg("merge {keys} into {path}", keys=", ".join(change.keys), path=change.path),
    )


def check_step(
    facts: Facts, files: Sequence[FileChange], services: set[str], pending: Collection[str], wanted: own.Merged
) -> list[StepSpec]:
    """Compose says what it would touch; it also recreates what depends on a recreated service, which nftui does not.

    What is `pending` in the operator's files it would touch with or without nftui. `wanted` is what nftui writes.
    Who reads `.env` as its env_file sees nftui's key come or go, which changes nothing for it.
    """
    if not files:
        return []
    readers = {name for c in files if c.role == "env" for name in env_readers(facts.stack, c.path)}
    return [
        StepSpec(
            id="check:project",
            kind="project-check",
            target="project",
            params={
                "services": sorted(services),
                "ignored": sorted(_dependents(facts, services | set(pending) | readers, wanted) - services),
            },
            summary=msg("check that Compose would touch nothing else"),
        )
    ]


def _dependents(facts: Facts, services: set[str], wanted: own.Merged) -> set[str]:
    """Everything that depends on one of `services`, directly or not, also by nftui's doing (`wanted`)."""
    needs = {s.name: own.depends_on(s.config) for s in facts.stack.services}
    for name, keys in wanted.items():
        needs[name] = needs.get(name, set()) | own.depends_on(keys)
    found = set(services)
    while True:
        more = {name for name, others in needs.items() if found & others} - found
        if not more:
            return found
        found |= more
