"""What is written: the pooler's service and files, each routed app's variables; and what must hold from then on."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from nftui.catalog.connections import rewrite
from nftui.model.advice import Assertion, Fragment
from nftui.model.choices import Choices
from nftui.model.message import Message, msg
from nftui.model.plan import StepSpec
from nftui.model.pooling import ROLES_PROBE
from nftui.optimizations._servers import variables
from nftui.optimizations.pgbouncer.files import USER, Entry, file_set
from nftui.optimizations.pgbouncer.knobs import ID, SERVER, SESSION
from nftui.optimizations.pgbouncer.service import definition
from nftui.optimizations.pgbouncer.setup import Setup, set_up
from nftui.optimizations.pgbouncer.site import NAME, Site, find_site
from nftui.optimizations.pgbouncer.sizes import pools_of
from nftui.optimizations.pgbouncer.verdicts import PORT
from nftui.optimizations.pgbouncer.versions import stop_signal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nftui.model.advice import Advice
    from nftui.model.facts import Facts
    from nftui.optimizations.pgbouncer.verdicts import Verdict

SERVER_PORT = 5432
_READ_BACK = (
    "pool_mode", "default_pool_size", "reserve_pool_size", "max_client_conn", "query_wait_timeout", "auth_type",
    "max_prepared_statements",
)  # fmt: skip
_SPARE_FILES = 100
_POOLS = f"{ID}-pools:{NAME}"
"""The step that sees who holds sessions before any app is routed anew."""


def planned(facts: Facts, values: Mapping[str, str]) -> Setup | None:
    """The setup that these values of all knobs describe; None where nothing is routed."""
    site = find_site(facts, values.get(SERVER))
    choices = Choices(values={(ID, None, knob): value for knob, value in values.items()})
    setup = set_up(site, choices) if isinstance(site, Site) and values else None
    return setup if setup is not None and setup.routed else None


def build_fragment(facts: Facts, advice: tuple[Advice, ...]) -> Fragment:
    """Empty where no app is to be routed."""
    values = {line.knob: line.value for line in advice if line.value is not None}
    setup = planned(facts, values)
    if setup is None:
        return Fragment(ID)
    user = _user(facts)
    server = (setup.site.server.name, _server_port(setup))
    roles = [setup.site.facts.roles[name] for name in sorted({user for user, _ in setup.pools})]
    files = file_set(setup.settings, server, _entries(setup), roles, user)
    descriptors = int(setup.settings["max_client_conn"]) + setup.held + _SPARE_FILES
    where = files.directory(facts.stack.base)
    whole = definition(setup.image, where, server, user, descriptors, _networks(setup))
    signal = stop_signal(setup.image, SESSION in setup.modes.values())
    services: dict[str, Mapping[str, object]] = {NAME: {**whole, "mem_limit": setup.memory, "stop_signal": signal}}
    services |= {verdict.service: _routed(setup.site, verdict) for verdict in setup.routed}
    return Fragment(ID, services, {NAME: dict(sorted(values.items()))}, (files,),
                    {NAME: tuple(v.service for v in setup.routed)})  # fmt: skip


def _entries(setup: Setup) -> list[Entry]:
    return [
        Entry(name, mode, sum(database == name for _, database in setup.pools)) for name, mode in setup.modes.items()
    ]


def _server_port(setup: Setup) -> int:
    """As the apps reach it; they all name the same server."""
    ports = {link.connection.port for v in setup.routed for link in v.links if link.connection.port}
    return int(min(ports)) if len(ports) == 1 and min(ports).isdigit() else SERVER_PORT


def _networks(setup: Setup) -> dict[str, tuple[str, ...]]:
    """Where the pooler is, and by which further names it is found there."""
    links = [link for v in setup.routed for link in v.links]
    names = tuple(sorted({setup.site.name_for(link.client) for link in links} - {NAME}))
    return {network: names for link in links for network in setup.site.networks_of(link)}


def _user(facts: Facts) -> tuple[int, int]:
    """Whose the Compose file is, so that one who is not root can hand the verifiers over; never root."""
    base = facts.files.get(facts.stack.files[0]) if facts.stack.files else None
    if base is None or not base.uid:
        return USER, USER
    return base.uid, base.gid if base.gid is not None else base.uid


def _routed(site: Site, verdict: Verdict) -> dict[str, object]:
    changed: dict[str, str] = {}
    for link in verdict.links:
        changed |= rewrite(link.connection, variables(link.client), site.name_for(link.client), PORT).values
    needs = {NAME: {"condition": "service_healthy"}}
    return {"environment": changed, "depends_on": needs}


# -- read back -------------------------------------------------------------------------------------------------
def in_fragment(facts: Facts, fragment: Fragment) -> Setup | None:
    """The setup that the fragment was made from."""
    return planned(facts, fragment.values.get(NAME, {}))


def read_back(setup: Setup) -> tuple[StepSpec, ...]:
    """The pooler's own account and a login through each pool; then where each app's sessions come from."""
    clients = [
        {"service": v.service, "keys": dict(link.keys), "pool": list(link.pool)}
        for v in setup.routed for link in v.links
    ]  # fmt: skip
    config = {name: setup.settings[name] for name in _READ_BACK if name in setup.settings}
    size = setup.sizes.pool + setup.sizes.reserve
    common = {"pooler": NAME, "port": PORT, "server": setup.site.server.name}
    routes = {v.service: logins for v in setup.routed if (logins := _logins(v))}
    first = StepSpec(
        id=_POOLS, kind="pgbouncer-pools", target=NAME, service=NAME, optimization=ID, apart=True,
        params={**common, "config": config, "modes": setup.modes, "size": size, "clients": clients, "routes": routes},
        summary=_summary(len(setup.pools)),
    )  # fmt: skip
    return (first, *(_app_step(v, common) for v in setup.routed))


def _summary(pools: int) -> Message:
    if pools == 1:
        return msg("log in through one pool and read the console of {service}", service=NAME)
    return msg("log in through {count} pools and read the console of {service}", count=pools, service=NAME)


def _logins(verdict: Verdict) -> list[list[str]]:
    """A login that a variable takes past the pooler as well proves nothing of the way of its sessions."""
    return [list(login) for login in sorted(set(pools_of([verdict])) - {link.pool for link in verdict.past})]


def _app_step(verdict: Verdict, common: dict[str, object]) -> StepSpec:
    return StepSpec(
        id=f"{ID}-route:{verdict.service}", kind="pgbouncer-route", target=verdict.service, service=verdict.service,
        optimization=ID, params={**common, "logins": _logins(verdict), "pools": _POOLS},
        summary=msg("see that {service} reaches its database through the pooler", service=verdict.service),
    )  # fmt: skip


def assertions(setup: Setup) -> tuple[Assertion, ...]:
    """A password that was set anew makes its userlist line useless: drift, and an apply writes the new one."""
    server = setup.site.server.name
    found = []
    for name in sorted({user for user, _ in setup.pools}):
        verifier = hashlib.sha256(setup.site.facts.roles[name].verifier.encode()).hexdigest()
        params = {"service": server, "name": name, "probe": ROLES_PROBE}
        found.append(Assertion("postgres-role", f"{server}.role.{name}", verifier, params, "high"))
    return tuple(found)
