"""Helper containers: how one is started that runs its image's own server, and where secrets go."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest

from nftui.model.errors import NftuiError
from nftui.system.endpoint import Endpoint
from nftui.system.helpers import DockerHelpers, OutOfReach, Server
from nftui.system.processes import Completed, FakeCommands

SECRET, LONG = "not-a-secret", "-----BEGIN-----\nnot-a-secret-either\n"


def _commands() -> FakeCommands:
    done = Completed((), 0, "abc\n")
    return FakeCommands({("run",): done, ("inspect",): Completed((), 0, "true\n")})


def test_a_server_has_no_network_and_its_secrets_stand_on_no_command_line() -> None:
    commands = _commands()
    helpers = DockerHelpers(Endpoint("unix:///x", "test"), commands)
    server = Server(
        ("redis-server", "/r.conf"), ("entry", "first"), {"PASSWORD": SECRET, "KEY": LONG}, {"/r.conf": "/c/r.conf"},
        "999", 77,
    )  # fmt: skip
    assert helpers.serve("redis:7", {"nftui.run": "1"}, {"/data": "/v/copy"}, server) == "abc"
    argv, env = commands.log[0], commands.environments[0]
    assert {"--network=none", "--pull=never", "--label=nftui.run=1", "--user=999", "--memory=77"} <= set(argv)
    assert "--mount=type=bind,source=/v/copy,target=/data" in argv
    assert "--mount=type=bind,source=/c/r.conf,target=/r.conf,readonly" in argv
    assert argv[argv.index("--entrypoint=entry") + 1 :] == ("redis:7", "first", "redis-server", "/r.conf")
    assert commands.inputs == [f"PASSWORD={SECRET}\n"] and env is not None and env["KEY"] == LONG
    assert not [word for word in argv if SECRET in word] and "--env=KEY" in argv


def test_what_is_empty_is_the_images_own() -> None:
    commands = _commands()
    DockerHelpers(Endpoint("unix:///x", "test"), commands).serve("redis:7", {}, {}, Server())
    assert commands.log[0][-1] == "redis:7"
    assert not [w for w in commands.log[0] if w.startswith(("--user", "--memory", "--entrypoint", "--env="))]


def test_a_helper_lives_while_its_program_runs() -> None:
    commands = _commands()
    helpers = DockerHelpers(Endpoint("unix:///x", "test"), commands)
    assert helpers.alive("abc")
    commands.answers = {("inspect",): Completed((), 1, "", "no such object")}
    assert not helpers.alive("abc")


def test_a_path_that_the_engine_would_misread_is_refused() -> None:
    with pytest.raises(NftuiError, match="comma"):
        DockerHelpers(Endpoint("unix:///x", "test"), _commands()).serve("r", {}, {"/data": "/v/a,b"}, Server())


@pytest.mark.skipif(os.geteuid() != 0, reason="another network is entered only by root")
def test_a_helper_is_spoken_with_on_its_own_loopback() -> None:
    """This process stands for it; whoever asks stays where it is."""
    commands = FakeCommands({("inspect",): Completed((), 0, f"{os.getpid()}\n")})
    helpers = DockerHelpers(Endpoint("unix:///x", "test"), commands)
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as server,
        closing(helpers.dial("abc", server.getsockname()[1], 2.0)) as client,
        closing(server.accept()[0]) as there,
    ):
        there.sendall(b"here")
        assert client.recv(4) == b"here"


@pytest.mark.parametrize(("pid", "error"), [("0", ConnectionRefusedError), ("", ConnectionRefusedError),
                                            ("4194305", OutOfReach)])  # fmt: skip
def test_a_helper_that_is_gone_or_not_of_this_machine_is_told(pid: str, error: type[Exception]) -> None:
    commands = FakeCommands({("inspect",): Completed((), 0, f"{pid}\n")})
    with pytest.raises(error):
        DockerHelpers(Endpoint("unix:///x", "test"), commands).dial("abc", 80, 2.0)


def test_a_helper_that_ends_while_it_is_asked_is_not_out_of_reach() -> None:
    """Its process is gone a moment before the engine tells so: a server that does not start is told as that."""
    told = iter(["4194305"] * 3 + ["0"])

    class Late(FakeCommands):
        def run(self, argv: Sequence[str], **given: Any) -> Completed:
            return Completed(tuple(argv), 0, next(told) + "\n")

    with pytest.raises(ConnectionRefusedError, match="any more"):
        DockerHelpers(Endpoint("unix:///x", "test"), Late()).dial("abc", 80, 2.0)
    assert next(told, None) is None
