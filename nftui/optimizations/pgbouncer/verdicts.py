"""Who may be pooled, and how far: by catalog, by what is seen on the server, and by what stands in the way."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from nftui.catalog.apps import Pooling
from nftui.catalog.connections import rewrite
from nftui.catalog.logins import TIMEOUTS, TLS, password_files
from nftui.catalog.references import parse_reference
from nftui.model.dataclass import dataclass
from nftui.model.errors import RefusedError
from nftui.model.message import Message, msg
from nftui.model.patterns import regex
from nftui.model.stack import Role
from nftui.optimizations._servers import variables
from nftui.optimizations.pgbouncer.knobs import DIRECT, ID, POOLED, ROUTE, SESSION, STATEMENT, TRANSACTION
from nftui.optimizations.pgbouncer.site import NAME
from nftui.optimizations.pgbouncer.versions import LONG_OPTIONS_SINCE, OPTIONS_SINCE, is_since, prepares

if TYPE_CHECKING:
    from nftui.model.choices import Choices
    from nftui.model.stack import Service
    from nftui.optimizations.pgbouncer.site import Link, Site

PORT = 5432
"""Where the pooler listens: the server's usual port, so that an app which names none, or cannot, finds it."""
USUAL_POOL, SPARE = 25, 1.3
"""In session mode a pool must have room for the most clients that there will be, not only for those of now."""
_JOB = regex(r"backup|dump|migrat|restore|(?:^|[-_/])(?:init|setup|seed|wait|cron|beat)(?:$|[-_/])|exporter")
_TIMEOUTS = regex(rf"(?:\s*(?:-c\s*|--)(?:{'|'.join(TIMEOUTS)})=\S+)*\s*")
_SENDS_TIMEOUTS = ("n8n",)
"""Apps that ask for a statement_timeout when they connect (databases reference 2.3)."""
_UNNAMED = ("n8n",)
"""Apps that name no prepared statements (databases reference 2.8): any version keeps them apart."""
_SCHEMAS = {"n8n": "DB_POSTGRESDB_SCHEMA"}
"""Apps that rely on search_path for a schema other than public, and the variable of it (databases reference 2.8)."""
_PLAIN = regex(r"(?!pgbouncer$)[A-Za-z0-9_.-]+")
"""Databases that pgbouncer.ini can name: its parser takes no quotes (pgbouncer/pgbouncer#971), and one is its own."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one app reaches the server, and why."""

    service: str
    route: str
    """pooled (the pooler's mode), a mode of its own (session, transaction, statement) or direct."""
    recommended: str
    why: Message
    links: tuple[Link, ...]
    """What is routed, if anything is."""
    chosen: bool = False
    drops: bool = False
    """What it asks for at its start is dropped by the pooler."""
    possible: bool = True
    """False where something stands in the way of any route but direct."""
    past: tuple[Link, ...] = ()
    """Further links that stay direct: their variables are there for that."""

    @property
    def through(self) -> bool:
        """Whether it goes through the pooler."""
        return self.route != DIRECT


def judge(site: Site, choices: Choices, image: str, obstacle: Message | None = None) -> tuple[Verdict, ...]:
    """One verdict for each app, in name order. Raises UsageError for a chosen route that is not to be had.

    `image` is the pooler's; `obstacle`: why none of them can be routed.
    """
    keeps = prepares(image) and choices.value(ID, None, "max_prepared_statements") != "0"
    found = [
        _judge(site, name, tuple(links), choices, obstacle or _obstacle(site, links) or _options(links, image), keeps)
        for name, links in site.apps().items()
    ]
    return tuple(_side_by_side(found, choices.value(ID, None, "pool_mode")))


def _judge(
    site: Site, name: str, links: tuple[Link, ...], choices: Choices, obstacle: Message | None, keeps: bool
) -> Verdict:
    """`keeps`: whether the pooler keeps prepared statements apart."""
    chosen = choices.value(ID, None, ROUTE + name)
    drops, past = any(_drops(link) for link in links), site.past(name)
    if obstacle is not None:
        if chosen not in (None, DIRECT):
            raise refused(name, chosen, obstacle)
        return Verdict(name, DIRECT, DIRECT, obstacle, links, chosen is not None, possible=False, past=past)
    mode = choices.value(ID, None, "pool_mode")
    bound = _bound(links)
    if chosen not in (None, DIRECT) and bound is not None and _mode(chosen, mode) != SESSION:
        raise refused(name, chosen, bound)
    recommended, why = _recommend(site, links, keeps)
    if recommended == POOLED and bound is not None and mode != SESSION:
        recommended, why = SESSION, bound
    if recommended == POOLED and mode == STATEMENT:
        recommended, why = SESSION, msg("Statement mode forbids transactions of several statements.")
    return Verdict(name, chosen or recommended, recommended, why, links, chosen is not None, drops, past=past)


