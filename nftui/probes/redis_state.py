"""Whether a running Redis does its work, may be stopped now, and who is connected; what makes its stop lose nothing."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from nftui.clients.redis import RedisLocked, connect
from nftui.model.errors import NftuiError
from nftui.model.message import Message, msg
from nftui.probes.redis import client_addresses, read_info, setting

if TYPE_CHECKING:
    from nftui.model.stack import Service
    from nftui.system.exec import Exec

_WORK = {
    "loading": msg("it loads its data"),
    "rdb_bgsave_in_progress": msg("a snapshot is being written"),
    "aof_rewrite_in_progress": msg("its log is being rewritten"),
    "aof_rewrite_scheduled": msg("a rewrite of its log is due"),
}
SAVE_AT_STOP = "3600 1"
"""Any save point makes a clean shutdown write a snapshot (redis.io, SHUTDOWN)."""


def redis_serving(service: Service, port: Exec | None) -> str | None:
    """Why it does not serve, None when it does, as far as it can be asked: it has loaded its data."""
    try:
        with closing(connect(service, port)) as client:
            return "it is still loading its data" if read_info(client, "persistence").get("loading") == "1" else None
    except RedisLocked:
        return None  # It answers; more cannot be known without its password.
    except (OSError, NftuiError) as error:
        return str(error)


def redis_quiet(service: Service, port: Exec | None) -> tuple[Message, ...]:
    """What it is at that a stop would cut off; a server that cannot be asked has nothing to lose by it."""
    try:
        with closing(connect(service, port)) as client:
            info = read_info(client, "persistence")
    except (OSError, NftuiError):
        return ()
    return tuple(reason for name, reason in _WORK.items() if info.get(name) == "1")


def redis_clients(service: Service, port: Exec | None) -> set[str]:
    """Addresses of its clients."""
    try:
        with closing(connect(service, port)) as client:
            return {address.rpartition(":")[0].strip("[]") for address in client_addresses(client)}
    except (OSError, NftuiError):
        return set()


def save_at_stop(service: Service, port: Exec | None) -> None:
    """Where the log is on and no snapshots are taken, the stop shall write one: it may start without its log then.

    Without the log the operator wants nothing on the disk: an old snapshot would come back at some later start.
    """
    try:
        with closing(connect(service, port)) as client:
            if setting(client, "appendonly") == "yes" and setting(client, "save") == "":
                client.ask("CONFIG", "SET", "save", SAVE_AT_STOP)
    except (OSError, NftuiError):
        return
