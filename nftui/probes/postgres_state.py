"""Is the server up, can it be stopped cleanly, was it: the questions around a PostgreSQL restart."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Hashable, Iterable

from nftui.clients.postgres import Failure, PostgresClient, PostgresUnreachable, Query, QueryError
from nftui.clients.sql import only
from nftui.model.message import Message, msg

CHECKPOINT_TIMEOUT_S = 600.0
POLL_S = 0.5

_SERVING = "SELECT 1, pg_is_in_recovery()::int, current_setting('listen_addresses')"


def is_serving(
    client: PostgresClient, *, recovery_before: bool = False, socket_only_before: bool = False
) -> Message | None:
    """Why the server does not do its work, None when it does: a real SELECT, out of recovery unless it was in before.

    A server that listens on no address is the image's first-start phase (it is stopped again a moment later), unless
    it was set up so before.
    """
    try:
        row = client.query(_SERVING)[0]
    except QueryError as error:
        return error.message
    if row[1] == "1" and not recovery_before:
        return msg("the server is in recovery: it accepts no writes")
    if not row[2] and not socket_only_before:
        return msg("the server listens on no address: it is still in the first-start phase of its image")
    return None


def checkpoint(client: PostgresClient, timeout_s: float = CHECKPOINT_TIMEOUT_S) -> Message | None:
    """Write a checkpoint, so that the stop which follows is short; None when done, else why it was not.

    Needs a superuser, or a member of pg_checkpoint since PostgreSQL 15.
    """
    try:
        only(client, Query("CHECKPOINT", timeout_s=timeout_s))
    except QueryError as error:
        if error.sqlstate == "42501":
            return msg("user {user} may not write a checkpoint (superuser or pg_checkpoint)", user=client.user)
        return msg("no checkpoint: {reason}", reason=str(error))
    return None


_CLEAN_LOG = re.compile(r"database system is shut down|database system was shut down (?:in recovery )?at")
_UNCLEAN_LOG = re.compile(
    r"database system was interrupted|was not properly shut down|received immediate shutdown"
    r"|terminated by signal 9|all server processes terminated; reinitializing|PANIC:"
)
_RUNS_LOG = re.compile(r"ready to accept (?:read-only )?connections")
_CONTROL = re.compile(r"^Database cluster state:\s*(.+?)\s*$", re.M)


def clean_shutdown(log: Iterable[str] = (), control: str | None = None) -> bool | None:
    """Whether the last stop was clean: from pg_controldata's output where given, else from the server's log lines.

    None where neither tells (another language, a log that ends while the server runs). Run pg_controldata with
    LC_ALL=C on a server that is stopped: of one that runs it says "in production", which counts as not clean.
    """
    state = _CONTROL.search(control) if control else None
    if state:
        return state[1] in ("shut down", "shut down in recovery")
    verdict: bool | None = None
    for line in log:
        if _UNCLEAN_LOG.search(line):
            verdict = False
        elif _CLEAN_LOG.search(line):
            verdict = True
        elif _RUNS_LOG.search(line):
            verdict = None if verdict else verdict
    return verdict


_PROGRESSING = (Failure.STARTING, Failure.STOPPING)
_HOPELESS = (Failure.PASSWORD, Failure.NO_ROLE, Failure.NOT_ALLOWED)
_MAX_RESTARTS = 3  # the image's first start is one


class NotReady(PostgresUnreachable):
    """The server made no progress towards being ready for the stall timeout, or will not let nftui in."""


class _Stall:
    """When to give up: `stall_s` after the last sign of progress."""

    def __init__(self, stall_s: float, clock: Callable[[], float]) -> None:
        self._stall_s, self._clock = stall_s, clock
        self._until = clock() + stall_s
        self._kinds: set[Failure] = set()
        self._last: tuple[Failure, Hashable] | None = None
        self._restarts = 0

    def saw(self, kind: Failure, sign: Hashable, *, has_sign: bool) -> None:
        """Take in an answer; one that was never given before, a new sign, or "starting up" extends the wait."""
        before = self._last or (kind, sign)
        self._restarts += before[0] is Failure.STARTING and kind is Failure.REFUSED
        moved = sign != before[1] if has_sign else kind in _PROGRESSING
        # In a crash loop CPU counters grow and "starting up" comes again and again.
        if kind not in self._kinds or (moved and self._restarts < _MAX_RESTARTS):
            self._until = self._clock() + self._stall_s
        self._kinds.add(kind)
        self._last = (kind, sign)

    @property
    def over(self) -> bool:
        return self._clock() >= self._until


def wait_ready(
    connect: Callable[[], PostgresClient],
    stall_s: float,
    progress: Callable[[], Hashable] | None = None,
    *,
    check: Callable[[PostgresClient], Message | None] = is_serving,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> PostgresClient:
    """An open session once `check` has nothing to say. Raises NotReady after `stall_s` seconds without progress.

    The time is not limited as long as there is progress: an answer not given before, or a new value of `progress()`
    (CPU or I/O counters of the container, the start-up process's title). Without `progress`, "starting up" itself
    counts: crash recovery says nothing else. Falling back from it several times is a crash loop, and no progress.
    """
    stall = _Stall(stall_s, clock)
    while True:
        client, kind, reason = _ask(connect, check)
        if client:
            return client
        if kind in _HOPELESS:
            raise NotReady(reason, kind)
        stall.saw(kind, progress() if progress else None, has_sign=progress is not None)
        if stall.over:
            text = "no progress towards ready for {seconds} s: {reason}"
            raise NotReady(msg(text, seconds=f"{stall_s:g}", reason=str(reason)), kind)
        sleep(POLL_S)


def _ask(
    connect: Callable[[], PostgresClient], check: Callable[[PostgresClient], Message | None]
) -> tuple[PostgresClient | None, Failure, Message]:
    try:
        client = connect()
    except PostgresUnreachable as error:
        return None, error.kind, error.message
    reason = check(client)
    if reason is None:
        return client, Failure.OTHER, msg("ready")
    client.close()
    return None, Failure.OTHER, reason
