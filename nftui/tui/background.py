"""Blocking calls off the event loop, on daemon threads: leaving the wizard never waits for one."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def spawn(call: Callable[[], object]) -> None:
    """Run `call` on a daemon thread; it reports by itself."""
    threading.Thread(target=call, daemon=True, name="nftui-wizard").start()


async def in_thread(call: Callable[[], T]) -> T:
    """The result of the blocking `call`; its exception is raised here.

    asyncio's own executor is not used: its threads are joined at exit, and a Compose call could hold that up.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(put: Callable[[], None]) -> None:
        if not future.done():
            put()

    def run() -> None:
        try:
            result = call()
        except BaseException as error:
            reason = error
            hand_over(lambda: future.set_exception(reason))
        else:
            hand_over(lambda: future.set_result(result))

    def hand_over(put: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: the wizard is gone, nobody waits
            loop.call_soon_threadsafe(settle, put)

    spawn(run)
    return await future
