"""Whether a running Redis does its work, may be stopped now, and who is connected; what makes its stop lose nothing."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from nftui.clients.redis import RedisLocked, connect
from nftui.clients.redisloading import wait_loaded
from nftui.model.errors import NftuiError
from nftui.model.message import Message, msg
from nftui.probes.redis import client_addresses, read_info, setting

if TYPE_CHECKING:
    from nftui.clients.redis import RedisClient
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
_UNABLE = {
    "MISCONF": "it refuses every write, for its last snapshot failed (MISCONF)",
    "MASTERDOWN": "it answers nothing while its master is out of reach (MASTERDOWN)",
}
"""Refusals of a PING that are no passing matter, as one long script is (BUSY)."""


def redis_serving(service: Service, port: Exec | None) -> str | None:
    """Why it does not serve, None when it does, as far as it can be asked: it has loaded its data."""
    try:
        with closing(connect(service, port)) as client:
            return _loading(client) or _unable(client)
    except RedisLocked:
        return None  # It answers; more cannot be known without its password.
    except (OSError, NftuiError) as error:
        return str(error)


def _loading(client: RedisClient) -> str | None:
    """With how far it is: who waits for it sees that it gets on."""
    info = read_info(client, "persistence")
    if info.get("loading") != "1":
        return None
    part = info.get("loading_loaded_perc")
    return "it is still loading its data" + (f" ({part} %)" if part else "")


def _unable(client: RedisClient) -> str | None:
    client.error = ""
    client.ask("PING")
    return _UNABLE.get(client.error.partition(" ")[0])


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

    Without the log the operator wants nothing on the disk: an old snapshot would come back at some later start. A
    server that still loads its log is waited for: stopped then, it would write none.
    """
    try:
        with closing(connect(service, port)) as client:
            if setting(client, "appendonly") != "yes":
                return
            wait_loaded(client, time.monotonic, time.sleep)
            if setting(client, "save") == "":
                client.ask("CONFIG", "SET", "save", SAVE_AT_STOP)
    except (OSError, NftuiError):
        return