def refused(name: str, chosen: str | None, why: Message) -> RefusedError:
    """A chosen route that is not to be had."""
    text = msg("{id}.{knob} = {value} is refused: {why}", id=ID, knob=ROUTE + name, value=chosen, why=why)
    return RefusedError(text, ID, name, ROUTE + name)


def _bound(links: Iterable[Link]) -> Message | None:
    """Pooled, one client's schema would be another one's as well."""
    names = sorted({name for link in links for name in link.login.bound})
    if not names:
        return None
    return msg("It sets its session by {names}, which only session mode serves.", names=", ".join(names))


# -- what makes it impossible ------------------------------------------------------------------------------------
def _obstacle(site: Site, links: Iterable[Link]) -> Message | None:
    for link in links:
        for check in (_network, _fixed_name, _first, _secret, _database, _tls, _search_path, _text):
            reason = check(site, link)
            if reason is not None:
                return reason
    return None


def _network(site: Site, link: Link) -> Message | None:
    if site.networks_of(link):
        return None
    return msg("it shares no network of the stack with {server}, so no name leads it to a pooler.",
               server=site.server.name)  # fmt: skip


def _fixed_name(site: Site, link: Link) -> Message | None:
    hosts, name = str(link.client.config.get("extra_hosts") or ""), site.name_for(link.client)
    if re.search(rf"(?<![\w.-]){re.escape(name)}[:=]", hosts) is None:
        return None
    return msg("its extra_hosts send the name {name} elsewhere.", name=name)


def _first(site: Site, link: Link) -> Message | None:
    """It would wait for a pooler that waits for the server, and `docker compose up` for all three."""
    if link.client.name not in site.first:
        return None
    return msg("{server} is started after it, and a pooler needs {server}.", server=site.server.name)


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


def _database(site: Site, link: Link) -> Message | None:
    database = link.login.database or ""
    if site.facts.databases and database not in site.facts.databases:
        return msg("the server has no database {database}.", database=database)
    if _PLAIN.fullmatch(database) is None:
        return msg("the configuration of PgBouncer cannot name the database {database}.", database=database)
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
    if "schema" in link.login.session:
        return msg("its URL has a schema, which Prisma sends when it connects and a pooler refuses; with "
                   "pgbouncer=true beside it Prisma sets it later.")  # fmt: skip
    if link.login.session:
        names = ", ".join(link.login.session)
        return msg("it sets {names} when it connects, which a pooler would refuse.", names=names)
    if _TIMEOUTS.fullmatch(link.login.options):
        return None
    return msg("it sets options when it connects ({options}), which a pooler would refuse.", options=link.login.options)


def _text(site: Site, link: Link) -> Message | None:
    refused = rewrite(link.connection, variables(link.client), NAME, PORT).refused
    if refused is None:
        return None
    return msg("the text of {key} does not show its host (a URL of an env_file, or one whole variable).", key=refused)


def _options(links: Iterable[Link], image: str) -> Message | None:
    """Never `options` as a whole in ignore_startup_parameters: another app's search_path would be lost unseen."""
    sent = " ".join(link.login.options for link in links)
    since = LONG_OPTIONS_SINCE if "--" in sent else OPTIONS_SINCE
    if not any(_in_options(link) for link in links) or is_since(image, since):
        return None
    version = ".".join(str(n) for n in since)
    return msg("it sends timeouts as options when it connects, and {image} does not say that it is PgBouncer {version} "
               "or later, which tells them from others.", image=image, version=version)  # fmt: skip


def _drops(link: Link) -> bool:
    return bool(link.login.timeouts) or _in_options(link)


def _in_options(link: Link) -> bool:
    return bool(link.login.options) or _is_one_of(link, _SENDS_TIMEOUTS)


def _is_one_of(link: Link, apps: Iterable[str]) -> bool:
    return link.connection.app is not None and link.connection.app.id in apps


# -- what is wise ------------------------------------------------------------------------------------------------
def _recommend(site: Site, links: tuple[Link, ...], keeps: bool) -> tuple[str, Message]:
    known = {link.connection.use.pooling if link.connection.use else None for link in links}
    direct = _why_job(links[0].client) or _elsewhere(site, links) or _schema(links) or _no_password(links)
    if direct is None and Pooling.NONE in known:
        direct = msg("It is known to need connections that no pooler shares (replication).")
    if direct is not None:
        return DIRECT, direct
    seen = _seen(site, links)
    if seen is None and known == {Pooling.TRANSACTION}:
        if keeps or all(_is_one_of(link, _UNNAMED) for link in links):
            return POOLED, msg("It is known to work in transaction mode.")
        seen = msg("It may name prepared statements, which this pooler does not keep apart in transaction mode.")
    held = site.most_held(links)
    if held * SPARE > USUAL_POOL:
        return DIRECT, _crowded(held, USUAL_POOL)
    if seen is None and Pooling.SESSION in known:
        seen = msg("It is known to need its session (LISTEN, session locks or settings).")
    return SESSION, seen or msg("Nothing is known of it: session mode changes nothing that it could notice.")


