"""One reading asks each question once: what runs is compared by several lines of thought that need the same answers."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from nftui.probes.resolve import Background
from nftui.system.processes import Commands, Completed


class AskedOnce:
    """Commands that only look: the same words with the same input run once, also when asked from two threads."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._lock = threading.Lock()
        self._asked: dict[tuple[tuple[str, ...], str | None], Background[Completed]] = {}

    def run(
        self,
        argv: Sequence[str],
        *,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float,
        check: bool = False,
        changes: bool = False,
    ) -> Completed:
        """See Commands; what changes something is always run."""

        def run() -> Completed:
            return self._commands.run(
                argv, input=input, env=env, cwd=cwd, timeout=timeout, check=check, changes=changes
            )

        if changes:
            return run()
        with self._lock:
            call = self._asked.get((tuple(argv), input)) or Background(run)
            self._asked[tuple(argv), input] = call
        return call.result()
