"""Proof that a pooler does its work: its console, a login through each pool by more clients than it has, the apps' way.

Readings only: nothing is to be taken back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import field, replace
from threading import Barrier, BoundedSemaphore, BrokenBarrierError

from nftui.catalog.logins import login_of, password_files
from nftui.clients.libpq import LibpqClient, connect_network
from nftui.clients.pglogin import Login
from nftui.clients.postgres import ConnectError, Failure, Query, QueryError
from nftui.clients.scram import fits
from nftui.clients.sql import only
from nftui.model.dataclass import dataclass
from nftui.model.message import Message, msg
from nftui.model.plan import StepSpec
from nftui.model.pooling import SESSIONS_PROBE, TRIED_MOST, PoolerFacts, RoleSecret, ServerFacts
from nftui.model.stack import Container
from nftui.steps.calls import Data
from nftui.steps.gate import POLL_S, containers_of
from nftui.steps.kind import Context, StepFailed
from nftui.steps.reading import Reading

MORE = 3
"""Clients beyond the pool's size: a pool that only works while it is not full is found out."""
AT_ONCE = 40
"""So many log in at the same time: more would wait for each other until they give up."""
SECRETS = "/run/secrets/"
"""Where Compose mounts a service's secrets."""
WAIT_S = 20.0
BACK_S = 120.0
"""So long an app that held sessions may take to open its first one through the pooler: it was started anew."""
_REFUSED = "pooler error:"
"""How the pooler's log begins what it tells a client (log_pooler_errors, on by default: its send_pooler_error)."""
_LINES = 500
_UNREACHABLE = (Failure.REFUSED, Failure.TIMEOUT)


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool, the apps that use it, and their password where one of their containers tells it."""

    user: str
    database: str
    apps: tuple[str, ...] = ()
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.user}/{self.database}"


class PoolsKind(Reading):
    """The pooler runs what was asked, and serves each pool."""

    name = "pgbouncer-pools"
    version = 1
    reads_files = True

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Which apps hold sessions now that will be routed: the plan must not say so, for it changes with time."""
        routes = step.params.get("routes") or {}
        assert isinstance(routes, Mapping)
        live = ctx.probe(str(step.params["server"]), SESSIONS_PROBE) if routes else None
        sessions = live.value.sessions if live and isinstance(live.value, ServerFacts) else ()
        lasting = {(s.address, s.user, s.database) for s in sessions if s.lasts}
        held = (
            app for app, logins in routes.items()
            if any((a, *login) in lasting for a in _addresses(app, ctx) for login in _rows(logins))
        )  # fmt: skip
        return {"held": sorted(held)}

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed naming what the console says otherwise, or the pool that does not serve."""
        console, pools = _console(step, ctx), _pools(step, ctx)
        served = {str(p): _serve(step, p, console, ctx) for p in pools if p.password}
        if not served and console is None:
            raise StepFailed(
                msg("{service} can neither be asked nor tried: its console does not answer, and no password of its "
                    "clients is known here.", service=step.target)
            )  # fmt: skip
        unproven = [p for p in pools if not p.password]
        for pool in unproven:
            ctx.note(str(_unproven(step, pool)))
        version = console.version if console else ""
        return {"console": version, "served": served, "unproven": [str(p) for p in unproven]}


class RouteKind(Reading):
    """An app's sessions come from the pooler, and none of the logins that were routed is direct any more.

    What it opens with other logins (data sources, what its users entered) is none of the pooler's.
    """

    name = "pgbouncer-route"
    version = 1
    reads_files = True

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed where a session still reaches the server past the pooler, or the pooler turned one away.

        One that opens its connections when it has something to ask may have had nothing to ask yet.
        """
        mine, began = _addresses(step.target, ctx), ctx.now()
        held = step.target in _held(step, ctx)
        while True:
            direct, seen = _direct(step, mine, ctx), _seen(step, mine, ctx)
            missing = seen is False and held
            limit = BACK_S if missing and not direct else WAIT_S
            if (seen and not direct) or ctx.now() >= began + limit:
                break
            ctx.sleep(POLL_S)
        if direct:
            raise StepFailed(
                msg("{service} still holds {count} connections of its own to {server}, past the pooler.",
                    service=step.target, count=direct, server=step.params["server"])
            )  # fmt: skip
        if missing and (said := _turned_away(step, mine, ctx)):
            raise StepFailed(msg("{service} does not get through the pooler: {why}", service=step.target, why=said))
        if missing:
            ctx.note(str(msg(
                "{service} held connections to {server}, and has asked for none since: that it comes through the "
                "pooler was not seen yet.", service=step.target, server=step.params["server"],
            )))  # fmt: skip
        return {"through": seen}


def _held(step: StepSpec, ctx: Context) -> Iterable[object]:
    """Apps that held sessions when the pools were proven."""
    found = ctx.recall(str(step.params.get("pools"))).get("held", ())
    assert isinstance(found, Iterable)
    return found


