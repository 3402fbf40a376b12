"""Who may be pooled, and how far: by catalog, by what is seen on the server, and by what stands in the way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from nftui.catalog.apps import Pooling
from nftui.catalog.connections import rewrite
from nftui.catalog.logins import TLS
from nftui.catalog.references import parse_reference
from nftui.model.dataclass import dataclass
from nftui.model.errors import UsageError
from nftui.model.message import Message, msg
from nftui.model.patterns import regex
from nftui.model.stack import Role
from nftui.optimizations._servers import variables
from nftui.optimizations.pgbouncer.knobs import DIRECT, ID, POOLED, ROUTE, SESSION, STATEMENT, TRANSACTION
from nftui.optimizations.pgbouncer.site import NAME

if TYPE_CHECKING:
    from nftui.model.choices import Choices
    from nftui.model.stack import Service
    from nftui.optimizations.pgbouncer.site import Link, Site

PORT = 5432
"""Where the pooler listens: the server's usual port, so that an app which names none, or cannot, finds it."""
USUAL_POOL, SPARE = 25, 1.3
"""In session mode a pool must have room for the most clients that there will be, not only for those of now."""
_JOB = regex(r"backup|dump|migrat|restore|(?:^|[-_/])(?:init|setup|seed|wait|cron|beat)(?:$|[-_/])|exporter")
_TIMEOUTS = regex(r"(?:\s*(?:-c\s*|--)(?:statement|lock|idle_in_transaction_session)_timeout=\S+)*")
_SENDS_TIMEOUTS = ("n8n",)
"""Apps that ask for a statement_timeout when they connect (databases reference 2.3)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one app reaches the server, and why."""

    service: str
    route: str
    """pooled (the pooler's mode), session or direct."""
    recommended: str
    why: Message
    links: tuple[Link, ...]
    chosen: bool = False
    drops: bool = False
    """What it asks for at its start is dropped by the pooler."""
    possible: bool = True
    """False where something stands in the way of any route but direct."""

    @property
    def through(self) -> bool:
        """Whether it goes through the pooler."""
        return self.route != DIRECT


def judge(site: Site, choices: Choices, obstacle: Message | None = None) -> tuple[Verdict, ...]:
    """One verdict for each app, in name order. Raises UsageError for a chosen route that is not to be had.

    `obstacle`: why none of them can be routed.
    """
    found = [
        _judge(site, name, tuple(links), choices, obstacle or _obstacle(site, links))
        for name, links in site.apps().items()
    ]
    return tuple(_side_by_side(found))


def _judge(site: Site, name: str, links: tuple[Link, ...], choices: Choices, obstacle: Message | None) -> Verdict:
    chosen = choices.value(ID, None, ROUTE + name)
    drops = any(_drops(link) for link in links)
    if obstacle is not None:
        if chosen not in (None, DIRECT):
            raise UsageError(
                msg("{id}.{knob} = {value} is refused: {why}", id=ID, knob=ROUTE + name, value=chosen,
                    why=str(obstacle))
            )  # fmt: skip
        return Verdict(name, DIRECT, DIRECT, obstacle, links, chosen is not None, possible=False)
    recommended, why = _recommend(site, links)
    if recommended == POOLED and choices.value(ID, None, "pool_mode") == STATEMENT:
        recommended, why = SESSION, msg("Statement mode forbids transactions of several statements.")
    return Verdict(name, chosen or recommended, recommended, why, links, chosen is not None, drops)


# -- what makes it impossible ------------------------------------------------------------------------------------
def _obstacle(site: Site, links: Iterable[Link]) -> Message | None:
    for link in links:
        for check in (_network, _fixed_name, _secret, _tls, _search_path, _text):
            reason = check(site, link)
            if reason is not None:
                return reason
    return None


def _network(site: Site, link: Link) -> Message | None:
    if networks(link.client) & networks(site.server):
        return None
    return msg("it shares no network of the stack with {server}, so no name leads it to a pooler.",
               server=site.server.name)  # fmt: skip


def _fixed_name(site: Site, link: Link) -> Message | None:
    hosts = str(link.client.config.get("extra_hosts") or "")
    if re.search(rf"(?<![\w.-]){NAME}[:=]", hosts) is None:
        return None
    return msg("its extra_hosts send the name {name} elsewhere.", name=NAME)


def _secret(site: Site, link: Link) -> Message | None:
    user = link.login.user
    if not user or not link.login.database:
        return msg("its user or database stands in no variable, so its pool cannot be named.")
    role = site.facts.roles.get(user)
    if role is None:
        return msg("the server has no login role {user}.", user=user)
    if role.kind == "md5":
        return msg("the password of {user} is kept as md5: set it again under password_encryption = scram-sha-256.",
                   user=user)  # fmt: skip
    if role.kind == "none":
        return msg("the server knows no password of {user}, so a pooler cannot tell whom it lets in.", user=user)
    return None


