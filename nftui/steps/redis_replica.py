"""Proof that a replica follows its master: what is written there is read here. A reading: nothing to take back."""

from __future__ import annotations

from contextlib import closing, suppress

from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.steps.calls import Data, StoreCalls
from nftui.steps.kind import Context, StepFailed
from nftui.steps.reading import Reading

POLL_S = 0.5
KEY = "nftui:replica-check"
"""Written to the master for a moment; it ends by itself where its removal is cut off."""
_LIFE_S = "10"
_WAIT_MS = "2500"


def _replication(client: StoreCalls) -> dict[str, str]:
    text = str(client.ask("INFO", "replication") or "")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


class RedisReplicaKind(Reading):
    """Link up, first copy whole, and a write of the master's acknowledged and read."""

    name = "redis-replica"
    version = 1
    reads_files = True

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed where the copy makes no progress, or the written is not there."""
        info = _in_step(step, ctx)
        master = str(step.params["master"])
        with closing(ctx.store(master)) as there, closing(ctx.store(step.target)) as here:
            try:
                _write(there, master, ctx)
                if there.ask("WAIT", "1", _WAIT_MS) in (0, None) or here.ask("GET", KEY) != ctx.run:
                    raise StepFailed(
                        msg("{replica} does not get what is written to {master}.", replica=step.target, master=master)
                    )
            finally:
                there.ask("DEL", KEY)
        return {"offset": info.get("slave_repl_offset")}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """A cut-off reading leaves a key that ends by itself; sooner where the master answers."""
        with suppress(OSError, NftuiError), closing(ctx.store(str(step.params["master"]))) as there:
            there.ask("DEL", KEY)


def _write(client: StoreCalls, service: str, ctx: Context) -> None:
    if client.ask("SET", KEY, ctx.run, "EX", _LIFE_S) != "OK":
        raise StepFailed(msg("{service} took no write: {why}", service=service, why=client.error))


def _in_step(step: StepSpec, ctx: Context) -> dict[str, str]:
    """Its replication once the link is up and nothing is being copied any more."""
    last, deadline = "", ctx.now() + step.stall_s
    while True:
        with closing(ctx.store(step.target)) as client:
            info = _replication(client)
        if info.get("master_link_status") == "up" and info.get("master_sync_in_progress") == "0":
            return info
        sign = f"{info.get('master_sync_left_bytes')} {info.get('slave_repl_offset')}"
        if sign != last:
            last, deadline = sign, ctx.now() + step.stall_s
        if info.get("role") != "slave" or ctx.now() >= deadline:
            raise StepFailed(
                msg("{replica} does not follow {master}: {why}", replica=step.target, master=step.params["master"],
                    why=f"role {info.get('role')}, link {info.get('master_link_status', 'none')}")
            )  # fmt: skip
        ctx.progress(f"waiting for {step.target} to have everything", None)
        ctx.sleep(POLL_S)
