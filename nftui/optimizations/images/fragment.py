"""What is written: an image, and where its data lies by then; the steps around it, and what drift watches."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from nftui.model.advice import Assertion, Fragment
from nftui.model.ai import QdrantFacts
from nftui.model.message import Message, msg
from nftui.model.patterns import regex
from nftui.model.plan import DataSwitch, StepSpec, Undo
from nftui.model.redis import RedisFacts
from nftui.model.stack import Role
from nftui.model.units import GIB, MIB
from nftui.optimizations.images.knobs import ID, REHEARSE, STAY
from nftui.optimizations.images.rehearsals import changed_for_good, rehearsal
from nftui.optimizations.images.stores import (
    Store,
    cluster_of,
    fence_of,
    flags_of,
    writers_of,
)
from nftui.optimizations.images.subject import Subject, place_of, resolve, subjects, target_line
from nftui.optimizations.images.versions import line_of, version_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nftui.model.advice import Advice
    from nftui.model.facts import Facts
    from nftui.optimizations.images.versions import Line

_PGDATA = "/var/lib/postgresql/data"
_MOVED = 18
"""The first major whose image has its data elsewhere by default (docker-library/postgres)."""
_BASE_S, _BASE_CPU_S = 5.0, 2.0
"""Of a dump and restore: servers made, started and stopped, and what they take of a processor by that."""
_WORK_S, _DISK_S = 45 * MIB, 150 * MIB
"""Bytes of databases that one processor dumps, restores, indexes, counts twice and analyzes in a second [E: 11.7 s for
453 MiB from 13 to 15]; that a usual disk takes, dump and new server together."""
_EVEN = 0.7
"""How much of what its jobs could have of the processors they get: tables are not of equal size."""
_HELD_S = 30 * MIB
"""Bytes that a Redis holds in memory, saved, saved once more by its stop, copied, compared and loaded in a second,
where nothing can be compressed [E, Redis 7, two busy processors: 384 MiB in 6.0 + 5.5 + 4.3 + 1.3 s]."""
_COPIED_S = 150 * MIB
"""Bytes of files that a usual disk copies and compares in a second."""
_TIMES_VECTORS = 2
"""Bytes that a collection takes on the disk for each of its vectors: graph, payload and what is on its way."""
_MOST_JOBS = 8
_SAVE_S = 1800.0
"""Seconds that a snapshot of a large Redis may take."""


def build_fragment(facts: Facts, advice: Iterable[Advice]) -> Fragment:
    """The image of each service that does not stay; the place of its data where the files' own is of another line."""
    lines = tuple(advice)
    found = {s.name: s for s in subjects(facts)}
    more = {line.knob: str(line.value) for line in lines if line.knob == REHEARSE.name and line.value == "off"}
    services: dict[str, dict[str, object]] = {}
    values: dict[str, dict[str, str]] = {}
    volumes: dict[str, Mapping[str, object]] = {}
    for line in lines:
        subject = found.get(line.service or "")
        if subject is None or line.value in (None, STAY):
            continue
        keys = _keys(facts, subject, str(line.value))
        if keys:
            services[subject.name] = keys
            values[subject.name] = {subject.name: str(line.value), **more}
            volumes |= {str(m["source"]): {"external": True, "name": m["source"]} for m in _volumes(keys)}
    return Fragment(ID, services, values, volumes=volumes)


def _keys(facts: Facts, subject: Subject, value: str) -> dict[str, object]:
    keys: dict[str, object] = {}
    reference = resolve(facts, subject, value)
    if reference != subject.declared:
        keys["image"] = reference.replace("$", "$$")
    place = place_of(facts, subject, value)
    if place is not None and isinstance(subject.store, Store):
        keys["volumes"] = [_mount(subject.store, place)]
        keys |= _environment(subject.store, target_line(facts, subject, value))
    return keys


def _mount(store: Store, place: Mapping[str, str]) -> dict[str, object]:
    source = (place.get("name") or place["path"]).replace("$", "$$")
    kind = "volume" if place["type"] == "volume" else "bind"
    return {"type": kind, "source": source, "target": store.declared.target}


def _environment(store: Store, line: Line | None) -> dict[str, object]:
    """From 18 on the image looks for its data elsewhere, and refuses to start with a mount at the former place."""
    if store.service.role is not Role.POSTGRES or line is None or line[0] < _MOVED:
        return {}
    return {} if store.service.environment.get("PGDATA") else {"environment": {"PGDATA": store.directory}}


def _volumes(keys: Mapping[str, object]) -> list[Mapping[str, object]]:
    mounts = keys.get("volumes")
    return [m for m in mounts if m["type"] == "volume"] if isinstance(mounts, list) else []


# -- data ----------------------------------------------------------------------------------------------------------
def switches(facts: Facts, fragment: Fragment) -> tuple[DataSwitch, ...]:
    """Data that does not lie yet where the fragment says."""
    found = []
    for subject in subjects(facts):
        mounts = fragment.services.get(subject.name, {}).get("volumes")
        if isinstance(mounts, list) and isinstance(subject.store, Store) and subject.running is not None:
            mount = mounts[0]
            key = "name" if mount["type"] == "volume" else "path"
            kind = "volume" if mount["type"] == "volume" else "directory"
            place = {"type": kind, key: str(mount["source"]).replace("$$", "$")}
            if place != subject.store.source:
                found.append(_switch(facts, subject, subject.store, place, fragment))
    return tuple(found)


