"""What steps around a Redis do where it still loads its data: they wait, for what it answers meanwhile is not whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from nftui.clients.redisloading import wait_loaded
from nftui.model.message import msg
from nftui.steps.kind import StepFailed

if TYPE_CHECKING:
    from nftui.steps.calls import StoreCalls
    from nftui.steps.kind import Context


def must_have_loaded(client: StoreCalls, service: str, ctx: Context) -> None:
    """Until it has. StepFailed where that stands still."""

    def pause(seconds: float) -> None:
        ctx.progress(f"{service} loads its data", None)
        ctx.sleep(seconds)

    if not wait_loaded(client, ctx.now, pause):
        raise StepFailed(msg("{service} does not get on with loading its data.", service=service))


@contextmanager
def loaded(service: str, ctx: Context) -> Iterator[StoreCalls]:
    """A session with it once it has loaded all of it."""
    with closing(ctx.store(service)) as client:
        must_have_loaded(client, service, ctx)
        yield client
