"""Commands inside containers, by the Docker CLI: values of variables and input never stand on a command line."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Protocol

from nftui.system.endpoint import Endpoint
from nftui.system.processes import end_group


class Exec(Protocol):
    """Runs a command in a container. Values of `env` and `input` must never reach a command line on the host."""

    def exec(
        self,
        container_id: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        input: bytes | None = None,
        timeout: float = 10.0,
        user: str | None = None,
    ) -> tuple[int, bytes, bytes]:
        """(exit code, stdout, stderr). Raises OSError (TimeoutError) or NftuiError where the engine cannot do it."""
        ...


class DockerExec:
    """`docker exec` on one engine."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def exec(
        self,
        container_id: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        input: bytes | None = None,
        timeout: float = 10.0,
        user: str | None = None,
    ) -> tuple[int, bytes, bytes]:
        """(exit code, stdout, stderr). Raises OSError, or TimeoutError after `timeout` seconds."""
        names = [part for name in sorted(env or {}) for part in ("--env", name)]
        who = ["--user", user] if user else []
        command = ["docker", *self.endpoint.arguments, "exec", "--interactive", *who, *names, container_id, *argv]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})}, start_new_session=True,
        )  # fmt: skip
        with child:
            try:
                out, err = child.communicate(input or b"", timeout)
            except subprocess.TimeoutExpired:
                end_group(child)
                raise TimeoutError(f"the command did not end within {timeout:.0f} s") from None
        return child.returncode, out, err
