"""A PgBouncer of the operator's: tuned by a file of nftui's own that includes theirs and says [pgbouncer] anew.

Theirs is not edited, and its databases and users, where passwords can stand, are not copied: they are included. A
section that is entered again begins with PgBouncer's defaults, so theirs is restated whole before what differs; a
change of it is drift. One whose image writes that file from variables is tuned by those variables.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from nftui.catalog.names import Names
from nftui.catalog.references import version_key
from nftui.model.advice import Advice, Applicability, Assertion, Fragment
from nftui.model.dataclass import dataclass
from nftui.model.errors import UsageError
from nftui.model.message import N_, Message, msg
from nftui.model.mounted import FileSet, MountedFile
from nftui.model.plan import StepSpec
from nftui.model.pooling import POOLER_PROBE, ROLES_PROBE, PoolerFacts, ServerFacts
from nftui.model.stack import Role
from nftui.optimizations.pgbouncer.files import INI, PLACE
from nftui.optimizations.pgbouncer.knobs import BY_NAME, ID, ROUTE, SERVER
from nftui.optimizations.pgbouncer.setup import PREPARED, RETRY_S
from nftui.optimizations.pgbouncer.site import Site, links_of
from nftui.optimizations.pgbouncer.sizes import CLIENTS, WHY_CLIENTS, Budget, Sizes, budget_of, size_pools
from nftui.optimizations.pgbouncer.versions import PREPARED_SINCE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from nftui.model.choices import Choices
    from nftui.model.facts import Facts
    from nftui.model.stack import Service
    from nftui.optimizations.pgbouncer.site import Link

_LEFT = ("query_wait_timeout", "reserve_pool_timeout", "pool_mode")
"""What apps notice: changed only where the operator says so."""
_SIZES = ("default_pool_size", "reserve_pool_size")


@dataclass(frozen=True, slots=True)
class Existing:
    """One pooler of the operator's that runs, and what is known of the server behind it."""

    pooler: Service
    facts: PoolerFacts
    argv: tuple[str, ...]
    """What it is started with, as Compose source text."""
    room: Budget | None
    """None where the server is outside of the stack, or could not be asked."""

    @property
    def own(self) -> dict[str, str]:
        """What the operator sets: by variables where those count, of nftui's no one; else in their file."""
        if not self.facts.variables:
            return dict(self.facts.own)
        image = self.pooler.running.image_environment if self.pooler.running else {}
        said = {**image, **self.pooler.environment}
        return {setting: value for setting, name in self.facts.variables.items() if (value := said.get(name))}

    def baseline(self, name: str) -> str | None:
        """What would be in force without nftui."""
        return self.own.get(name, self.facts.defaults.get(name))

    def reads(self, name: str) -> bool:
        """Whether it can be told that setting where it has its others from."""
        return not self.facts.variables or name in self.facts.variables


def find_existing(facts: Facts) -> Existing | Message | None:
    """None where the stack has no PgBouncer of its own; a Message where it must be left alone."""
    poolers = facts.stack.with_role(Role.PGBOUNCER)
    if not poolers:
        return None
    pooler = poolers[0]
    if len(poolers) > 1:
        return msg("There are several poolers ({names}); they are left as they are.",
                   names=", ".join(p.name for p in poolers))  # fmt: skip
    known = facts.live_value(pooler.name, POOLER_PROBE)
    if not isinstance(known, PoolerFacts):
        live = facts.live.get((pooler.name, POOLER_PROBE))
        why = (live.error if live else None) or "it does not run"
        return msg("{service} pools connections already; its console cannot be read ({why}), so it is left as it is.",
                   service=pooler.name, why=why.rstrip("."))  # fmt: skip
    argv = _argv(pooler)
    if not known.variables and (not known.ini or known.ini not in argv):
        return msg("{service} pools connections already; which file it reads cannot be told, so it is left as it is.",
                   service=pooler.name)  # fmt: skip
    return Existing(pooler, known, argv, _room(facts, pooler, known))


def _argv(pooler: Service) -> tuple[str, ...]:
    raw = pooler.raw.get("command") or pooler.config.get("command")
    if isinstance(raw, str):
        return tuple(shlex.split(raw))
    if isinstance(raw, (list, tuple)):
        return tuple(str(word) for word in raw)
    image = pooler.running.image_command if pooler.running else None
    return tuple(word.replace("$", "$$") for word in image or ())


