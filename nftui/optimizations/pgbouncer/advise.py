"""One line for each knob, and one for each app's route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.advice import Advice
from nftui.model.message import Message, msg
from nftui.model.pooling import TRIED_MOST
from nftui.optimizations.pgbouncer.knobs import BY_NAME, DIRECT, ID, IMAGE, POOLED, ROUTE, SERVER, SESSION, TRANSACTION
from nftui.optimizations.pgbouncer.setup import PREPARED, RESERVE_S, RETRY_S, WAIT_S
from nftui.optimizations.pgbouncer.site import NAME
from nftui.optimizations.pgbouncer.sizes import CLIENTS, WHY_CLIENTS
from nftui.optimizations.pgbouncer.verdicts import mode_of, refused
from nftui.optimizations.pgbouncer.versions import prepares

if TYPE_CHECKING:
    from nftui.model.choices import Choices
    from nftui.optimizations.pgbouncer.setup import Setup
    from nftui.optimizations.pgbouncer.verdicts import Verdict

NOTHING = "none"
CHOSEN = " (chosen by the operator)"


def lines_of(setup: Setup, choices: Choices) -> tuple[Advice, ...]:
    """The knobs in their order, then the routes by name."""
    recommended = _recommended(setup)
    lines = [_line(setup, choices, name, text) for name, text in recommended.items()]
    routes = [_route(verdict, setup) for verdict in setup.verdicts]
    away = [_away(app, server, setup, choices) for app, server in setup.site.elsewhere().items()]
    return (*lines, *sorted([*routes, *away], key=lambda line: line.knob))


def _recommended(setup: Setup) -> dict[str, str]:
    return {
        "pool_mode": setup.recommended_mode,
        "max_client_conn": str(CLIENTS),
        "default_pool_size": str(setup.sizes.recommended_pool),
        "reserve_pool_size": str(setup.sizes.recommended_reserve),
        "image": IMAGE,
        "max_prepared_statements": str(PREPARED) if prepares(setup.image) else "0",
        "query_wait_timeout": f"{WAIT_S}s",
        "reserve_pool_timeout": f"{RESERVE_S}s",
        "server_login_retry": f"{RETRY_S}s",
        SERVER: setup.site.usual,
    }


def _line(setup: Setup, choices: Choices, name: str, recommended: str) -> Advice:
    knob = BY_NAME[name]
    chosen = choices.value(ID, None, name)
    value = chosen or _standing(setup, name, recommended)
    sized = name in ("default_pool_size", "reserve_pool_size")
    # What a pooler of nftui's has is known when it is read back; where there is none, that is known now.
    current = None if setup.site.pooler else NOTHING
    why = setup.sizes.why if sized else _why(setup, name) or knob.why
    return Advice(
        name, None, value, current, recommended, knob.unit, why,
        knob.source + (CHOSEN if chosen else ""), changes=bool(setup.routed), notes=_notes(setup, name),
    )  # fmt: skip


def _why(setup: Setup, name: str) -> Message | None:
    """Why this value here; None where the knob's own words are the reason."""
    reasons = {"pool_mode": _why_mode, "max_client_conn": _why_clients, SERVER: _why_server}
    if name == "image":
        return msg("The first version in which nobody can crash the pooler or end its clients without a login "
                   "(CVE-2026-6664 to 6667), in an image that is maintained.")  # fmt: skip
    return reasons[name](setup) if name in reasons else None


def _why_mode(setup: Setup) -> Message:
    pooled = [v.service for v in setup.verdicts if v.route == POOLED]
    if not pooled:
        return msg("No app is pooled in it, and in session mode none would notice a pooler.")
    if len(pooled) == 1:
        return msg("{app} needs nothing of its session: it gives its connection back after each transaction.",
                   app=pooled[0])  # fmt: skip
    return msg("{apps} need nothing of their sessions: they give connections back after each transaction.",
               apps=", ".join(pooled))  # fmt: skip


def _why_clients(setup: Setup) -> Message:
    if not setup.held:
        return WHY_CLIENTS
    return msg("PgBouncer's own 100 are fewer than apps may open; these wait in line for {held} connections of the "
               "server.", held=setup.held)  # fmt: skip