def _switch(facts: Facts, subject: Subject, store: Store, place: Mapping[str, str], fragment: Fragment) -> DataSwitch:
    reference = str(fragment.services[subject.name].get("image", subject.declared)).replace("$$", "$")
    is_dump = subject.service.role is Role.POSTGRES
    cluster = cluster_of(facts, subject.service) if is_dump else None
    size = cluster.size_bytes if cluster else None
    seconds = _dump_s(facts, size or 0) if is_dump else _BASE_S + _copied_s(facts, subject)
    return DataSwitch(
        dataset=f"{subject.name}-data",
        service=subject.name,
        source=store.source,
        target=place,
        fence=fence_of(facts, store),
        writers=writers_of(facts, subject.service),
        downtime_s=round(seconds, 1),
        size_bytes=size,
        ease=_ease(subject, store),
        dump=_dump(facts, subject, store, reference) if is_dump else None,
    )


def _copied_s(facts: Facts, subject: Subject) -> float:
    """Seconds by what the server tells that it holds; 0 where it tells nothing, or keeps little (Grafana)."""
    live = facts.live_value(subject.name, "redis")
    if isinstance(live, RedisFacts):
        return (live.used_memory or 0) / _HELD_S
    vectors = facts.live_value(subject.name, "qdrant")
    if isinstance(vectors, QdrantFacts):
        return _TIMES_VECTORS * sum(c.vector_bytes or 0 for c in vectors.collections) / _COPIED_S
    return 0.0


def _dump_s(facts: Facts, size: int) -> float:
    """Downtime of a dump and restore of so many bytes, on this machine as busy as it is.

    What else runs gets its fair share of the processors; half of the jobs wait, each other one keeps two tasks going, a
    server's and a client's.
    """
    tasks, cpus = 2 * min(_jobs(facts), _cpus(facts)), _cpus(facts)
    load = facts.host.load or 0.0
    had = min(float(_jobs(facts)), cpus * min(1.0, tasks / (tasks + load)))
    work = (_BASE_CPU_S + size / _WORK_S) / (had * _EVEN)
    return _BASE_S + max(work, size / _DISK_S)


def _cpus(facts: Facts) -> int:
    return (facts.engine.cpus if facts.engine else None) or facts.host.cpu.logical or 1


def _jobs(facts: Facts) -> int:
    """Two for each processor: one of them waits for the disk or its client. [E: a restore in 5.1 s instead of 8.0.]"""
    return min(_MOST_JOBS, 2 * _cpus(facts))


def _ease(subject: Subject, store: Store) -> tuple[StepSpec, ...]:
    """What is done once nobody writes to it any more: it is counted, to be counted again by what runs then."""
    if subject.service.role is Role.REDIS:
        summary = msg("save {service}, and count its keys", service=subject.name)
        return (_counting("save", "redis-save", subject, {}, summary),)
    counted = _COUNTED.get(subject.service.role)
    if counted is None:
        return ()
    summary = msg("count the {things} of {service}", things=counted[1], service=subject.name)
    return (_counting("count", counted[0], subject, _database(subject, store, store.source), summary),)


_COUNTED = {
    Role.REDIS: ("redis-count", msg("keys"), "save"), Role.QDRANT: ("qdrant-count", msg("points"), "count"),
    Role.GRAFANA: ("grafana-count", msg("dashboards and all else that people made"), "count"),
}  # fmt: skip
"""The kind of step, what it counts, and the step that counted it before."""


def _database(subject: Subject, store: Store, place: Mapping[str, str]) -> dict[str, object]:
    """Where the file is that a Grafana keeps it in; others are asked themselves."""
    is_file = subject.service.role is Role.GRAFANA
    return {"place": dict(place), "file": store.inside("grafana.db")} if is_file else {}


def _counting(name: str, kind: str, subject: Subject, params: Mapping[str, object], summary: Message) -> StepSpec:
    return StepSpec(name, kind, subject.name, params, summary, subject.name, optimization=ID, stall_s=_SAVE_S)


def _dump(facts: Facts, subject: Subject, store: Store, reference: str) -> dict[str, object]:
    """What the steps of a dump are told beside the places."""
    running, cluster = subject.running, cluster_of(facts, subject.service)
    assert running is not None and cluster is not None
    memory, jobs = facts.host.memory_bytes or GIB, _jobs(facts)
    return {
        "got": f"image:{subject.name}",
        "image": reference,
        "inside": store.mount.target,
        "pgdata": store.directory,
        "old_image": running.image_id,
        "role": cluster.bootstrap,
        "jobs": str(jobs),
        "preload": cluster.preload,
        "memory": f"{max(64, min(1024, memory // MIB // 16 // jobs))}MB",
        "buffers": f"{max(64, min(1024, memory // MIB // 8))}MB",
        "flags": flags_of(running.command),
        "user": str(subject.service.config.get("user") or ""),
    }


