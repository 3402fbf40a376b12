"""Servers below a script on the real engine: which of them are told, and with what code their containers end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from nftui.engine.ports import EngineLeftovers, ProjectEngine
from nftui.engine.wiring import Wiring
from nftui.system.docker import DockerEngine
from nftui.system.endpoint import Endpoint
from nftui.system.exec import DockerExec
from nftui.system.wrapped import end_server
from tests.qdrant.server import EDGE
from tests.stack import images
from tests.stack.fixtures import SESSION
from tests.stack.running import docker, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]
PROJECT = f"{SESSION}-wrapped"
QDRANT = ("qdrant:1.19", f"--volume={EDGE}:/opt/edge/qdrant_edge:ro", "--env=QDRANT_INIT_FILE_PATH=/tmp/started")
REDIS, POSTGRES = ("redis:7",), ("postgres:15", "--env=POSTGRES_PASSWORD=x")
SCRIPT = "trap 'kill -TERM $child' TERM; {server} & child=$!; wait $child; exit $?"
"""As Qdrant's own: the shell ends at the signal."""
DEAF = "{server}; exit $?"
"""A shell that is process 1 and waits hears no signal."""
READY = {
    "qdrant": ("python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:6333/readyz')"),
    "redis": ("redis-cli", "SET", "a", "1"),
    "postgres": ("psql", "-h", "127.0.0.1", "-U", "postgres", "-c", "SELECT 1"),
}
Run = Callable[..., str]


@pytest.fixture
def run(engine: None) -> Iterator[Run]:
    """Start a server of that image and wait until it answers; the container's id."""
    made: list[str] = []

    def start(image: str, *options: str, command: tuple[str, ...] = ()) -> str:
        images.ensure(image)
        label = f"--label=com.docker.compose.project={PROJECT}"
        made.append(docker("run", "--detach", label, *options, images.reference(image), *command))
        wait_until(lambda: _answers(image, made[-1]), seconds=60, what=image)
        return made[-1]

    yield start
    for container in made:
        docker("rm", "--force", "--volumes", container)


def _answers(image: str, container: str) -> bool:
    try:
        docker("exec", "--env=PGPASSWORD=x", container, *READY[image.partition(":")[0]])
    except Exception:
        return False
    return True


@pytest.fixture
def port() -> Iterator[ProjectEngine]:
    """As steps have it."""
    engine = DockerEngine(Endpoint())
    yield ProjectEngine(cast("Wiring", SimpleNamespace(engine=engine, exec=DockerExec(Endpoint()))))
    engine.close()


def _state(container: str) -> list[str]:
    return docker("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", container).split()


def _stopped(port: ProjectEngine, container: str, grace_s: int = 30) -> list[str]:
    """As a step that must stop cleanly does it."""
    port.end_server(container, grace_s)
    port.stop(container, grace_s)
    return _state(container)


@pytest.mark.parametrize("options", [(), ("--init",), ("--user=1000", "--tmpfs=/qdrant/storage:mode=1777")])
def test_a_qdrant_ends_before_its_entrypoint(run: Run, port: ProjectEngine, options: tuple[str, ...]) -> None:
    container = run(*QDRANT, *options)
    assert _stopped(port, container) == ["exited", "0"]


def test_a_qdrant_goes_down_with_its_entrypoint_where_only_that_is_stopped(run: Run, port: ProjectEngine) -> None:
    """What the others are measured by."""
    container = run(*QDRANT)
    port.stop(container, 30)
    assert _state(container) == ["exited", "143"]


@pytest.mark.parametrize(
    ("image", "server", "script"),
    [
        (REDIS, "docker-entrypoint.sh redis-server", SCRIPT),
        (REDIS, "docker-entrypoint.sh redis-server", DEAF),
        (POSTGRES, "docker-entrypoint.sh postgres", SCRIPT),
    ],
    ids=["redis", "redis-deaf", "postgres"],
)
def test_other_servers_below_a_script_end_first(
    run: Run, port: ProjectEngine, image: tuple[str, ...], server: str, script: str
) -> None:
    container = run(*image, "--entrypoint=bash", command=("-c", script.format(server=server)))
    assert _stopped(port, container) == ["exited", "0"]