def _why_server(setup: Setup) -> Message:
    if not setup.site.beside:
        return msg("No other PostgreSQL of this stack is known to be used by its apps.")
    return msg("Of the servers whose passwords a pooler can be given, none has more apps.")


def _standing(setup: Setup, name: str, recommended: str) -> str:
    """A size that nobody chose gives way to one that was."""
    return setup.settings[name] if name in ("default_pool_size", "reserve_pool_size") else recommended


def _notes(setup: Setup, name: str) -> tuple[Message, ...]:
    if name == "pool_mode" and setup.pool_mode != SESSION and not any(v.route == POOLED for v in setup.verdicts):
        return (msg("No app is pooled in it: say 'pooled' at the route of each app that tolerates it."),)
    if name == "max_prepared_statements" and not prepares(setup.image):
        return (msg("The image's tag does not say that it is 1.21 or later: named prepared statements would break."),)
    if name == "default_pool_size" and setup.routed:
        return _untried(setup)
    if name == SERVER:
        return (*_beside(setup), *setup.site.outside)
    return ()


def _beside(setup: Setup) -> tuple[Message, ...]:
    return tuple(
        msg("{other} has no pooler: there is one, and it stands before {server}. These use {other}, and stay direct "
            "there: {apps}. pgbouncer.server={other} chooses it instead.", other=other, server=setup.site.server.name,
            apps=", ".join(apps))
        for other, apps in setup.site.beside.items()
    )  # fmt: skip


def _untried(setup: Setup) -> tuple[Message, ...]:
    size, clients = setup.sizes.pool + setup.sizes.reserve, int(setup.settings["max_client_conn"])
    if size < min(TRIED_MOST, clients - 1):
        return ()
    return (
        msg("A pool of {size} with its reserve is not tried by more clients than it has: nftui opens {most} at most, "
            "and max_client_conn is {clients}.", size=size, most=TRIED_MOST, clients=clients),
    )  # fmt: skip


def _away(app: str, server: str, setup: Setup, choices: Choices) -> Advice:
    """Raises UsageError for a route to a pooler that is not there."""
    knob = BY_NAME[ROUTE + "{service}"]
    why = msg("It uses {server}, and the pooler stands before {pooled}.", server=server, pooled=setup.site.server.name)
    chosen = choices.value(ID, None, ROUTE + app)
    if chosen not in (None, DIRECT):
        raise refused(app, chosen, why)
    return Advice(ROUTE + app, None, DIRECT, DIRECT, DIRECT, knob.unit, why, knob.source)


def _route(verdict: Verdict, setup: Setup) -> Advice:
    knob = BY_NAME[ROUTE + "{service}"]
    notes = []
    if verdict.drops and verdict.through:
        notes.append(
            msg("The timeouts that it asks for when it connects are dropped; set them for its role: "
                "ALTER ROLE … SET statement_timeout.")
        )  # fmt: skip
    if verdict.through and not all(link.login.password for link in verdict.links):
        notes.append(
            msg("No variable has its password. It is looked for in the files of its containers; where it cannot be "
                "read there, no login through the pooler is proven, and the result says so.")
        )  # fmt: skip
    if verdict.route == SESSION:
        notes.append(
            msg("In session mode {count} clients are served at once; more wait, up to query_wait_timeout.",
                count=setup.sizes.pool + setup.sizes.reserve)
        )  # fmt: skip
    common = sorted({n for link in verdict.links for n in setup.site.networks_of(link)} & setup.site.shared)
    if verdict.through and common:
        notes.append(
            msg("It meets {server} on no network of this project's own. On {networks}, which is external, the pooler "
                "also answers to the name {name}: another project's service of that name would be mixed up with it.",
                server=setup.site.server.name, networks=", ".join(common), name=NAME)
        )  # fmt: skip
    mode = mode_of(verdict, setup.pool_mode)
    known = verdict.recommended == POOLED and mode == TRANSACTION
    if verdict.chosen and verdict.through and mode != SESSION and not known:
        notes.append(msg("You say that it tolerates {mode} mode; nftui knows nothing of that.", mode=mode))
    return Advice(
        ROUTE + verdict.service, None, verdict.route, DIRECT, verdict.recommended, knob.unit, verdict.why,
        knob.source + (CHOSEN if verdict.chosen else ""), changes=verdict.through, notes=tuple(notes),
    )  # fmt: skip