# -- steps ---------------------------------------------------------------------------------------------------------
def _images(facts: Facts, fragment: Fragment) -> list[tuple[Subject, str]]:
    found = {s.name: s for s in subjects(facts)}
    written = ((name, keys.get("image")) for name, keys in sorted(fragment.services.items()))
    return [(found[n], str(i).replace("$$", "$")) for n, i in written if i is not None and n in found]


def prepare(facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
    """Every image is had before anything is touched, and tried."""
    return (*_had(facts, fragment), *_rehearsed(facts, fragment))


def _rehearsed(facts: Facts, fragment: Fragment) -> Iterator[StepSpec]:
    for subject, _ in _images(facts, fragment):
        values = fragment.values.get(subject.name, {})
        found = rehearsal(facts, subject, values.get(subject.name, STAY))
        # Whether text is sorted alike is no rehearsal: without that look an index may be wrong from then on.
        wanted = values.get(REHEARSE.name) != "off" or subject.service.role is Role.POSTGRES
        if found is not None and found[0] is not None and wanted:
            yield found[0]


def _had(facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
    return tuple(
        StepSpec(
            id=f"image:{subject.name}", kind="image", target=reference, service=subject.name, optimization=ID,
            params={"keep": _kept_name(facts, subject), **_major(facts, subject, reference)},
            summary=_having(facts, subject, reference),
            last_back=True,
        )
        for subject, reference in _images(facts, fragment)
    )  # fmt: skip


def _having(facts: Facts, subject: Subject, reference: str) -> Message:
    """Whether a registry is needed, and which image it is."""
    stored = facts.image(reference)
    if stored is None:
        return msg("pull {image}, before anything is touched; keep what {service} runs", image=reference,
                   service=subject.name)  # fmt: skip
    digest = next((d.partition("@")[2] for d in stored.digests), stored.id)
    return msg("{image} is on the engine ({digest}); keep what {service} runs", image=reference, digest=digest,
               service=subject.name)  # fmt: skip


def _kept_name(facts: Facts, subject: Subject) -> str:
    running = subject.running
    tag = running.image_id.removeprefix("sha256:")[:12] if running else "none"
    return f"nftui-kept/{_as_repository(f'{facts.stack.name}-{subject.name}')}:{tag}"


_REPOSITORY = regex(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
"""A name as registries take it (github.com/distribution/reference)."""
_LONGEST = 200


def _as_repository(name: str) -> str:
    """The name, or one like it with a digest: a service may be called `_db` or `DB`, beside one that is called `db`."""
    if _REPOSITORY.fullmatch(name) and len(name) <= _LONGEST:
        return name
    like = re.sub(r"[^a-z0-9]+", "-", name.lower())[:_LONGEST].strip("-")
    return f"{like}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _major(facts: Facts, subject: Subject, reference: str) -> dict[str, object]:
    line = line_of(Role.POSTGRES, version_of(facts, reference)) if subject.service.role is Role.POSTGRES else None
    return {"major": str(line[0])} if line else {}


def read_back(facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
    """What the containers run by then, and what a server that was moved has."""
    moved = {s.service: s for s in switches(facts, fragment)}
    counted = (s for s, _ in _images(facts, fragment) if s.name in moved and s.service.role in _COUNTED)
    return (*_checks(facts, fragment), *(_count(s, moved[s.name]) for s in counted))


def _count(subject: Subject, switch: DataSwitch) -> StepSpec:
    assert isinstance(subject.store, Store)
    kind, things, saved = _COUNTED[subject.service.role]
    params = {**_database(subject, subject.store, switch.target), "saved": saved}
    summary = msg("count the {things} of {service} again", things=things, service=subject.name)
    return _counting(f"{ID}-count:{subject.name}", kind, subject, params, summary)


def _checks(facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
    return tuple(_check(facts, subject, reference) for subject, reference in _images(facts, fragment))


def _check(facts: Facts, subject: Subject, reference: str) -> StepSpec:
    """It stands for what the new image did at its start: its way back is with loss where data may have changed."""
    places = changed_for_good(facts, subject, reference)
    summary = msg("read back that {service} runs {image}", service=subject.name, image=reference)
    if places:
        summary = msg("read back that {service} runs {image}; what it changes in {places} stays when it is taken back",
                      service=subject.name, image=reference, places=", ".join(places))  # fmt: skip
    return StepSpec(
        id=f"{ID}-check:{subject.name}", kind="image-check", target=subject.name, service=subject.name,
        optimization=ID, params={"reference": reference}, summary=summary,
        undo_after_write=Undo.LOSSY if places else Undo.EXACT,
    )  # fmt: skip


def assertions(fragment: Fragment) -> tuple[Assertion, ...]:
    """The reference that each container was made from."""
    return tuple(
        Assertion("container", f"{name}.image", str(keys["image"]).replace("$$", "$"),
                  {"service": name, "field": "image"}, "high")
        for name, keys in sorted(fragment.services.items()) if "image" in keys
    )  # fmt: skip
