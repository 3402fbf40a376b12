"""Huge pages: with huge_pages = on a server starts only where the host reserved enough for all its shared memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nftui.model.message import msg
from nftui.model.units import KIB, MIB
from nftui.optimizations.postgres.decision import Decision, Origin, refusal
from nftui.optimizations.postgres.gucs import number, stock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nftui.optimizations.postgres.server import Server

_PAGE = 2 * MIB
_SIZED = ("shared_buffers", "max_connections", "max_worker_processes")
"""What makes the shared memory larger."""
_PER_PROCESS = 64 * KIB
"""Locks and state of one connection or worker, rather too much."""
_REST = 32 * MIB
"""Everything else: a server with 128MB of buffers maps 145 to 155MB (databases reference 1.2)."""


def pages(server: Server) -> int:
    """Huge pages that the host has reserved, 0 where it is not known."""
    return int(server.sysctl.get("vm.nr_hugepages", "0") or 0)


def are_too_few(server: Server, decisions: Mapping[str, Decision]) -> bool:
    """Whether the shared memory of the decided values may not fit the pages of the host."""
    buffers, *counts = (_amount(server, name, decisions[name].value or _present(server, name)) for name in _SIZED)
    return pages(server) * _PAGE < math.ceil(buffers * 1.1) + sum(counts) * _PER_PROCESS + _REST


def keep_present(server: Server, decisions: Mapping[str, Decision]) -> None:
    """Where the operator has huge_pages = on and too few pages: nothing grows beyond what starts now.

    Raises RefusedError for a chosen value that would.
    """
    if decisions["huge_pages"].value != "on" or decisions["huge_pages"].origin is Origin.CHOSEN:
        return
    for name in _SIZED:  # the largest first: what is left may fit
        decision, present = decisions[name], _present(server, name)
        grows = _amount(server, name, decision.value or present) > _amount(server, name, present)
        if grows and are_too_few(server, decisions):
            _hold(server, decision, present)


def _present(server: Server, name: str) -> str:
    return server.current(name) or server.baseline(name) or stock(name, server.major)


def _hold(server: Server, decision: Decision, present: str) -> None:
    if decision.origin is Origin.CHOSEN:
        reason = msg(
            "huge_pages is on, and the host's {pages} huge pages may not hold it: it would not start",
            pages=pages(server),
        )
        raise refusal(server, decision.name, str(decision.value), reason)
    decision.value = present
    decision.notes.append(
        msg("huge_pages is on, and the host's {pages} huge pages may hold no more, so it stays.", pages=pages(server))
    )


def _amount(server: Server, name: str, text: str) -> int:
    return int(number(name, text) or number(name, stock(name, server.major)) or 0)