def _crowded(held: int, size: int) -> Message:
    return msg("Only session mode is safe for it, and {count} connections are held with its login: a pool of {size} "
               "would make some of them wait.", count=held, size=size)  # fmt: skip


def serve_all(site: Site, verdicts: Iterable[Verdict], size: int) -> tuple[Verdict, ...]:
    """Direct as well: who would hold more sessions than the `size` of its pool and its reserve, and wait for itself."""
    return tuple(_served(v, site.most_held(v.links), size) for v in verdicts)


def _served(verdict: Verdict, held: int, size: int) -> Verdict:
    if verdict.recommended != SESSION or held <= size:
        return verdict
    route = verdict.route if verdict.chosen else DIRECT
    return replace(verdict, route=route, recommended=DIRECT, why=_crowded(held, size))


def _why_job(service: Service) -> Message | None:
    if service.role in (Role.EXPORTER, Role.CLIENT):
        return msg("Backups, exporters and tools stay direct: a pooler would hide or break what they look at.")
    words = [service.name, parse_reference(service.image or "").name, " ".join((service.command or ())[:3])]
    if service.restart in ("no", "on-failure") or any(_JOB.search(word) for word in words):
        return msg("Migrations and jobs stay direct: they use session locks and settings.")
    return None


def _elsewhere(site: Site, links: tuple[Link, ...]) -> Message | None:
    """The pooler has the databases that variables name: to the app another one would be gone."""
    client = links[0].client
    named = {link.login.database for link in (*links, *site.past(client.name))}
    used = sorted({s.database for s in site.sessions_of(client)} - named - {""})
    return msg("It also uses {databases}, which no variable names.", databases=", ".join(used)) if used else None


def _schema(links: tuple[Link, ...]) -> Message | None:
    for app, key in _SCHEMAS.items():
        schema = links[0].client.environment.get(key)
        if any(_is_one_of(link, (app,)) for link in links) and schema not in (None, "", "public"):
            return msg("It relies on search_path for its schema {schema}.", schema=schema)
    return None


def _no_password(links: Iterable[Link]) -> Message | None:
    """The server may let it in by its address; the pooler lets in nobody without a password."""
    for link in links:
        if "url" in link.keys and not link.login.password and not password_files(link.client.environment):
            return msg("{key} has no password, and a pooler lets nobody in without one.", key=link.connection.key)
    return None


def _seen(site: Site, links: tuple[Link, ...]) -> Message | None:
    mine = site.sessions_of(links[0].client)
    if any(s.listens for s in mine):
        return msg("It uses LISTEN, which only session mode serves.")
    if any(s.holds_lock for s in mine):
        return msg("It holds advisory locks between transactions, which only session mode serves.")
    if {link.login.database for link in links} & site.facts.temporary:
        return msg("Its database has temporary tables now, which only session mode serves.")
    logins = {(str(link.login.user), str(link.login.database)) for link in links}
    names = sorted({name for login in logins for name in site.facts.set_by.get(login, ())})
    if names:
        return msg("Statements of its login have set {names} for their session (pg_stat_statements), which only "
                   "session mode serves.", names=", ".join(names))  # fmt: skip
    return None


def _side_by_side(found: list[Verdict], pool_mode: str | None) -> Iterable[Verdict]:
    """A database has one mode at the pooler: beside an app in transaction mode the others stay direct.

    Who shares connections comes first, the operator's word before nftui's.
    """
    modes: dict[str | None, str] = {}
    kept: dict[str, Verdict] = {}
    for verdict in sorted(found, key=lambda v: (mode_of(v, pool_mode) == SESSION, not v.chosen)):
        mode = mode_of(verdict, pool_mode)
        databases = {link.login.database for link in verdict.links} if verdict.through else set()
        taken = sorted(str(d) for d in databases if modes.get(d, mode) != mode)
        if not taken:
            modes.update(dict.fromkeys(databases, mode))
            kept[verdict.service] = verdict
        elif verdict.chosen:
            raise refused(
                verdict.service, verdict.route,
                msg("the database {database} is in {mode} mode for others already, and has one mode. Choose that one "
                    "or direct.", database=taken[0], mode=modes[taken[0]])
            )  # fmt: skip
        else:
            why = msg("Its database is pooled in another mode for other apps, which might not suit it.")
            kept[verdict.service] = replace(verdict, route=DIRECT, recommended=DIRECT, why=why)
    return (kept[verdict.service] for verdict in found)


def mode_of(verdict: Verdict, pool_mode: str | None) -> str:
    """The mode of its databases."""
    return _mode(verdict.route, pool_mode)


def _mode(route: str | None, pool_mode: str | None) -> str:
    """Of a way through the pooler, whose own mode is `pool_mode`; None: it is chosen for who is pooled."""
    return route if route in (SESSION, TRANSACTION, STATEMENT) else pool_mode or TRANSACTION
