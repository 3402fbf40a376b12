"""The registry of live probes: which services each reads, and all that are needed, at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, cast

from nftui.model.facts import Live
from nftui.model.pooling import OUTSIDE_PROBE, POOLER_PROBE, ROLES_PROBE, SESSIONS_PROBE
from nftui.model.postgres import CLUSTER_PROBE
from nftui.model.redis import SENTINEL_PROBE
from nftui.model.stack import Role, Service, Stack
from nftui.probes.resolve import Background

if TYPE_CHECKING:
    from collections.abc import Callable

    from nftui.system.exec import Exec

    ProbeFunction = Callable[[Service, Exec | None, Mapping[str, str]], Live]

_AT_ONCE = 4


class Probe(NamedTuple):
    """A probe and the roles of the services that it can read."""

    roles: tuple[Role, ...]
    read: ProbeFunction


def _of(module: str, name: str) -> ProbeFunction:
    """The function of that name, imported when a service that runs is asked: its client comes with it."""

    def read(service: Service, exec_port: Exec | None, environ: Mapping[str, str]) -> Live:
        probe = cast("ProbeFunction", getattr(import_module(f"nftui.probes.{module}"), name))
        return probe(service, exec_port, environ)

    return read


PROBES: Mapping[str, Probe] = {
    "postgres": Probe((Role.POSTGRES,), _of("postgres", "probe_postgres")),
    CLUSTER_PROBE: Probe((Role.POSTGRES,), _of("postgres_cluster", "probe_cluster")),
    ROLES_PROBE: Probe((Role.POSTGRES,), _of("pooling", "probe_roles")),
    SESSIONS_PROBE: Probe((Role.POSTGRES,), _of("pooling", "probe_sessions")),
    POOLER_PROBE: Probe((Role.PGBOUNCER,), _of("pooler", "probe_pgbouncer")),
    "redis": Probe((Role.REDIS, Role.KEYDB), _of("redis", "probe_redis")),
    SENTINEL_PROBE: Probe((), _of("redis", "probe_sentinel")),
    "qdrant": Probe((Role.QDRANT,), _of("qdrant", "probe_qdrant")),
    "ollama": Probe((Role.OLLAMA,), _of("ollama", "probe_ollama")),
}


def probe_live(
    stack: Stack,
    needs: Iterable[str],
    exec_port: Exec | None,
    probes: Mapping[str, Probe] = PROBES,
) -> dict[tuple[str, str], Live]:
    """(service, probe) to what was read, for each active service that a needed probe knows. Never raises.

    A name that no probe has is passed over: what it would have said stays unknown. Servers outside of the stack are
    asked meanwhile, and stand under their own place.
    """
    needs = set(needs)
    outside = Background(partial(_outside, stack)) if OUTSIDE_PROBE in needs else None
    found = _of_services(stack, needs, exec_port, probes)
    return found | outside.result() if outside else found


def _outside(stack: Stack) -> dict[tuple[str, str], Live]:
    from nftui.probes.outside import probe_outside

    return probe_outside(stack)


def _of_services(
    stack: Stack, needs: set[str], exec_port: Exec | None, probes: Mapping[str, Probe]
) -> dict[tuple[str, str], Live]:
    jobs = [
        (name, service)
        for name in sorted(needs & set(probes))
        for role in probes[name].roles
        for service in stack.with_role(role)
    ]  # fmt: skip

    def run(job: tuple[str, Service]) -> Live:
        name, service = job
        return _one(name, probes[name].read, service, exec_port, stack.environment)

    if sum(service.running is not None for _, service in jobs) < 2:
        return {(service.name, name): run((name, service)) for name, service in jobs}
    from concurrent.futures import ThreadPoolExecutor  # 3 ms, and many a stack does not run

    with ThreadPoolExecutor(min(len(jobs), _AT_ONCE)) as pool:
        return {(service.name, name): live for (name, service), live in zip(jobs, pool.map(run, jobs), strict=True)}


def _one(name: str, read: ProbeFunction, service: Service, exec_port: Exec | None, environ: Mapping[str, str]) -> Live:
    if service.running is None:
        return Live(name, service.name, None, "not running")
    try:
        return read(service, exec_port, environ)
    except Exception as error:  # one service that answers oddly must not cost the facts of all others
        # Only the type: the text of an unforeseen error may quote what it choked on, secrets included.
        return Live(name, service.name, None, f"the probe failed ({type(error).__name__})")
