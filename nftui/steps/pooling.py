"""Proof that a pooler does its work: its console, a login through each pool by more clients than it has, the apps' way.

Readings only: nothing is to be taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError

from nftui.catalog.logins import ClientLogin, login_of
from nftui.clients.libpq import connect_network
from nftui.clients.pglogin import Login
from nftui.clients.postgres import ConnectError, Failure, Query, QueryError
from nftui.clients.sql import only
from nftui.model.dataclass import dataclass
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.pooling import PoolerFacts, ServerFacts
from nftui.model.stack import Container
from nftui.steps.calls import Data
from nftui.steps.gate import POLL_S, containers_of
from nftui.steps.kind import Context, StepFailed
from nftui.steps.reading import Reading

MORE = 3
"""Clients beyond the pool's size: a pool that only works while it is not full is found out."""
MOST = 40
"""Never more at once than this: the apps' own clients must still find a place."""
WAIT_S = 20.0
BACK_S = 120.0
"""So long an app that held sessions may take to open its first one through the pooler: it was started anew."""
_UNREACHABLE = (Failure.REFUSED, Failure.TIMEOUT)


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool, and a login that has a password for it."""

    user: str
    database: str
    mode: str
    login: ClientLogin


class PoolsKind(Reading):
    """The pooler runs what was asked, and serves each pool."""

    name = "pgbouncer-pools"
    version = 1
    reads_files = True

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Which apps hold sessions now that will be routed: the plan must not say so, for it changes with time."""
        routes = step.params.get("routes") or {}
        assert isinstance(routes, Mapping)
        live = ctx.probe(str(step.params["server"]), "postgres-roles") if routes else None
        sessions = live.value.sessions if live and isinstance(live.value, ServerFacts) else ()
        lasting = {(s.address, s.user, s.database) for s in sessions if s.lasts}
        held = (
            app for app, logins in routes.items()
            if any((a, *login) in lasting for a in _addresses(app, ctx) for login in _rows(logins))
        )  # fmt: skip
        return {"held": sorted(held)}

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed naming what the console says otherwise, or the pool that does not serve."""
        console = _console(step, ctx)
        served = {f"{p.user}/{p.database}": _serve(step, p, ctx) for p in _pools(step, ctx)}
        if not served and not console:
            raise StepFailed(
                msg("{service} can neither be asked nor tried: its console does not answer, and no password of its "
                    "clients is known here.", service=step.target)
            )  # fmt: skip
        return {"console": console, "served": served}


class RouteKind(Reading):
    """An app's sessions come from the pooler, and none of the logins that were routed is direct any more.

    What it opens with other logins (data sources, what its users entered) is none of the pooler's.
    """

    name = "pgbouncer-route"
    version = 1
    reads_files = True

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed where a session still reaches the server past the pooler, or none has come through it."""
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
        if missing:
            raise StepFailed(
                msg("{service} held connections to {server}, and none has come through the pooler since.",
                    service=step.target, server=step.params["server"])
            )  # fmt: skip
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
    live = ctx.probe(str(step.params["server"]), "postgres-roles")
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


# -- the console -----------------------------------------------------------------------------------------------
def _console(step: StepSpec, ctx: Context) -> str:
    """The version, "" where its image has no tool to ask with."""
    live = ctx.probe(step.target, "pgbouncer")
    if not isinstance(live.value, PoolerFacts):
        return ""
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
    return live.value.version


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
    modes, found = _texts(step.params["modes"]), dict[tuple[str, str], Pool]()
    clients = step.params["clients"]
    assert isinstance(clients, Iterable)
    for client in clients:
        for container in containers_of(str(client["service"]), ctx):
            login = login_of(_texts(client["keys"]), container.environment)
            if login.user and login.database and login.password:
                key = (login.user, login.database)
                found.setdefault(key, Pool(*key, modes.get(login.database, ""), login))
    return [found[key] for key in sorted(found)]


def _serve(step: StepSpec, pool: Pool, ctx: Context) -> int:
    """How many clients were served at once. Raises StepFailed."""
    size = int(str(step.params["size"]))
    held = pool.mode != "session"
    count = min(size + MORE, MOST)
    ways = _ways(step, ctx)
    barrier = Barrier(count) if held else None
    with ThreadPoolExecutor(count) as threads:
        wrong = [e for e in threads.map(lambda _: _once(ways, pool, barrier), range(count)) if e]
    if wrong:
        raise StepFailed(
            msg("{service} does not serve {user} on {database}: {why} ({failed} of {count} clients)",
                service=step.target, user=pool.user, database=pool.database, why=wrong[0], failed=len(wrong),
                count=count)
        )  # fmt: skip
    return count


def _ways(step: StepSpec, ctx: Context) -> list[tuple[str, int]]:
    found: list[Container] = containers_of(step.target, ctx)
    port = int(str(step.params["port"]))
    return [(address, port) for c in found for address in c.addresses.values() if address]


def _once(ways: list[tuple[str, int]], pool: Pool, barrier: Barrier | None) -> str | None:
    """One client: in, a real query, and where the mode allows it held until all are in. The reason where it fails.

    Never guarded: a SET would stay on the server connection and meet the next client.
    """
    reason = "it has no address"
    for host, port in ways:
        login = Login(pool.user, pool.database, port, pool.login.password)
        try:
            client = connect_network(login, host, port, f"address {host}:{port}")
        except ConnectError as error:
            reason = error.text
            if error.kind in _UNREACHABLE:
                continue
            break
        try:
            only(client, Query("SELECT 1", guard=False))
            _wait(barrier)
            only(client, Query("SELECT 1", guard=False))
        except QueryError as error:
            reason = error.text
            break
        finally:
            client.close()
        return None
    if barrier is not None:
        barrier.abort()
    return reason


def _wait(barrier: Barrier | None) -> None:
    if barrier is None:
        return
    try:
        barrier.wait(WAIT_S)
    except BrokenBarrierError:
        return
