"""Programs in helper containers: started, followed with progress, and put away whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from nftui.model.dataclass import dataclass
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.units import human_seconds, human_size
from nftui.steps.kind import Context, StepFailed
from nftui.system.helpers import Server

POLL_S = 0.3
_MEASURE_S = 3.0
"""Seconds between two looks at how much is there: a walk over a large tree takes a while itself."""


@contextmanager
def helper(step: StepSpec, ctx: Context, image: str, mounts: Mapping[str, str], shm_bytes: int = 0) -> Iterator[str]:
    """A helper of the run; recovery finds it by its labels where the worker dies."""
    labels = {"nftui.run": ctx.run, "nftui.step": step.id}
    found = ctx.helpers.start(image, labels, mounts, shm_bytes=shm_bytes)
    try:
        yield found
    finally:
        ctx.helpers.remove(found)


@contextmanager
def server(step: StepSpec, ctx: Context, image: str, mounts: Mapping[str, str], how: Server) -> Iterator[str]:
    """A helper of the run in which the image's own server is at work."""
    labels = {"nftui.run": ctx.run, "nftui.step": step.id}
    found = ctx.helpers.serve(image, labels, mounts, how)
    try:
        yield found
    finally:
        ctx.helpers.remove(found)


def near(fraction: float) -> float:
    """The part that is shown as done, as long as it goes on."""
    return min(0.99, max(0.0, fraction))


def time_left(seconds: float, fraction: float) -> str:
    """ "4 min left" where that part, more than nothing, took so many seconds."""
    return f"{human_seconds(seconds * (1 - fraction) / fraction)} left"


@dataclass(slots=True)
class Follow:
    """How far a program is: `done` gives the bytes that are there, of about `total`."""

    text: str
    done: Callable[[], int] = lambda: 0
    total: int = 0

    def words(self, seconds: float, size: int) -> tuple[str, float | None]:
        """What is shown, and the fraction."""
        if not self.total or not size:
            return self.text, None
        fraction = near(size / self.total)
        left = time_left(seconds, fraction)
        return f"{self.text}: {human_size(size)} of about {human_size(self.total)}, {left}", fraction


def run(
    step: StepSpec, ctx: Context, where: str, name: str, script: str, *arguments: str, user: str, follow: Follow
) -> str:
    """What the script printed. StepFailed with the last line that it complained with, or where it stood still."""
    work = ctx.helpers.work(where, ["sh", "-c", script, name, *arguments], user=user)
    began = moved = looked = ctx.now()
    size = 0
    try:
        while (ended := work.poll()) is None:
            now = ctx.now()
            if follow.total and now - looked >= _MEASURE_S:
                former, size, looked = size, follow.done(), now
                moved = now if size != former else moved
            if follow.total and now - moved >= step.stall_s:
                raise StepFailed(msg("{what} made no progress in {seconds} s.", what=follow.text,
                                     seconds=int(step.stall_s)))  # fmt: skip
            ctx.progress(*follow.words(now - began, size))
            ctx.sleep(POLL_S)
    finally:
        work.end()
    code, out, err = ended
    if code:
        raise StepFailed(msg("{what} failed: {why}", what=follow.text, why=_last(err or out) or f"exit code {code}"))
    return out


_SERVER = "Error message from server: "
"""What pg_dump says after the line that only tells which table it was at."""


def _last(text: str) -> str:
    """The line that tells most: the first error with what the server said to it, else the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "error:" in line.lower() or "FATAL" in line or "PANIC" in line]
    said = [line.partition(_SERVER)[2] for line in lines if _SERVER in line]
    first = (telling or lines[-1:] or [""])[0]
    return f"{first} ({said[0]})" if said and _SERVER not in first else first