def _room(facts: Facts, pooler: Service, known: PoolerFacts) -> Budget | None:
    names = Names(facts.stack)
    rows = {name: row for name, row in known.databases.items() if name != "pgbouncer"}
    links = links_of(facts.stack)
    behind = {s.name: s for s in facts.stack.with_role(Role.POSTGRES) if any(_is(names, s, r) for r in rows.values())}
    # A database that is made for whoever asks for it (`*`) is shown from its first client on.
    behind = behind or {s.name: s for s in _told(pooler, links)}
    value = facts.live_value(min(behind), ROLES_PROBE) if len(behind) == 1 else None
    if not isinstance(value, ServerFacts):
        return None
    (server,) = behind.values()
    direct = [link for link in links if link.connection.server is server and link.client.name != pooler.name]
    addresses = frozenset(a for c in pooler.containers for a in c.addresses.values() if a)
    here = {name for name, row in rows.items() if _is(names, server, row)}
    through = [link for link in links if link.connection.server.name == pooler.name]
    return budget_of(Site(server, value, tuple(direct), pooler=addresses), len(_pools(known, here, through)) or 1)


def _told(pooler: Service, links: Iterable[Link]) -> Iterable[Service]:
    """The servers that its own variables name."""
    return (one.connection.server for one in links if one.client.name == pooler.name
            and one.connection.server.role is Role.POSTGRES)  # fmt: skip


def _pools(known: PoolerFacts, here: set[str], through: Iterable[Link]) -> set[tuple[str, str]]:
    """User and database of each pool that there may be: those of now, those of the apps that go through it, and one of
    each other database that it offers. At a quiet hour there are hardly any.
    """
    found = {pool for pool in known.pools if pool[1] in here}
    for user, database in (link.pool for link in through):
        if user and database and (database in here or database not in known.databases):
            found.add((known.databases.get(database, {}).get("force_user") or user, database))
    return found | {("", database) for database in here - {database for _, database in found}}


def _is(names: Names, server: Service, row: Mapping[str, str]) -> bool:
    host = row.get("host", "")
    found = names.resolve(server, host) if host else None
    return host == server.name or (found is not None and found.name == server.name)


def _unsized(existing: Existing) -> Message | None:
    """Why nothing is said of its pool sizes: the server behind it is none of this stack's, or has no room for them."""
    room = existing.room
    if room is not None and room.each:
        return None
    if room is not None:
        text = N_("Its {pools} pools of a user and a database have {room} connections of the server to share "
                  "(max_connections {total}, less {kept} for others): pool sizes stay.")  # fmt: skip
        if room.pools == 1:
            text = N_("Its one pool of a user and a database may have {room} connections of the server "
                      "(max_connections {total}, less {kept} for others): pool sizes stay.")  # fmt: skip
        return msg(text, pools=room.pools, room=max(0, room.room), total=room.total, kept=room.kept)
    hosts = sorted({r.get("host", "") for n, r in existing.facts.databases.items() if n != "pgbouncer"} - {""})
    return msg("The server behind it ({hosts}) is not this stack's or cannot be asked: pool sizes stay.",
               hosts=", ".join(hosts) or "?")  # fmt: skip


def applicability(facts: Facts, existing: Existing) -> Applicability:
    """It can be tuned; another one is never put in front of it."""
    name = existing.pooler.name
    return Applicability(True, msg("{service} pools connections already; it is tuned, none is added.", service=name),
                         (name,))  # fmt: skip


# -- advice ----------------------------------------------------------------------------------------------------
def advise(facts: Facts, existing: Existing, choices: Choices) -> tuple[Advice, ...]:
    """One line for each knob that it has. Raises UsageError."""
    _refuse(facts, existing, choices)
    recommended = _recommended(existing, choices)
    notes = tuple(note for note in (_unsized(existing), _unread(existing, recommended)) if note is not None)
    return tuple(_line(existing, choices, n, text, notes) for n, text in recommended.items() if existing.reads(n))


def _refuse(facts: Facts, existing: Existing, choices: Choices) -> None:
    """A route of a service that is not there is no refusal: the plan warns of it."""
    kept = ("image", SERVER, *(ROUTE + s.name for s in facts.stack.services if s.active))
    for (owner, _, knob), value in choices.values.items():
        why = _why_not(existing, knob, kept) if owner == ID else None
        if why is not None:
            raise UsageError(
                msg("{id}.{knob} = {value} is refused: {why}", id=ID, knob=knob, value=value, why=str(why))
            )


def _why_not(existing: Existing, knob: str, kept: Collection[str]) -> Message | None:
    name = existing.pooler.name
    if knob in kept:
        return msg("{service} is yours, and apps reach it as you wrote it.", service=name)
    if knob in BY_NAME and not existing.reads(knob):
        return msg("the image of {service} reads no variable for it.", service=name)
    return _unsized(existing) if knob in _SIZES and existing.room is None else None


