"""The knobs of the pooler: PgBouncer's own names, units and bounds, and one route for each app."""

from __future__ import annotations

from nftui.model.knobs import Kind, Knob
from nftui.model.message import msg

ID = "pgbouncer"
SIZING, MODES, AUTH, IMAGES = (f"databases reference 2.{n}" for n in (4, 1, 2, 5))
IMAGE = "edoburu/pgbouncer:v1.25.2-p0"
"""The first version with the fixes of CVE-2026-6664 to 6667 (databases reference 2.2), in a maintained image."""
ROUTE, SERVER = "route.", "server"
SESSION, TRANSACTION, STATEMENT = "session", "transaction", "statement"
POOLED, DIRECT = "pooled", "direct"


def _number(name: str, why: str, unit: str, low: int, high: int, source: str = SIZING, main: bool = True) -> Knob:
    return Knob(
        name, Kind.INTEGER, msg(name), msg(why), source, unit=unit, minimum=low, maximum=high, per_service=False,
        main=main,
    )  # fmt: skip


def _seconds(name: str, why: str, low: int, high: int) -> Knob:
    return Knob(
        name, Kind.SECONDS, msg(name), msg(why), SIZING, unit="seconds", minimum=low, maximum=high, per_service=False,
        main=False,
    )  # fmt: skip


KNOBS: tuple[Knob, ...] = (
    Knob(
        "pool_mode", Kind.ENUM, msg("pool_mode"),
        msg("When a server connection goes back: after each transaction, statement, or at the client's end."), MODES,
        unit="choice", choices=(SESSION, TRANSACTION, STATEMENT), per_service=False,
    ),
    _number("max_client_conn", "Clients that may be connected at once; each costs some 2 kB.", "connections", 1, 50000),
    _number("default_pool_size", "Server connections for each user and database.", "connections", 1, 5000),
    _number("reserve_pool_size", "Further ones while clients have waited too long.", "connections", 0, 5000),
    Knob(
        "image", Kind.TEXT, msg("image"), msg("Any image with pgbouncer on its PATH; nftui brings the rest."), IMAGES,
        unit="image reference", per_service=False,
    ),
    _number(
        "max_prepared_statements", "Prepared statements kept apart in transaction mode; versions before 1.21 cannot.",
        "statements", 0, 10000, MODES, main=False,
    ),
    _seconds("query_wait_timeout", "A client that got no server connection for so long is told so.", 1, 3600),
    _seconds("reserve_pool_timeout", "So long a client waits before the reserve is opened.", 0, 600),
    _seconds("server_login_retry", "Pause after a failed login: short, so that a restart of the server heals fast.",
             1, 600),
    Knob(
        SERVER, Kind.TEXT, msg("server"), msg("The PostgreSQL server that the pooler stands before."),
        SIZING, unit="service", per_service=False, main=False,
    ),
    Knob(
        ROUTE + "{service}", Kind.ENUM, msg("route"),
        msg("How this app reaches the database: in pool_mode (pooled), in a mode of its own, or direct."),
        "databases reference 2.8", unit="choice", choices=(POOLED, SESSION, TRANSACTION, STATEMENT, DIRECT),
        per_service=False, dynamic="service",
    ),
)  # fmt: skip
BY_NAME = {knob.name: knob for knob in KNOBS}
DAYS = {"service": 0.8, "routes": 0.8, "sizes": 0.4}
"""The optimization's two days, split over its parts."""