def _addresses(service: str, ctx: Context) -> set[str]:
    return {a for c in containers_of(service, ctx) for a in c.addresses.values() if a}


def _direct(step: StepSpec, addresses: set[str], ctx: Context) -> int:
    """Sessions of its routed logins; a plan of an older nftui names none, and means all."""
    live = ctx.probe(str(step.params["server"]), SESSIONS_PROBE)
    if not isinstance(live.value, ServerFacts):
        raise StepFailed(
            msg("{service} cannot be asked who is connected: {why}", service=step.params["server"],
                why=live.error or "?")
        )  # fmt: skip
    logins = step.params.get("logins")
    routed = None if logins is None else {tuple(login) for login in _rows(logins)}
    mine = [s for s in live.value.sessions if s.address in addresses]
    return sum(routed is None or (s.user, s.database) in routed for s in mine)


def _rows(value: object) -> list[list[str]]:
    assert isinstance(value, (list, tuple))
    return [[str(cell) for cell in row] for row in value]


def _seen(step: StepSpec, addresses: set[str], ctx: Context) -> bool | None:
    """Whether SHOW CLIENTS has the app; None where the console cannot be asked. An idle app may have none."""
    facts = ctx.probe(str(step.params["pooler"]), "pgbouncer").value
    return bool(set(facts.clients) & addresses) if isinstance(facts, PoolerFacts) else None


def _turned_away(step: StepSpec, addresses: set[str], ctx: Context) -> str:
    """The last error that the pooler told a client from there, "" where it told none."""
    found = ""
    for container in containers_of(str(step.params["pooler"]), ctx):
        for line in ctx.engine.logs(container.id, _LINES).splitlines():
            whence, _, why = line.partition(_REFUSED)
            if why and any(f"@{address}:" in whence for address in addresses):
                found = why.strip()
    return found


# -- the console -----------------------------------------------------------------------------------------------
def _console(step: StepSpec, ctx: Context) -> PoolerFacts | None:
    """What it says; None where its image has no tool to ask with."""
    live, end = ctx.probe(step.target, "pgbouncer"), ctx.now() + WAIT_S
    # One of the operator's is proven by nothing else, and may have no check that tells when it listens.
    while not isinstance(live.value, PoolerFacts) and not step.params["clients"] and ctx.now() < end:
        ctx.sleep(POLL_S)
        live = ctx.probe(step.target, "pgbouncer")
    if not isinstance(live.value, PoolerFacts):
        return None
    wanted = _texts(step.params["config"])
    wrong = [f"{k} = {live.value.config.get(k)}, not {v}" for k, v in wanted.items() if live.value.config.get(k) != v]
    wrong += _lost(step, live.value.config)
    for database, mode in _texts(step.params["modes"]).items():
        row = live.value.databases.get(database, {})
        if row.get("pool_mode") != mode:
            wrong.append(f"{database}: pool_mode = {row.get('pool_mode')}, not {mode}")
    if wrong:
        raise StepFailed(
            msg("{service} does not run what was asked: {list}", service=step.target, list="; ".join(wrong))
        )
    return live.value


def _lost(step: StepSpec, config: Mapping[str, str]) -> list[str]:
    """What was only restated, and is now neither as the file has it nor as the console showed it before."""
    kept = step.params.get("kept") or {}
    assert isinstance(kept, Mapping)
    return [
        f"{name} = {config[name]}, not {before}"
        for name, (text, before) in zip(kept, _rows(list(kept.values())), strict=True)
        if name in config and not _same(config[name], text) and not _same(config[name], before)
    ]


def _same(shown: str, text: str) -> bool:
    """PgBouncer shows words in lower case and numbers without what they do not need."""
    try:
        return float(shown) == float(text)
    except ValueError:
        return shown.lower() == text.lower()


def _texts(value: object) -> dict[str, str]:
    assert isinstance(value, Mapping)
    return {str(k): str(v) for k, v in value.items()}


# -- the pools -------------------------------------------------------------------------------------------------
def _pools(step: StepSpec, ctx: Context) -> list[Pool]:
    """Each user and database once, with the password of the first client whose container tells it."""
    found: dict[tuple[str, str], Pool] = {}
    clients = step.params["clients"]
    assert isinstance(clients, Iterable)
    for client in clients:
        app = str(client["service"])
        for key, password in _logins(client, ctx):
            known = found.get(key, Pool(*key))
            apps = tuple(sorted({*known.apps, app}))
            found[key] = replace(known, apps=apps, password=known.password or password)
    pools = [found[key] for key in sorted(found)]
    if all(pool.password for pool in pools):
        return pools
    roles = _roles(step, ctx)
    return [p if p.password else replace(p, password=_from_file(p, roles.get(p.user), ctx)) for p in pools]


