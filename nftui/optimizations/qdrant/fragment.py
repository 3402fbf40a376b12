"""What is written: environment for new collections, updates for those that are there, and what drift watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.advice import Assertion, Fragment
from nftui.model.ai import QdrantFacts
from nftui.model.message import msg
from nftui.model.plan import StepSpec, Undo
from nftui.optimizations.qdrant import rules, sharding
from nftui.optimizations.qdrant.knobs import ENV, ID, RECALL, STOCK, TUNED
from nftui.optimizations.qdrant.server import build_server

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nftui.model.advice import Advice
    from nftui.model.ai import Collection
    from nftui.model.facts import Facts

_PREFIX = "collection."
_KEPT = ("recall_floor", "snapshot")
_STALL_S = 600.0
"""Beside what its points take, which the step knows: a plan must not change with each point that an app writes."""


def build_fragment(facts: Facts, advice: Iterable[Advice]) -> Fragment:
    """Environment that differs from what is declared; every collection's values, which shall stand from then on."""
    services: dict[str, dict[str, object]] = {}
    values: dict[str, dict[str, str]] = {}
    for line in advice:
        service = facts.stack.service(line.service or "")
        if service is None or line.value is None:
            continue
        kept = values.setdefault(service.name, {})
        if line.knob in ENV:
            written = build_server(facts, service, {}).declared(ENV[line.knob])
            if line.value != (written[1] if written else STOCK.get(line.knob, "0")):
                environment = services.setdefault(service.name, {}).setdefault("environment", {})
                assert isinstance(environment, dict)
                environment[written[0] if written else ENV[line.knob]] = line.value
                kept[line.knob] = line.value
        elif ((line.knob.startswith(_PREFIX) or sharding.is_own(line.knob)) and not line.kept) or line.knob in _KEPT:
            kept[line.knob] = line.value
    return Fragment(ID, services, {name: dict(sorted(kept.items())) for name, kept in values.items() if kept})


def collections_of(values: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Collection to knob to value, as the server's API writes it."""
    found: dict[str, dict[str, str]] = {}
    for knob, value in values.items():
        name, _, what = knob.removeprefix(_PREFIX).rpartition(".")
        if knob.startswith(_PREFIX) and what in TUNED:
            found.setdefault(name, {})[what] = {"on": "true", "off": "false"}.get(value, value)
    return found


def live_steps(facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
    """The read-back of the defaults; then for each collection that differs a snapshot and its update."""
    steps: list[StepSpec] = []
    root = facts.engine.data_root if facts.engine else ""
    for service, values in sorted(fragment.values.items()):
        defaults = {name: values[name] for name in STOCK if name in values}
        if defaults:
            steps.append(_read_back(service, defaults))
        live = facts.live_value(service, ID)
        for collection in live.collections if isinstance(live, QdrantFacts) else ():
            wanted = collections_of(values).get(collection.name, {})
            steps += _collection_steps(service, collection, wanted, values, root)
    return tuple(steps)


def _read_back(service: str, defaults: dict[str, str]) -> StepSpec:
    return StepSpec(
        id=f"{ID}-defaults:{service}", kind="qdrant-defaults", target=service, params={"expected": defaults},
        summary=msg("read the defaults of new collections back from {service}", service=service),
        service=service, optimization=ID,
    )  # fmt: skip


def _collection_steps(
    service: str, collection: Collection, wanted: dict[str, str], values: Mapping[str, str], root: str
) -> list[StepSpec]:
    patch = collection.index.patch(wanted)
    if not patch:
        return []
    target, name = f"{service}/{collection.name}", collection.name
    floor = float(values.get("recall_floor", "0"))
    update = StepSpec(
        id=f"{ID}-collection:{service}.{name}", kind="qdrant-collection", target=target,
        params={"collection": name, "patch": patch, "recall_floor": floor, "or_before": floor == RECALL},
        summary=msg("index of {name} in {service}: {changes}", name=name, service=service,
                    changes=_changes(collection, wanted)), service=service, optimization=ID,
        undo=Undo.EXACT, stall_s=_STALL_S, live=True,
    )  # fmt: skip
    if values.get("snapshot") == "off":
        return [update]
    return [_snapshot(service, collection, root), update]


def _changes(collection: Collection, wanted: Mapping[str, str]) -> str:
    """What of the index becomes another, in the words of the server's API."""
    now = {name: collection.index.effective(name) for name in wanted}
    return ", ".join(
        f"{name} {now[name]} to {value}" if now[name] else f"{name} {value}"
        for name, value in wanted.items() if value != now[name]
    )  # fmt: skip


def _snapshot(service: str, collection: Collection, root: str) -> StepSpec:
    """`root`: the engine's, below which a container keeps what no mount holds."""
    target, name = f"{service}/{collection.name}", collection.name
    size = max(collection.vector_bytes or 0, rules.memory_bytes(collection))
    return StepSpec(
        id=f"{ID}-snapshot:{service}.{name}", kind="qdrant-snapshot", target=target,
        params={"collection": name, "bytes": _rounded(size), "root": root},
        summary=msg("snapshot of {name} in {service}, kept by nftui", name=name, service=service), service=service,
        optimization=ID, live=True,
    )  # fmt: skip


def _rounded(size: int) -> int:
    """To powers of two: a plan must not change with each point that an app writes."""
    return 1 << max(20, size.bit_length())


def assertions(fragment: Fragment) -> tuple[Assertion, ...]:
    """Each collection's values, and where the shards behind each alias lie."""
    tuned = tuple(
        Assertion(
            "qdrant-collection", f"{service}.{name}.{what}", value,
            {"service": service, "collection": name, "name": what},
        )
        for service, values in sorted(fragment.values.items())
        for name, wanted in sorted(collections_of(values).items())
        for what, value in sorted(wanted.items())
    )  # fmt: skip
    return (*tuned, *sharding.assertions(fragment))