@pytest.mark.parametrize(
    ("image", "command"), [(QDRANT, ("./qdrant",)), (REDIS, ()), (POSTGRES, ())], ids=["qdrant", "redis", "postgres"]
)
def test_a_server_that_is_process_1_is_left_to_the_engine(
    run: Run, port: ProjectEngine, image: tuple[str, ...], command: tuple[str, ...]
) -> None:
    container = run(*image, command=command)
    begun = time.monotonic()
    port.end_server(container, 60)
    assert time.monotonic() - begun < 30, "something was told, and waited for"
    assert _state(container) == ["running", "0"]
    port.stop(container, 30)
    assert _state(container) == ["exited", "0"]


def test_the_children_of_a_server_that_have_its_name_are_not_told(run: Run, port: ProjectEngine) -> None:
    """SIGINT would cancel what the session does."""
    container = run(*POSTGRES)
    ask = ["docker", "exec", "--env=PGPASSWORD=x", container, *READY["postgres"][:-1]]
    with subprocess.Popen([*ask, "SELECT pg_sleep(5)"], stdout=subprocess.DEVNULL) as session:
        seen = [*ask, "SELECT 'seen' FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(5)'"]
        wait_until(lambda: b"seen" in subprocess.check_output(seen), seconds=4, what="the session")
        port.end_server(container, 30)
        assert session.wait(30) == 0


def test_a_server_that_is_started_again_is_not_waited_for(run: Run, port: ProjectEngine) -> None:
    """By a script that brings it back: the stop that follows is for that to hear."""
    again = "while true; do docker-entrypoint.sh redis-server; done"
    container = run(*REDIS, "--entrypoint=bash", command=("-c", again))
    begun = time.monotonic()
    port.end_server(container, 60)
    assert time.monotonic() - begun < 30 and _state(container) == ["running", "0"]


@pytest.fixture
def stuck(run: Run) -> str:
    """A Redis below a script that hears nothing until it is told to go on."""
    container = run(
        *REDIS, "--entrypoint=bash", command=("-c", DEAF.format(server="docker-entrypoint.sh redis-server"))
    )
    _signal(container, "STOP")
    return container


def _signal(container: str, name: str) -> None:
    docker("exec", container, "bash", "-c", f"kill -{name} $(grep -l '^redis-server' /proc/[0-9]*/comm | cut -d/ -f3)")


def test_a_server_that_does_not_end_is_waited_for_as_long_as_its_grace(stuck: str, port: ProjectEngine) -> None:
    begun = time.monotonic()
    port.end_server(stuck, 3)
    assert 3 <= time.monotonic() - begun < 30 and _state(stuck) == ["running", "0"]


def test_an_end_that_goes_on_is_known_when_who_asked_for_it_is_gone(stuck: str, port: ProjectEngine) -> None:
    """By the engine's events: recovery waits for it."""

    def containers() -> list[SimpleNamespace]:
        return [SimpleNamespace(id=stuck, running=_state(stuck)[0] == "running")]

    stack = SimpleNamespace(name=PROJECT)
    wiring = SimpleNamespace(engine=port.wiring.engine, stack=stack, containers=containers)
    left = EngineLeftovers(cast("Wiring", wiring))
    assert not left.stopping()
    with subprocess.Popen(["docker", "exec", stuck, *end_server(60)]) as asking:
        wait_until(lambda: bool(left.stopping()), seconds=20, what="the command")
        asking.kill()
    assert left.stopping() == [stuck]
    _signal(stuck, "CONT")
    wait_until(lambda: not left.stopping(), seconds=20, what="its end")
    assert _state(stuck) == ["exited", "0"]