def _logins(client: Mapping[str, object], ctx: Context) -> Iterator[tuple[tuple[str, str], str | None]]:
    """User and database with the password, by the plan (of an older nftui: without them) and each of its containers."""
    for user, database in _rows([client["pool"]] if "pool" in client else []):
        yield (user, database), None
    for container in containers_of(str(client["service"]), ctx):
        login = login_of(_texts(client["keys"]), container.environment)
        if login.user and login.database:
            yield (login.user, login.database), login.password


def _roles(step: StepSpec, ctx: Context) -> Mapping[str, RoleSecret]:
    live = ctx.probe(str(step.params["server"]), SESSIONS_PROBE)
    return live.value.roles if isinstance(live.value, ServerFacts) else {}


def _from_file(pool: Pool, role: RoleSecret | None, ctx: Context) -> str | None:
    """The password in a file of one of its apps. The server's own verifier tells it from those of other logins."""
    for container in (c for app in pool.apps for c in containers_of(app, ctx)) if role is not None else ():
        named = (container.environment[name] for name in password_files(container.environment))
        mounted = (mount.target for mount in container.mounts if mount.target.startswith(SECRETS))
        for path in dict.fromkeys([*named, *mounted]):
            for word in _words(ctx.content(container, path) or ""):
                if role is not None and fits(word, role.verifier):
                    return word
    return None


def _words(text: str) -> Iterator[str]:
    """What may be a password in it: the whole, or of a file of libpq's (host:port:database:user:password) each last."""
    yield from dict.fromkeys((text, text.strip()))
    for line in text.splitlines():
        fields = re.split(r"(?<!\\):", line, maxsplit=4)
        if len(fields) == 5:
            yield re.sub(r"\\(.)", r"\1", fields[4])


def _unproven(step: StepSpec, pool: Pool) -> Message:
    return msg("No login through {service} was proven as {user} on {database}: no variable of {apps} has the password, "
               "and no file with it can be read.", service=step.target, user=pool.user, database=pool.database,
               apps=", ".join(pool.apps))  # fmt: skip


def _serve(step: StepSpec, pool: Pool, console: PoolerFacts | None, ctx: Context) -> int:
    """How many clients were served at once. Raises StepFailed."""
    size, count = int(str(step.params["size"])), _count(step, console)
    ways = _ways(step, ctx)
    barrier, gate = Barrier(count), BoundedSemaphore(AT_ONCE)
    with ThreadPoolExecutor(count) as threads:
        wrong = [e for e in threads.map(lambda _: _once(ways, pool, barrier, gate), range(count)) if e]
    if wrong:
        raise StepFailed(
            msg("{service} does not serve {user} on {database}: {why} ({failed} of {count} clients)",
                service=step.target, user=pool.user, database=pool.database, why=wrong[0], failed=len(wrong),
                count=count)
        )  # fmt: skip
    if count <= size:
        ctx.note(str(
            msg("The pool of {user} on {database} was tried by {count} clients at once, no more than the {size} "
                "connections that it may open: that a full one serves is not proven.", user=pool.user,
                database=pool.database, count=count, size=size)
        ))  # fmt: skip
    return count


def _count(step: StepSpec, console: PoolerFacts | None) -> int:
    """More than the pool and its reserve, as far as there are places beside its clients of now and its own check."""
    there = len(console.clients) if console else 0
    places = int(_texts(step.params["config"])["max_client_conn"]) - there - 1
    return max(1, min(int(str(step.params["size"])) + MORE, TRIED_MOST, places))


def _ways(step: StepSpec, ctx: Context) -> list[tuple[str, int]]:
    found: list[Container] = containers_of(step.target, ctx)
    port = int(str(step.params["port"]))
    return [(address, port) for c in found for address in c.addresses.values() if address]


def _once(ways: list[tuple[str, int]], pool: Pool, barrier: Barrier, gate: BoundedSemaphore) -> str | None:
    """One client: in, held until all are in, and two real queries. The reason where it fails.

    Logged in, it holds no connection of the server yet: all of them ask for one at the same time, and wait for it in
    every mode. Never guarded: a SET would stay on the server connection and meet the next client.
    """
    reason = "it has no address"
    for host, port in ways:
        try:
            with gate:
                client = connect_network(
                    Login(pool.user, pool.database, port, pool.password), host, port, f"address {host}:{port}"
                )
        except ConnectError as error:
            reason = error.text
            if error.kind in _UNREACHABLE:
                continue
            break
        try:
            return _asked(client, barrier)
        finally:
            client.close()
    barrier.abort()
    return reason


def _asked(client: LibpqClient, barrier: Barrier) -> str | None:
    with suppress(BrokenBarrierError):
        barrier.wait(WAIT_S)
    try:
        for _ in range(2):
            only(client, Query("SELECT 1", guard=False))
    except QueryError as error:
        return error.text
    return None
