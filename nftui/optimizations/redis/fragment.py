"""What is written, what is done before and read back after a restart, and what drift watches."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING

from nftui.model.advice import Assertion, Fragment
from nftui.model.message import msg
from nftui.model.plan import StepSpec, Undo
from nftui.model.redis import RedisFacts
from nftui.optimizations._servers import lines_by_service
from nftui.optimizations.redis import handover
from nftui.optimizations.redis.command import merge
from nftui.optimizations.redis.knobs import GRACE, ID, NAMES, REPLICA, SETTINGS, SHARES, SINGLE
from nftui.optimizations.redis.replica import definition, replica_name
from nftui.optimizations.redis.server import KEPT_LABEL, build_server

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.model.advice import Advice
    from nftui.model.facts import Facts
    from nftui.optimizations.redis.server import Server

_STALL_S = 300.0
SAVE_POINTS = "save"
"""No knob: what a server of its own has and would lose, by the name that it has there."""
_NAMES = {**NAMES, SAVE_POINTS: SAVE_POINTS}


def build_fragment(facts: Facts, advice: Iterable[Advice]) -> Fragment:
    """Every value that differs from what a restart without nftui would give."""
    services: dict[str, dict[str, object]] = {}
    values: dict[str, dict[str, str]] = {}
    own: dict[str, tuple[str, ...]] = {}
    moved: list[Fragment] = []
    for service, lines in lines_by_service(facts, advice):
        name = service.name
        server = build_server(facts, service, {})
        if handover.is_moved(lines):
            moved.append(handover.moved_part(server, lines))
            continue
        written = {line.knob: str(line.value) for line in lines if _is_written(server, line)}
        if written.keys() & NAMES.keys():
            written |= _save_points(server)
        if written:
            services[name], values[name] = _keys(server, written), dict(sorted(written.items()))
            kept = sorted(NAMES[line.knob] for line in lines if line.kept and line.knob in written)
            services[name] |= {"labels": {KEPT_LABEL: " ".join(kept)}} if kept else {}
        if written.get("mode") == REPLICA:
            settings = _settings({**_save_points(server), **written})
            services[replica_name(name)] = definition(server, written.get("image"), settings)
            own[replica_name(name)] = (name,)
    single = Fragment(ID, {n: keys for n, keys in services.items() if keys}, values, own=own)
    return reduce(_joined, moved, single)


def _joined(one: Fragment, other: Fragment) -> Fragment:
    """An app may use two servers: it is told of both."""
    both = {**one.services, **other.services}
    for name in one.services.keys() & other.services.keys():
        both[name] = _merged(one.services[name], other.services[name])
    return Fragment(ID, both, {**one.values, **other.values}, own={**one.own, **other.own},
                    volumes={**one.volumes, **other.volumes}, networks={**one.networks, **other.networks})  # fmt: skip


def _merged(one: Mapping[str, object], other: Mapping[str, object]) -> dict[str, object]:
    found = dict(one)
    for key, value in other.items():
        present = found.get(key)
        found[key] = {**present, **value} if isinstance(present, Mapping) and isinstance(value, Mapping) else value
    return found


def _is_written(server: Server, line: Advice) -> bool:
    if line.knob == GRACE:
        return line.value != f"{server.grace_declared}s"
    if line.knob == "mode":
        return line.value != SINGLE
    if line.knob == "image":
        return line.value != server.service.image
    return line.knob in NAMES and line.value != server.baseline(line.knob)


def _keys(server: Server, written: Mapping[str, str]) -> dict[str, object]:
    keys: dict[str, object] = {}
    settings = _settings(written)
    if settings:
        keys["command"] = merge(server.service, settings)
    if GRACE in written:
        keys[GRACE] = written[GRACE]
    return keys


def _settings(written: Mapping[str, str]) -> dict[str, str]:
    return {_NAMES[knob]: value.lower() for knob, value in written.items() if knob in _NAMES}


def _save_points(server: Server) -> dict[str, str]:
    """Said beside the first argument that the server, or a replica of it, gets."""
    lost = server.lost_save
    return {} if lost is None else {SAVE_POINTS: lost}


def settings_of(fragment: Fragment, service: str) -> dict[str, str]:
    """The server's own settings among what is written for that service, under its own names."""
    values = fragment.values.get(service, {})
    if values.get("mode") in SHARES:
        return {}  # They are those of the servers that have its keys.
    return {_NAMES[knob]: value for knob, value in sorted(values.items()) if knob in _NAMES}


def live_steps(facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
    """For each server: its log written before it is recreated with one, and all settings read back after."""
    steps: list[StepSpec] = []
    for service in sorted(fragment.values):
        expected = settings_of(fragment, service)
        if expected:
            log = _log_step(service) if expected.get("appendonly") == "yes" else None
            steps += [*([log] if log else []), _read_back(facts, service, expected, log)]
        if replica_name(service) in fragment.own:
            steps += [_follow_step(service, of) for of in (replica_name(service), service)]
    return (*steps, *handover.live_steps(facts, fragment))


def _log_step(service: str) -> StepSpec:
    return StepSpec(
        id=f"{ID}-log:{service}", kind="redis-log", target=service, params={},
        summary=msg("write everything that is in memory of {service} to its log", service=service), service=service,
        optimization=ID, undo=Undo.EXACT, stall_s=_STALL_S, early=True,
    )  # fmt: skip


def _follow_step(service: str, of: str) -> StepSpec:
    """Done where `of` is started or recreated: the replica, and its master."""
    replica = replica_name(service)
    return StepSpec(
        id=f"{ID}-replica:{of}", kind="redis-replica", target=replica, params={"master": service},
        summary=msg("write to {service} and read it from {replica}", service=service, replica=replica),
        service=of, optimization=ID, undo=Undo.EXACT, stall_s=_STALL_S,
    )  # fmt: skip


def _read_back(facts: Facts, service: str, expected: Mapping[str, str], log: StepSpec | None) -> StepSpec:
    live = facts.live_value(service, ID)
    config = live.config if isinstance(live, RedisFacts) else {}
    params: dict[str, object] = {
        "expected": dict(expected), "previous": {n: config[n] for n in sorted({*SETTINGS, *expected}) if n in config},
        "log": log.id if log else None,
    }  # fmt: skip
    return StepSpec(
        id=f"{ID}-settings:{service}", kind="redis-settings", target=service, params=params,
        summary=msg("read {count} settings back from {service}", count=len(expected), service=service),
        service=service, optimization=ID, undo=Undo.EXACT,
    )  # fmt: skip


def assertions(facts: Facts, fragment: Fragment) -> tuple[Assertion, ...]:
    """Each setting, as the running server says it, and each replica's link to its master."""
    links = tuple(
        Assertion("redis-link", f"{name}.master_link_status", "up", {"service": name, "name": "link"})
        for name in sorted(replica_name(s) for s in fragment.values)
        if name in fragment.own
    )
    return (
        links
        + tuple(handover.assertions(facts, fragment))
        + tuple(
            Assertion("redis-setting", f"{service}.{name}", value, {"service": service, "name": name})
            for service in sorted(fragment.values)
            for name, value in settings_of(fragment, service).items()
        )
    )