def _unread(existing: Existing, names: Iterable[str]) -> Message | None:
    left = [name for name in names if not existing.reads(name)]
    return msg("Its image reads no variable for {names}: what is in force there stays.",
               names=", ".join(left)) if left else None  # fmt: skip


def _recommended(existing: Existing, choices: Choices) -> dict[str, str]:
    found = {name: existing.baseline(name) or "" for name in _LEFT}
    now = int(existing.baseline("max_client_conn") or 0)
    found["max_client_conn"] = str(max(CLIENTS, now))
    found["server_login_retry"] = str(RETRY_S)
    sizes = _sizes(existing, choices)
    if sizes is not None:
        found["default_pool_size"] = str(sizes.recommended_pool)
        found["reserve_pool_size"] = str(sizes.recommended_reserve)
    if version_key(existing.facts.version)[:2] >= PREPARED_SINCE:
        found["max_prepared_statements"] = str(PREPARED)
    return {name: found[name] for name in BY_NAME if name in found}


def _sizes(existing: Existing, choices: Choices) -> Sizes | None:
    """None where there is nothing to share out, and nobody asked for it. Raises UsageError for what cannot fit."""
    asked = any(choices.value(ID, None, name) is not None for name in _SIZES)
    return size_pools(existing.room, choices) if existing.room is not None and (existing.room.each or asked) else None


def _line(existing: Existing, choices: Choices, name: str, recommended: str, notes: tuple[Message, ...]) -> Advice:
    knob = BY_NAME[name]
    chosen = choices.value(ID, None, name)
    own = existing.own.get(name)
    text = chosen.removesuffix("s") if chosen is not None else own if own is not None else recommended
    baseline = existing.baseline(name)
    sizes = _sizes(existing, choices) if name in _SIZES else None
    return Advice(
        name, None, text, baseline, recommended, knob.unit, sizes.why if sizes else _why(name), knob.source,
        changes=text != baseline, kept=chosen is None and own is not None,
        notes=notes if name == "max_client_conn" else (),
    )  # fmt: skip


def _why(name: str) -> Message:
    if name == "max_client_conn":
        return WHY_CLIENTS
    return msg("Apps would notice another one: it is yours to say.") if name in _LEFT else BY_NAME[name].why


# -- what is written -------------------------------------------------------------------------------------------
def fragment(facts: Facts, existing: Existing, advice: tuple[Advice, ...]) -> Fragment:
    """Variables, or a directory with the including file and the command that names it; empty where nothing differs."""
    written = {a.knob: str(a.value) for a in advice if a.value and a.value != existing.baseline(a.knob)}
    if not written:
        return Fragment(ID)
    name = existing.pooler.name
    if existing.facts.variables:
        told = {existing.facts.variables[setting]: value for setting, value in sorted(written.items())}
        return Fragment(ID, {name: {"environment": told}}, {name: written})
    lines = ["; Written by nftui: your own file, and its section [pgbouncer] again with what differs."]
    lines += [f"%include {existing.facts.ini}", "[pgbouncer]"]
    lines += [f"{name} = {value}" for name, value in sorted({**existing.own, **written}.items())]
    files = FileSet("pgbouncer", {INI: MountedFile.of("\n".join(lines) + "\n")})
    mount = {"type": "bind", "source": files.directory(facts.stack.base), "target": PLACE, "read_only": True}
    command = [f"{PLACE}/{INI}" if word == existing.facts.ini else word for word in existing.argv]
    return Fragment(ID, {name: {"command": command, "volumes": [mount]}}, {name: written}, (files,))


def steps(existing: Existing, values: Mapping[str, str]) -> tuple[StepSpec, ...]:
    """The console must say what was written, and of what was only restated what the file says or it said before."""
    name = existing.pooler.name
    known = existing.facts
    kept = {key: [text, known.config[key]] for key, text in sorted(existing.own.items())
            if key in known.config and key not in values}  # fmt: skip
    return (
        StepSpec(
            id=f"{ID}-pools:{name}", kind="pgbouncer-pools", target=name, service=name, optimization=ID,
            params={"pooler": name, "config": dict(sorted(values.items())), "kept": kept, "modes": {}, "clients": []},
            summary=msg("read {count} settings back from {service}", count=len(values), service=name),
        ),
    )  # fmt: skip


def assertions(existing: Existing) -> tuple[Assertion, ...]:
    """Their section as it was restated; variables are not: they are merged with the operator's of the day."""
    name = existing.pooler.name
    if existing.facts.variables:
        return ()
    params = {"service": name, "file": existing.facts.ini}
    return (Assertion("pooler-section", f"{name}.pgbouncer.ini", existing.facts.own_digest, params),)
