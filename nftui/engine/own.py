"""What the planner does with services of nftui's own, and with the files that services mount: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import cast

from nftui.engine.restarts import OWN_GRACE_S, start_step
from nftui.model.advice import ACTS_LABEL, Assertion, Fragment
from nftui.model.dataclass import dataclass
from nftui.model.facts import Facts
from nftui.model.message import Message, msg
from nftui.model.mounted import FOLDER, IGNORE, IGNORED, FileSet, MountedFile
from nftui.model.plan import FileChange, StepSpec, Undo, digest
from nftui.model.stack import Container, Service, Stack
from nftui.steps.own import is_done

ASSERTION = "own-service"
_JOBS = ("no", "on-failure")

Merged = Mapping[str, Mapping[str, object]]


@dataclass(slots=True)
class OwnServices:
    """What becomes of them in a stage."""

    start: list[str] = field(default_factory=list)
    recreate: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    """All of them, before and after."""
    warnings: list[Message] = field(default_factory=list)
    refusals: list[Message] = field(default_factory=list)


def own_users(fragments: Iterable[Fragment]) -> dict[str, tuple[str, ...]]:
    """Own service to the services that use it, over all fragments."""
    found: dict[str, tuple[str, ...]] = {}
    for fragment in fragments:
        for name, users in fragment.own.items():
            found[name] = (*found.get(name, ()), *users)
    return found


def in_profiles(fragment: Fragment, stack: Stack) -> Fragment:
    """The fragment, whose own services are enabled by profiles as what they depend on, or else as their users.

    Compose refuses the whole project where an enabled service depends on one that is not (docker/compose#12900).
    """
    profiles = {name: _profiles(fragment.services[name], users, stack) for name, users in fragment.own.items()}
    services = {
        name: {**keys, "profiles": profiles[name]} if profiles.get(name) else _reachable(name, keys, profiles, stack)
        for name, keys in fragment.services.items()
    }
    return replace(fragment, services=services) if any(profiles.values()) else fragment


def _profiles(definition: Mapping[str, object], users: Sequence[str], stack: Stack) -> list[str]:
    """Empty: always enabled."""
    servers = [s for s in map(stack.service, sorted(depends_on(definition))) if s is not None and s.profiles]
    if servers:
        return sorted(set[str](servers[0].profiles).intersection(*(s.profiles for s in servers)))
    found = [s.profiles for s in map(stack.service, users) if s is not None]
    return sorted({p for names in found for p in names}) if all(found) else []


def _reachable(
    name: str, keys: Mapping[str, object], profiles: Mapping[str, Sequence[str]], stack: Stack
) -> Mapping[str, object]:
    """Without waiting for what may not be enabled when it is: it did not wait for the server itself either."""
    waits, service = keys.get("depends_on"), stack.service(name)
    if not isinstance(waits, Mapping) or service is None:
        return keys
    kept = {n: how for n, how in waits.items() if not profiles.get(n) or _implies(service, profiles[n])}
    return {**keys, "depends_on": kept} if kept else {key: value for key, value in keys.items() if key != "depends_on"}


def _implies(service: Service, profiles: Sequence[str]) -> bool:
    """Whether all that enables the service enables what has those profiles."""
    return bool(service.profiles) and set(service.profiles) <= set(profiles)


def is_job(definition: Mapping[str, object]) -> bool:
    """A service that ends when its work is done, by its restart policy."""
    return str(definition.get("restart", "")).partition(":")[0] in _JOBS


def sort_out(
    facts: Facts,
    present: Mapping[str, bool],
    wanted: Merged,
    before: Merged,
    fragments: Sequence[Fragment],
    in_force: Sequence[Fragment],
) -> OwnServices:
    """`present`: own service that has a container to whether it stands; `wanted`, `before`: merged fragments."""
    users, former = own_users(fragments), own_users(in_force)
    found = OwnServices(names={*users, *former})
    found.remove = sorted(n for n in former if n not in users and n in present)
    for name in _in_order(users, wanted):
        if facts.stack.service(name) is not None:
            found.refusals.append(_taken(name))
        elif present.get(name) and wanted.get(name) == before.get(name):
            continue
        elif present.get(name) and not is_job(wanted[name]):
            found.recreate.append(name)
        elif _is_used(name, users, facts):
            found.start.append(name)
        else:
            found.warnings.append(
                msg("unverified: {service} (nothing that uses it runs; its files are written)", service=name)
            )
    return found


def _taken(name: str) -> Message:
    return msg(
        "Your files have a service {service} already, and nftui would bring one of that name; rename yours, or "
        "switch the optimization off.",
        service=name,
    )


def _is_used(name: str, users: Mapping[str, tuple[str, ...]], facts: Facts, seen: frozenset[str] = frozenset()) -> bool:
    """A service of the operator's that runs uses it, itself or through another one of nftui's own."""
    for user in users[name]:
        service = facts.stack.service(user)
        if service is not None and service.running is not None:
            return True
        if user in users and user not in seen and _is_used(user, users, facts, seen | {name}):
            return True
    return False


def _in_order(users: Mapping[str, tuple[str, ...]], wanted: Merged) -> list[str]:
    """By name, each after those of nftui's own that it depends on."""
    order: list[str] = []

    def add(name: str, above: frozenset[str]) -> None:
        for other in sorted(depends_on(wanted.get(name, {})) & set(users) - above):
            add(other, above | {name})
        if name not in order:
            order.append(name)

    for name in sorted(n for n in users if n in wanted):
        add(name, frozenset({name}))
    return order


def depends_on(definition: Mapping[str, object]) -> set[str]:
    """The services that a definition names, in either form."""
    declared = definition.get("depends_on") or {}
    return {str(name) for name in declared} if isinstance(declared, (Mapping, list, tuple)) else set()


def acting(found: OwnServices, wanted: Merged, before: Merged) -> set[str]:
    """Those that change by themselves what they stand beside (`ACTS_LABEL`)."""
    return {name for name in found.names if _acts(wanted.get(name) or before.get(name) or {})}


def _acts(definition: Mapping[str, object]) -> bool:
    labels = definition.get("labels")
    return isinstance(labels, Mapping) and ACTS_LABEL in labels


# -- steps ---------------------------------------------------------------------------------------------------
def start_steps(facts: Facts, names: Iterable[str], wanted: Merged) -> list[StepSpec]:
    """Before anything is routed to them; those that act, when what they stand beside is as it shall be."""
    return [start_step(name, job=is_job(wanted[name]), after=_servers(facts, wanted[name])) for name in names]


def _servers(facts: Facts, definition: Mapping[str, object]) -> list[str]:
    return sorted(name for name in depends_on(definition) if facts.stack.service(name) is not None)


def one_by_one(recreates: Iterable[StepSpec], late: Sequence[StepSpec]) -> Iterator[StepSpec]:
    """Each with what must be done before the next."""
    for step in recreates:
        yield step
        yield from (s for s in late if s.apart and s.service == step.service)


def remove_steps(names: Iterable[str]) -> list[StepSpec]:
    """After everything is routed away from them; those that act, before what they stand beside changes."""
    return [
        StepSpec(
            id=f"remove:{name}",
            kind="remove",
            target=name,
            service=name,
            params={"grace_s": OWN_GRACE_S},
            summary=msg("remove the container of {service}", service=name),
            undo_after_write=Undo.BY_RESTART,
        )
        for name in names
    ]


# -- files ---------------------------------------------------------------------------------------------------
def file_sets(fragments: Iterable[Fragment], base: str) -> dict[str, FileSet]:
    """Directory to what is in it."""
    return {s.directory(base): s for f in fragments for s in f.files}


def mounted_changes(facts: Facts, fragments: Iterable[Fragment]) -> list[FileChange]:
    """What has to be written, by path; a directory that is whole already is left alone."""
    sets = file_sets(fragments, facts.stack.base)
    wanted = {path: file for s in sets.values() for path, file in s.paths(facts.stack.base).items()}
    if wanted:
        wanted[f"{facts.stack.base}/{FOLDER}/{IGNORE}"] = MountedFile.of(IGNORED)
    changes = [_change(facts, path, file) for path, file in sorted(wanted.items())]
    return [c for c in changes if c is not None]


def _change(facts: Facts, path: str, file: MountedFile) -> FileChange | None:
    fact = facts.files.get(path)
    before = fact.content if fact else None
    if digest(before) == file.digest or file.content is None:
        return None
    if before is not None and path.endswith(f"/{FOLDER}/{IGNORE}"):
        return None  # The operator's own words about it.
    return FileChange(path, "create" if before is None else "update", before, file.content, file.mode, "mounted")


def write_steps(facts: Facts, fragments: Iterable[Fragment], changes: Iterable[FileChange]) -> list[StepSpec]:
    """One for each directory in which something is written."""
    base, changed = facts.stack.base, {c.path: c for c in changes}
    found = []
    for directory, files in sorted(file_sets(fragments, base).items()):
        paths = files.paths(base)
        ignore = f"{base}/{FOLDER}/{IGNORE}"
        if ignore in changed:
            paths[ignore] = MountedFile.of(IGNORED)
        if set(paths) & set(changed):
            found.append(_step(facts, directory, files, paths, goes=False))
    return found


def leave_steps(facts: Facts, fragments: Iterable[Fragment], in_force: Iterable[Fragment]) -> list[StepSpec]:
    """One for each directory that is mounted no longer: the way back proves that it is there."""
    base = facts.stack.base
    stays = set(file_sets(fragments, base))
    gone = {d: s for d, s in file_sets(in_force, base).items() if d not in stays}
    return [_step(facts, d, s, s.paths(base), goes=True) for d, s in sorted(gone.items())]


def _step(facts: Facts, directory: str, files: FileSet, paths: Mapping[str, MountedFile], *, goes: bool) -> StepSpec:
    """A new file belongs to whom the base Compose file belongs, unless it says for whom it is (engine.md 10)."""
    listed = {
        path: {"digest": f.digest, "mode": f.mode, "owner": list(f.owner) if f.owner else None}
        for path, f in sorted(paths.items())
    }
    words = msg("keep {path} for the way back", path=directory) if goes else msg("write {path}", path=directory)
    return StepSpec(
        id=f"{'leave' if goes else 'mounted'}:{files.name}/{files.digest}",
        kind="mounted",
        target=directory,
        params={"files": listed, "like": facts.stack.files[0] if facts.stack.files else None, "goes": goes},
        summary=words,
    )


# -- drift ---------------------------------------------------------------------------------------------------
def own_assertions(fragments: Sequence[Fragment], wanted: Merged, base: str) -> list[Assertion]:
    """What is mounted holds what was written, and what is nftui's own is up."""
    files = {p: f for s in file_sets(fragments, base).values() for p, f in s.paths(base).items()}
    found = [Assertion("file", path, file.digest, {}, "high") for path, file in sorted(files.items())]
    for name, users in sorted(own_users(fragments).items()):
        params = {"service": name, "users": list(users), "job": is_job(wanted.get(name, {}))}
        found.append(Assertion(ASSERTION, name, "up", params, "high"))
    return found


def read_own(containers: Sequence[Container], assertion: Assertion) -> str | None:
    """ "up", or what became of it; None while nothing runs that uses it."""
    name, users = str(assertion.params["service"]), cast("list[str]", assertion.params["users"])
    mine = [c for c in containers if c.service == name and not c.one_off]
    if any(c.running or (assertion.params["job"] and is_done(c)) for c in mine):
        return "up"
    if not any(c.running for c in containers if c.service in users):
        return None
    return mine[0].state if mine else "absent"
