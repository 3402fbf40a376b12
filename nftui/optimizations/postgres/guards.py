"""Values that an operator may ask for and that this server must not get: refused before anything is planned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from nftui.model.message import msg
from nftui.model.units import GIB, format_size
from nftui.optimizations.postgres.decision import Decision, Origin, refusal
from nftui.optimizations.postgres.gucs import IO_METHOD_SINCE, number, stock
from nftui.optimizations.postgres.huge_pages import are_too_few, pages
from nftui.optimizations.postgres.knobs import ID
from nftui.optimizations.postgres.server import Server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nftui.model.choices import Choices

Decisions = Mapping[str, Decision]
Check = Callable[[Server, Decisions, str], None]

_MAX_PROCESSES = 262143
_SLOTS = "autovacuum_worker_slots"
_SPECIAL = 2
"""Processes of the server that are counted beside: autovacuum's launcher, and from 17 on the syncer of slots."""


def check_chosen(server: Server, decisions: Mapping[str, Decision]) -> None:
    """Raise UsageError for a chosen value that would not start, or would take clients or standbys down."""
    for name, check in _CHECKS.items():
        decision = decisions.get(name)
        if decision is not None and decision.origin is Origin.CHOSEN and decision.value is not None:
            check(server, decisions, decision.value)


def refuse_for_version(servers: Sequence[Server], choices: Choices) -> None:
    """io_method exists from 18 on: refused where it is asked of a server, or of all of them, that has none."""
    reason = msg("PostgreSQL has it from version 18 on")
    for server in servers:
        own = choices.values.get((ID, server.name, "io_method"))
        if own is not None and server.major < IO_METHOD_SINCE:
            raise refusal(server, "io_method", own, reason)
    general = choices.values.get((ID, None, "io_method"))
    if general is not None and servers and all(server.major < IO_METHOD_SINCE for server in servers):
        raise refusal(servers[0], "io_method", general, reason)


def _connections(server: Server, decisions: Decisions, value: str) -> None:
    """Not fewer than are connected; and a server that reserves all of them does not start (postmaster.c)."""
    live, reserved = server.live, server.reserved_connections
    seen = max((n for n in (live.connections_now, live.connections_peak) if n), default=0) if live else 0
    least = max(seen, 1) + reserved
    if int(value) < least:
        reason = msg(
            "{seen} connections were seen and {reserved} are reserved; at least {least}",
            seen=seen, reserved=reserved, least=least,
        )  # fmt: skip
        raise refusal(server, "max_connections", value, reason)
    _within_processes(server, decisions, "max_connections", value)
    _not_above_standby(server, "max_connections", value)


def _not_above_standby(server: Server, name: str, value: str) -> None:
    """A standby whose value is below its primary's stops replaying: it must be raised first."""
    present = number(name, server.current(name))
    if server.live is not None and server.live.has_standbys and present is not None and float(value) > present:
        reason = msg(
            "a standby, or a receiver of WAL, follows it, and a standby stops below its primary's value: raise it first"
        )
        raise refusal(server, name, value, reason)


def _within_processes(server: Server, decisions: Decisions, name: str, value: str) -> None:
    """The server has numbers for so many processes, and does not start with more (MAX_BACKENDS)."""
    names = ("max_connections", "max_worker_processes")
    count = sum(int(number(n, decisions[n].value) or number(n, stock(n, server.major)) or 0) for n in names)
    count += server.count("max_wal_senders", 10) + _SPECIAL
    count += server.count("autovacuum_max_workers", 3) if server.major < 18 else server.count(_SLOTS, 16)
    if count > _MAX_PROCESSES:
        reason = msg("the server has room for {most} processes in all, so it would not start", most=_MAX_PROCESSES)
        raise refusal(server, name, value, reason)


def _workers(server: Server, decisions: Decisions, value: str) -> None:
    _within_processes(server, decisions, "max_worker_processes", value)
    _not_above_standby(server, "max_worker_processes", value)


def _compression(server: Server, decisions: Decisions, value: str) -> None:
    _among_words(server, "wal_compression", value, ("on", "off") if server.major < 15 else ())


def _among_words(server: Server, name: str, value: str, words: tuple[str, ...] = ()) -> None:
    """What the build was made without is no word of its setting, and the server does not start with it."""
    setting = server.setting(name)
    known = words or (setting.enumvals if setting is not None else ())
    if known and value not in known:
        raise refusal(server, name, value, msg("this server takes {words}", words=", ".join(known)))


def _huge_pages(server: Server, decisions: Decisions, value: str) -> None:
    """'on' does not start without enough free huge pages of the host (databases reference 1.2)."""
    if value == "on" and are_too_few(server, decisions):
        reason = msg(
            "the host has {pages} huge pages, so the server would not start; 'try' takes what is there",
            pages=pages(server),
        )
        raise refusal(server, "huge_pages", value, reason)


def _io_method(server: Server, decisions: Decisions, value: str) -> None:
    _among_words(server, "io_method", value)
    options = server.service.config.get("security_opt")
    open_profile = isinstance(options, (list, tuple)) and any("seccomp" in str(o) for o in options)
    if value == "io_uring" and (not open_profile or server.sysctl.get("kernel.io_uring_disabled", "0") != "0"):
        reason = msg("Docker's seccomp profile or the kernel forbids io_uring, so the server would not start")
        raise refusal(server, "io_method", value, reason)


def _wal(name: str) -> Check:
    def check(server: Server, decisions: Decisions, value: str) -> None:
        size, free = number(name, value) or 0, server.wal_free_bytes
        if size < server.least_wal:
            reason = msg("the server does not start with less than two segments of WAL, {least}",
                         least=format_size(server.least_wal))  # fmt: skip
            raise refusal(server, name, value, reason)
        if free is not None and size > free // 2 and size > GIB:
            raise refusal(server, name, value, msg("that is more than half of the free disk below its WAL"))

    return check


_CHECKS: dict[str, Check] = {
    "max_connections": _connections,
    "max_worker_processes": _workers,
    "wal_compression": _compression,
    "huge_pages": _huge_pages,
    "io_method": _io_method,
    "max_wal_size": _wal("max_wal_size"),
    "min_wal_size": _wal("min_wal_size"),
}