def _tls(site: Site, link: Link) -> Message | None:
    """What is encrypted stays encrypted: the pooler would need a certificate of its own."""
    mode = link.login.sslmode.lower()
    if mode in TLS:
        return msg("it asks for TLS (sslmode={mode}), which the pooler could not offer.", mode=mode)
    if site.facts.tls and mode != "disable":
        return msg("{server} speaks TLS, and the way from the app to a pooler would be in clear.",
                   server=site.server.name)  # fmt: skip
    return None


def _search_path(site: Site, link: Link) -> Message | None:
    if not link.login.options or _TIMEOUTS.fullmatch(link.login.options):
        return None
    return msg("it sets options when it connects ({options}); a pooler would drop them.", options=link.login.options)


def _text(site: Site, link: Link) -> Message | None:
    refused = rewrite(link.connection, variables(link.client), NAME, PORT).refused
    if refused is None:
        return None
    return msg("the text of {key} does not show its host (an env_file, or one whole variable).", key=refused)


def _drops(link: Link) -> bool:
    app = link.connection.app
    return bool(link.login.options) or (app is not None and app.id in _SENDS_TIMEOUTS)


def networks(service: Service) -> set[str]:
    """The networks of the stack that it is on."""
    if service.config.get("network_mode"):
        return set()
    declared = service.config.get("networks")
    return {str(n) for n in declared} if isinstance(declared, (Mapping, list, tuple)) and declared else {"default"}


# -- what is wise ------------------------------------------------------------------------------------------------
def _recommend(site: Site, links: tuple[Link, ...]) -> tuple[str, Message]:
    service = links[0].client
    job = _why_job(service)
    if job is not None:
        return DIRECT, job
    seen = _seen(site, links)
    if seen is not None:
        return SESSION, seen
    known = {link.connection.use.pooling if link.connection.use else None for link in links}
    if known == {Pooling.TRANSACTION}:
        return POOLED, msg("It is known to work in transaction mode.")
    if Pooling.SESSION in known:
        return SESSION, msg("It is known to need its session (LISTEN, session locks or settings).")
    held = max(site.held(link.login.user, link.login.database) for link in links)
    if held * SPARE > USUAL_POOL:
        return DIRECT, msg("Nothing is known of it, and {count} connections are held with its login: in session mode a "
                           "pool of {size} would make some of them wait.", count=held, size=USUAL_POOL)  # fmt: skip
    return SESSION, msg("Nothing is known of it: session mode changes nothing that it could notice.")


def _why_job(service: Service) -> Message | None:
    if service.role in (Role.EXPORTER, Role.CLIENT):
        return msg("Backups, exporters and tools stay direct: a pooler would hide or break what they look at.")
    words = [service.name, parse_reference(service.image or "").name, " ".join((service.command or ())[:3])]
    if service.restart in ("no", "on-failure") or any(_JOB.search(word) for word in words):
        return msg("Migrations and jobs stay direct: they use session locks and settings.")
    return None


def _seen(site: Site, links: tuple[Link, ...]) -> Message | None:
    addresses = {a for c in links[0].client.containers for a in c.addresses.values()}
    mine = [s for s in site.facts.sessions if s.address in addresses]
    if any(s.listens for s in mine):
        return msg("It uses LISTEN, which only session mode serves.")
    if any(s.holds_lock for s in mine):
        return msg("It holds advisory locks between transactions, which only session mode serves.")
    if {link.login.database for link in links} & site.facts.temporary:
        return msg("Its database has temporary tables now, which only session mode serves.")
    return None


def _side_by_side(found: list[Verdict]) -> Iterable[Verdict]:
    """A database has one mode at the pooler: beside an app in transaction mode the others stay direct."""
    pooled = {link.login.database for v in found if v.route == POOLED for link in v.links}
    for verdict in found:
        shared = {link.login.database for link in verdict.links} & pooled
        if verdict.route != SESSION or not shared:
            yield verdict
        elif verdict.chosen:
            raise UsageError(
                msg("{id}.{knob} = session is refused: the database {database} is pooled for others already, and has "
                    "one mode. Choose pooled or direct.", id=ID, knob=ROUTE + verdict.service,
                    database=min(str(d) for d in shared))
            )  # fmt: skip
        else:
            why = msg("Its database is pooled in another mode for other apps, which might not suit it.")
            yield replace(verdict, route=DIRECT, recommended=DIRECT, why=why)


def mode_of(verdict: Verdict, pool_mode: str | None) -> str:
    """The mode of its databases."""
    return SESSION if verdict.route == SESSION else pool_mode or TRANSACTION
