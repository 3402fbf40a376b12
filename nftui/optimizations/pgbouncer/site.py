"""What the stack has of databases, poolers and apps that use them; where a pooler cannot go, the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING

from nftui.catalog.connections import POSTGRES_LIKE, Connection, connections
from nftui.catalog.logins import ClientLogin, login_keys, login_of
from nftui.catalog.outside import outside_postgres
from nftui.model.dataclass import dataclass
from nftui.model.message import Message, msg
from nftui.model.patterns import regex
from nftui.model.pooling import OUTSIDE_PROBE, ROLES_PROBE, OutsideFacts, ServerFacts
from nftui.model.stack import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nftui.catalog.outside import Outside
    from nftui.model.facts import Facts
    from nftui.model.pooling import Session
    from nftui.model.stack import Service, Stack

NAME = "pgbouncer"
"""The service that nftui brings."""
_PAST = regex(r"(?:^|_)(?:DIRECT|UNPOOLED|NON_?POOL(?:ED|ING)|MIGRAT\w*|SHADOW|LISTEN\w*|REPLICATION)(?:_|$)")
"""Variables for what must not go through a pooler, which people set beside the usual one (Prisma's directUrl and
shadowDatabaseUrl, Vercel's POSTGRES_URL_NON_POOLING, Neon's DATABASE_URL_UNPOOLED)."""


@dataclass(frozen=True, slots=True)
class Link:
    """One app's way to the server."""

    connection: Connection
    keys: Mapping[str, str]
    login: ClientLogin

    @property
    def client(self) -> Service:
        """The app."""
        return self.connection.client

    @property
    def pool(self) -> tuple[str | None, str | None]:
        """User and database."""
        return self.login.user, self.login.database

    @property
    def is_past(self) -> bool:
        """Whether its variable's name asks for a way past a pooler."""
        return "url" in self.keys and _PAST.search(self.connection.key.upper()) is not None


@dataclass(frozen=True, slots=True)
class Site:
    """One server that a pooler can stand before, and everything that connects to it."""

    server: Service
    facts: ServerFacts
    links: tuple[Link, ...]
    first: frozenset[str] = frozenset()
    """Services that must be started before the server is."""
    pooler: frozenset[str] = frozenset()
    """Addresses of the pooler that nftui brought already."""
    usual: str = ""
    """The server that is pooled where nobody says another."""
    beside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Other servers of the stack to their apps, where they have any: nothing there goes through this pooler."""
    outside: tuple[Message, ...] = ()
    """What is known of servers that are none of the stack's."""
    project: str = ""
    shared: frozenset[str] = frozenset()
    """Networks that are not this project's alone: another one may have a service called `NAME` on them."""
    has_image: Callable[[str], bool | None] = lambda reference: None
    """Whether the engine has that image; None: it does not matter (what was advised is only written down)."""

    def held(self, user: str | None, database: str | None) -> int:
        """Sessions of that user on that database that these apps hold themselves now: none once they are pooled."""
        mine = self.sessions_of(*(link.client for link in self.links))
        return sum((s.user, s.database) == (user, database) for s in mine)

    def most_held(self, links: Iterable[Link]) -> int:
        """`held` of the fullest of their pools."""
        return max(self.held(*link.pool) for link in links)

    def sessions_of(self, *clients: Service) -> list[Session]:
        """What they hold themselves now."""
        addresses = {a for client in clients for c in client.containers for a in c.addresses.values() if a}
        return [s for s in self.facts.sessions if s.address in addresses]

    def unpooled(self) -> list[Session]:
        """All sessions but those of a pooler that nftui brought."""
        return [s for s in self.facts.sessions if s.address not in self.pooler]

    def apps(self) -> dict[str, list[Link]]:
        """Service to its links that a pooler may take, in name order."""
        found = self._by_client()
        return {name: [x for x in links if x not in _past(links)] for name, links in found.items()}

    def past(self, name: str) -> tuple[Link, ...]:
        """The links of an app that stay direct whatever becomes of its others."""
        return _past(self._by_client()[name])

    def name_for(self, client: Service) -> str:
        """By which name that app finds this pooler, and no other project's: each network that it is on answers."""
        return self.own_name if networks(client) & self.shared else NAME

    @property
    def own_name(self) -> str:
        """The pooler's name that no other project's has; an underscore is none of a host's in every driver."""
        return f"{self.project}-{NAME}".replace("_", "-")

    def networks_of(self, link: Link) -> set[str]:
        """Where the app and the server meet: on the project's own networks if they have any."""
        common = networks(link.client) & networks(self.server)
        return common - self.shared or common

    def elsewhere(self) -> dict[str, str]:
        """Apps that use none but another server to that one, in name order."""
        here = {link.client.name for link in self.links}
        found = {app: server for server, apps in sorted(self.beside.items()) for app in apps if app not in here}
        return dict(sorted(found.items()))

    def _by_client(self) -> dict[str, list[Link]]:
        found: dict[str, list[Link]] = {}
        for link in sorted(self.links, key=lambda x: x.client.name):
            found.setdefault(link.client.name, []).append(link)
        return found


