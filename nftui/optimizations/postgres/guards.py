"""Values that an operator may ask for and that this server must not get: refused before anything is planned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.message import msg
from nftui.model.units import GIB, MIB
from nftui.optimizations.postgres.decision import Decision, Origin, refusal
from nftui.optimizations.postgres.gucs import IO_METHOD_SINCE, number
from nftui.optimizations.postgres.knobs import ID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nftui.model.choices import Choices
    from nftui.optimizations.postgres.server import Server


def check_chosen(server: Server, decisions: Mapping[str, Decision]) -> None:
    """Raise UsageError for a chosen value that would not start, or would take clients or standbys down."""
    for name, check in _CHECKS.items():
        decision = decisions.get(name)
        if decision is not None and decision.origin is Origin.CHOSEN and decision.value is not None:
            check(server, decision.value)


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


def _connections(server: Server, value: str) -> None:
    live = server.live
    if live is None:
        return
    seen = max((n for n in (live.connections_now, live.connections_peak) if n), default=0)
    if int(value) < seen + 3:
        reason = msg("{seen} connections were seen and 3 are reserved; at least {least}", seen=seen, least=seen + 3)
        raise refusal(server, "max_connections", value, reason)
    _not_above_standby(server, "max_connections", value)


def _not_above_standby(server: Server, name: str, value: str) -> None:
    """A standby whose value is below its primary's stops replaying: it must be raised first."""
    present = number(name, server.baseline(name))
    if server.live is not None and server.live.has_standbys and present is not None and float(value) > present:
        reason = msg("a standby follows it and would stop below its primary's value; raise the standby first")
        raise refusal(server, name, value, reason)


def _workers(server: Server, value: str) -> None:
    _not_above_standby(server, "max_worker_processes", value)


def _compression(server: Server, value: str) -> None:
    setting = server.setting("wal_compression")
    known = setting.enumvals if setting is not None and setting.enumvals else None
    if server.major < 15:
        known = ("on", "off")
    if known is not None and value not in known:
        reason = msg("this server takes {words}", words=", ".join(known))
        raise refusal(server, "wal_compression", value, reason)


def _huge_pages(server: Server, value: str) -> None:
    """'on' does not start without enough free huge pages of the host (databases reference 1.2)."""
    pages = server.sysctl.get("vm.nr_hugepages", "0")
    buffers = number("shared_buffers", server.current("shared_buffers")) or 128 * MIB
    if value == "on" and int(pages or 0) * 2 * MIB < buffers * 1.1:
        reason = msg(
            "the host has {pages} huge pages, so the server would not start; 'try' takes what is there", pages=pages
        )
        raise refusal(server, "huge_pages", value, reason)


def _io_method(server: Server, value: str) -> None:
    options = server.service.config.get("security_opt")
    open_profile = isinstance(options, (list, tuple)) and any("seccomp" in str(o) for o in options)
    if value == "io_uring" and (not open_profile or server.sysctl.get("kernel.io_uring_disabled", "0") != "0"):
        reason = msg("Docker's seccomp profile or the kernel forbids io_uring, so the server would not start")
        raise refusal(server, "io_method", value, reason)


def _wal(server: Server, value: str) -> None:
    size = number("max_wal_size", value) or 0
    if server.free_bytes is not None and size > server.free_bytes // 2 and size > GIB:
        reason = msg("that is more than half of the free disk below its data")
        raise refusal(server, "max_wal_size", value, reason)


_CHECKS = {
    "max_connections": _connections,
    "max_worker_processes": _workers,
    "wal_compression": _compression,
    "huge_pages": _huge_pages,
    "io_method": _io_method,
    "max_wal_size": _wal,
}
