"""Servers outside of the stack, read by the login of an app: version and room. Never changed, and never waited for."""

from __future__ import annotations

import time
from threading import Thread
from typing import TYPE_CHECKING

from nftui.catalog.outside import Outside, outside_postgres
from nftui.model.errors import NftuiError
from nftui.model.facts import Live
from nftui.model.pooling import OUTSIDE_PROBE, OutsideFacts

if TYPE_CHECKING:
    from nftui.model.stack import Stack

PATIENCE_S = 4.0
"""Seconds for all of them together, names that nobody answers for included."""
_SQL = "SELECT current_setting('server_version'), current_setting('max_connections')"


def probe_outside(stack: Stack, patience_s: float = PATIENCE_S) -> dict[tuple[str, str], Live]:
    """(place, OUTSIDE_PROBE) to what each said, or why it said nothing. Never raises."""
    servers, answers = outside_postgres(stack), dict[str, Live]()
    threads = [Thread(target=_into, args=(answers, server), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    end = time.monotonic() + patience_s
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    late = f"no answer within {patience_s:g} s"
    return {(s.place, OUTSIDE_PROBE): answers.get(s.place) or _silent(s, late) for s in servers}


def _into(answers: dict[str, Live], server: Outside) -> None:
    try:
        answers[server.place] = _read(server)
    except NftuiError as error:
        answers[server.place] = _silent(server, str(error))
    except Exception as error:  # its text may quote what it choked on, secrets included
        answers[server.place] = _silent(server, f"the probe failed ({type(error).__name__})")


def _silent(server: Outside, why: str) -> Live:
    return Live(OUTSIDE_PROBE, server.place, None, why)


def _read(server: Outside) -> Live:
    """Raises ConnectError and QueryError, and what nobody foresaw."""
    from nftui.clients.libpq import connect_host
    from nftui.clients.pglogin import Login
    from nftui.clients.sql import Query, only

    login = server.login
    if not login.user or not login.password:
        return _silent(server, f"{server.key} has no whole login")
    whole = Login(login.user, login.database or login.user, int(server.port), login.password)
    client = connect_host(whole, server.host, login.sslmode)
    try:
        # Never guarded: behind that name may be a pooler, where a SET would stay and meet the app.
        (version, connections) = only(client, Query(_SQL, guard=False))[0]
        return Live(OUTSIDE_PROBE, server.place, OutsideFacts(str(version), int(str(connections))), via=client.via)
    finally:
        client.close()