def networks(service: Service) -> set[str]:
    """The networks of the stack that it is on."""
    if service.config.get("network_mode"):
        return set()
    declared = service.config.get("networks")
    return {str(n) for n in declared} if isinstance(declared, (Mapping, list, tuple)) and declared else {"default"}


def _past(links: list[Link]) -> tuple[Link, ...]:
    """None where the app has no other way."""
    found = tuple(link for link in links if link.is_past)
    return found if len(found) < len(links) else ()


def find_site(facts: Facts, wanted: str | None = None) -> Site | Message:
    """The server that is `wanted`, else the one with the most clients; a Message says why there is none."""
    stack = facts.stack
    refusal = pooled_already(stack) or _mapped_users(facts)
    if refusal is not None:
        return refusal
    servers = {s.name: s for s in stack.with_role(Role.POSTGRES)}
    if not servers:
        return next(iter(outside(facts)), msg("No PostgreSQL server is active in this stack."))
    links = links_of(stack)
    usual = min(servers, key=lambda name: (_is_closed(facts, name), -len(_of(name, links)), name))
    if wanted is not None and wanted not in servers:
        return msg("{service} is no PostgreSQL server that is active in this stack; there are: {names}.",
                   service=wanted, names=", ".join(sorted(servers)))  # fmt: skip
    name = wanted or usual
    found = _site(facts, servers[name], _of(name, links))
    if isinstance(found, Message):
        return found
    others = {n: tuple(sorted({link.client.name for link in _of(n, links)})) for n in sorted(servers) if n != name}
    shared = frozenset(name for name, network in stack.networks.items() if network.get("external"))
    beside = {n: apps for n, apps in others.items() if apps}
    return replace(
        found, usual=usual, beside=beside, project=stack.name, shared=shared, outside=outside(facts)
    )  # fmt: skip


def _of(server: str, links: list[Link]) -> tuple[Link, ...]:
    return tuple(link for link in links if link.connection.server.name == server)


def _is_closed(facts: Facts, server: str) -> bool:
    """Its login may not read what a pooler needs: that stays so, while one that does not answer may come back."""
    known = facts.live_value(server, ROLES_PROBE)
    return isinstance(known, ServerFacts) and bool(known.roles_error)


def _site(facts: Facts, server: Service, mine: tuple[Link, ...]) -> Site | Message:
    if not mine:
        return msg("No service of this stack is known to connect to {service}.", service=server.name)
    known = facts.live_value(server.name, ROLES_PROBE)
    if not isinstance(known, ServerFacts):
        live = facts.live.get((server.name, ROLES_PROBE))
        why = (live.error or "").rstrip(".") if live else "it was not asked"
        return msg("The roles of {service} cannot be read: {why}.", service=server.name, why=why or "it does not run")
    if known.roles_error:
        return msg(
            "The password verifiers of {service} cannot be read ({why}); a superuser's login is needed for that.",
            service=server.name, why=known.roles_error.rstrip("."),
        )  # fmt: skip
    return Site(server, known, mine, _before(facts.stack, server), facts.brought.get(NAME, frozenset()))


def _before(stack: Stack, server: Service) -> frozenset[str]:
    """What it depends on, directly or not."""
    found, new = set[str](), {server.name}
    while new:
        found |= new
        declared = [s.config.get("depends_on") for s in map(stack.service, new) if s is not None]
        new = {str(n) for names in declared if isinstance(names, (Mapping, list, tuple)) for n in names} - found
    return frozenset(found - {server.name})


def links_of(stack: Stack) -> list[Link]:
    """Each way of an active service to a PostgreSQL server or a pooler of the stack."""
    found = []
    for one in connections(stack):
        if one.kind == "postgres" and one.client.active:
            keys = login_keys(one)
            found.append(Link(one, keys, login_of(keys, one.client.environment)))
    return found


def pooled_already(stack: Stack) -> Message | None:
    """There is never a second pooler in front of the first."""
    pooler = next((s for s in stack.services if s.active and s.role in POSTGRES_LIKE[1:]), None)
    if pooler is None:
        return None
    return msg("{service} pools connections already; it is left as it is.", service=pooler.name)


def _mapped_users(facts: Facts) -> Message | None:
    engine = facts.engine
    if engine is not None and (engine.rootless or engine.userns_remap):
        return msg(
            "The engine maps users of containers to others of this machine, so that the verifiers could not be handed "
            "to the pooler alone."
        )
    return None


def outside(facts: Facts) -> tuple[Message, ...]:
    """Servers that the stack uses and does not have, with what they said."""
    return tuple(_said(facts, one) for one in outside_postgres(facts.stack))


def _said(facts: Facts, one: Outside) -> Message:
    live = facts.live.get((one.place, OUTSIDE_PROBE))
    known, why = (live.value, live.error or "") if live else (None, "nobody asked it")
    if isinstance(known, OutsideFacts):
        return msg("{service} uses a PostgreSQL outside of this stack ({host}, by {key}): version {version}, "
                   "max_connections {connections}. It is never tuned.", service=one.client, host=one.place,
                   key=one.key, version=known.version, connections=known.max_connections)  # fmt: skip
    return msg("{service} uses a PostgreSQL outside of this stack ({host}, by {key}). It could not be read ({why}), "
               "and is never tuned.", service=one.client, host=one.place, key=one.key, why=why.rstrip("."))  # fmt: skip
