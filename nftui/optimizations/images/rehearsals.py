"""How another image is tried before the switch: on a copy of the data, on a server of its own, or not; and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.ai import QdrantFacts
from nftui.model.message import Message, msg
from nftui.model.plan import StepSpec
from nftui.model.redis import RedisFacts
from nftui.model.stack import Role
from nftui.optimizations.images.databases import databases_of
from nftui.optimizations.images.knobs import ID
from nftui.optimizations.images.stores import KINDS, Store, cluster_of, flags_of
from nftui.optimizations.images.subject import Subject, moves, resolve, runs_it

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nftui.model.facts import Facts
    from nftui.model.stack import Service

Rehearsal = tuple[StepSpec | None, Message]
"""The step, and what is said about it; without a step, why there is none."""
_LOAD_S = 1800.0
"""Seconds that a large server may take to load or migrate a copy."""
_SEVERAL = msg("No rehearsal: it is one of several servers, and a copy of one alone tells little.")


def rehearsal(facts: Facts, subject: Subject, value: str) -> Rehearsal | None:
    """None where nothing is to be tried: the image stays, or the service keeps nothing."""
    reference = resolve(facts, subject, value)
    if subject.running is None or runs_it(facts, subject, reference):
        return None
    role = subject.service.role
    if role is Role.POSTGRES and isinstance(subject.store, Store):
        return _of_postgres(facts, subject, value, reference)
    if role is Role.REDIS and isinstance(subject.store, Store):
        return _of_redis(facts, subject, subject.store, reference)
    if role is Role.QDRANT and isinstance(subject.store, Store):
        return _of_qdrant(facts, subject, subject.store, reference)
    if role is Role.GRAFANA and isinstance(subject.store, Store):
        return _of_grafana(facts, subject, subject.store, reference)
    places = changed_for_good(facts, subject, reference)
    if not places:
        return None
    return None, msg(
        "No rehearsal: nftui does not know how it keeps its data, so a copy of it could not be trusted. What the new "
        "version changes at its start in {places} stays when the image is taken back: have a backup.",
        places=", ".join(places),
    )


def changed_for_good(facts: Facts, subject: Subject, reference: str) -> tuple[str, ...]:
    """Where another image may change what no step of nftui's brings back: data of whose form nftui knows nothing."""
    known = subject.service.role in KINDS and isinstance(subject.store, Store)
    if known or subject.running is None or runs_it(facts, subject, reference):
        return ()
    return tuple(dict.fromkeys((*own_mounts(subject.service), *databases_of(facts, subject.service))))


def own_mounts(service: Service) -> tuple[str, ...]:
    """Paths inside at which it may write what outlives its container; a socket is none."""
    written = (m.target for m in service.mounts if m.type in ("volume", "bind") and not m.read_only)
    return tuple(target for target in written if not target.endswith(".sock"))


def _of_postgres(facts: Facts, subject: Subject, value: str, reference: str) -> Rehearsal:
    if moves(facts, subject, value):
        return None, msg("Dump and restore are their own rehearsal: all that the new server holds is compared with the "
                         "old one, without a network, before anything is switched.")  # fmt: skip
    if cluster_of(facts, subject.service) is None:
        return None, msg("No rehearsal: the server cannot be asked what its data needs.")
    assert subject.running is not None
    step = StepSpec(
        f"rehearsal:{subject.name}", "pg-try", subject.name,
        {"got": f"image:{subject.name}", "image": reference, "flags": flags_of(subject.running.command)},
        msg("try {image} on a server of its own", image=reference), subject.name, optimization=ID, last_back=True,
    )  # fmt: skip
    return step, msg(
        "A running PostgreSQL cannot be copied as files, and one major keeps its files alike: the image "
        "is tried on a server of its own, for extensions, settings, locales and the order of text."
    )


def _of_redis(facts: Facts, subject: Subject, store: Store, reference: str) -> Rehearsal:
    live = facts.live_value(subject.name, "redis")
    if not isinstance(live, RedisFacts):
        return None, msg("No rehearsal: the server cannot be asked what it loads at its start.")
    if live.mode != "standalone" or live.role != "master" or subject.service.scale > 1:
        return None, _SEVERAL
    if live.config.get("appendonly") != "yes" and live.config.get("save") == "":
        return None, msg("No rehearsal: it writes nothing to its disk, so there is nothing that another version reads.")
    return _on_a_copy(facts, subject, store, reference, "redis", {}, msg(
        "It is rehearsed first: a copy of its data is loaded by what runs now and by {image}, without a network, and "
        "the keys are counted; that takes the disk and the memory once more meanwhile.", image=reference,
    ))  # fmt: skip


def _of_grafana(facts: Facts, subject: Subject, store: Store, reference: str) -> Rehearsal:
    if subject.service.scale > 1:
        return None, _SEVERAL
    more = {"file": store.inside("grafana.db")}
    return _on_a_copy(facts, subject, store, reference, "grafana", more, msg(
        "It is rehearsed first: a copy of its database is migrated by what runs now and by {image}, without a network, "
        "and users, dashboards, data sources and alert rules are counted; that takes the disk and the memory once more "
        "meanwhile.", image=reference,
    ))  # fmt: skip


def _of_qdrant(facts: Facts, subject: Subject, store: Store, reference: str) -> Rehearsal:
    live = facts.live_value(subject.name, "qdrant")
    if not isinstance(live, QdrantFacts):
        return None, msg("No rehearsal: the server cannot be asked for snapshots.")
    if live.cluster is not None or subject.service.scale > 1:
        return None, _SEVERAL
    red = ", ".join(c.name for c in live.collections if c.status == "red")
    if red:
        return None, msg("No rehearsal: {names} failed in the server that runs, so a snapshot of it may not be whole. "
                         "See to that first.", names=red)  # fmt: skip
    more = {"collections": store.inside("collections")}
    return _on_a_copy(facts, subject, store, reference, "qdrant", more, msg(
        "It is rehearsed first: the server makes a snapshot of each collection, what runs now and {image} recover them "
        "without a network, and points, vectors and settings are compared; that takes twice the disk and the memory "
        "once more meanwhile.", image=reference,
    ))  # fmt: skip


def _on_a_copy(
    facts: Facts, subject: Subject, store: Store, reference: str, kind: str, more: Mapping[str, object], words: Message
) -> Rehearsal:
    """The step of that kind of store, unless the engine does not let its data be copied."""
    engine = facts.engine
    if engine is not None and (engine.rootless or engine.userns_remap or engine.product == "desktop"):
        return None, msg("No rehearsal: the engine keeps its data where nftui cannot copy it exactly.")
    name = f"{facts.stack.name}_{subject.name}-rehearsal"
    step = StepSpec(
        f"rehearsal:{subject.name}", f"{kind}-rehearsal", name,
        {"got": f"image:{subject.name}", "image": reference, "source": store.source, "inside": store.mount.target,
         "target": {"type": "volume", "name": name}, "dataset": f"{subject.name}-data",
         "user": str(subject.service.config.get("user") or ""), **more},
        msg("rehearse {image} on a copy of the data of {service}, without a network", image=reference,
            service=subject.name),
        subject.name, optimization=ID, last_back=True, stall_s=_LOAD_S,
    )  # fmt: skip
    return step, words
