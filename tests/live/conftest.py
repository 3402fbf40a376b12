"""Real servers: one container per test module and version, removed afterwards; skipped where the image is missing."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest

from nftui.clients.pglogin import Login
from nftui.clients.psql import PsqlClient
from nftui.model.stack import Container, Role, Service

PASSWORD = "pä'ss\\w0rd $x"


def docker(*args: str, given: bytes = b"", check: bool = True) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(["docker", *args], input=given, capture_output=True, timeout=60)
    if check and done.returncode:
        raise AssertionError(done.stderr.decode())
    return done


class DockerExec:
    """The Exec port over the docker command line."""

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
        options = ["-u", user] if user else []
        for key, value in (env or {}).items():
            options += ["-e", f"{key}={value}"]
        done = docker("exec", "-i", *options, container_id, *argv, given=input or b"", check=False)
        return done.returncode, done.stdout, done.stderr


@dataclass
class Server:
    """A container that the test owns."""

    name: str
    major: int

    @property
    def container(self) -> Container:
        data = json.loads(docker("inspect", self.name).stdout)[0]
        networks = data["NetworkSettings"]["Networks"]
        ports = data["NetworkSettings"]["Ports"] or {}
        return Container(
            id=data["Id"], name=self.name, service="postgres", number=1, state=data["State"]["Status"], health=None,
            image=data["Config"]["Image"], image_id=data["Image"], command=tuple(data["Config"]["Cmd"] or ()),
            environment=dict(x.split("=", 1) for x in data["Config"]["Env"]),
            addresses={k: v["IPAddress"] for k, v in networks.items()},
            published={k: (v[0]["HostIp"], int(v[0]["HostPort"])) for k, v in ports.items() if v},
        )  # fmt: skip

    @property
    def service(self) -> Service:
        return Service("postgres", Role.POSTGRES, containers=(self.container,))

    def admin(self, sql: str) -> str:
        """Run SQL as the superuser inside the container, under a name that is not nftui's."""
        args = ("exec", "-i", "-u", "postgres", self.name, "psql", "-XqAt", "-U", "crm", "-v", "ON_ERROR_STOP=1")
        return docker(*args, given=sql.encode()).stdout.decode().strip()

    def background(self, *argv: str) -> subprocess.Popen[bytes]:
        """A client inside the container that goes on while the test looks."""
        return subprocess.Popen(
            ["docker", "exec", "-i", "-u", "postgres", self.name, *argv],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def client(self, user: str = "crm") -> PsqlClient:
        return PsqlClient(DockerExec(), self.container.id, Login(user, "crm", 5432), "postgres").open()

    def wait(self) -> None:
        until(lambda: docker("exec", self.name, "pg_isready", "-qh", "127.0.0.1", check=False).returncode == 0)


def _holds(true: Callable[[], object]) -> object:
    try:
        return true()
    except AssertionError:  # a server that does not answer yet
        return False


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not _holds(true):
        assert time.monotonic() < end, "did not become true in time"
        time.sleep(0.1)


@pytest.fixture(scope="module", params=[15, 17])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    image = f"nftui-test/postgres:{request.param}"
    try:
        docker("image", "inspect", image)
    except (AssertionError, OSError):
        pytest.skip(f"no engine, or no image {image}")
    one = Server(f"nftui-t-{secrets.token_hex(4)}", request.param)
    # A network of its own: the default bridge belongs to whoever set the engine up, who may have none.
    docker("network", "create", one.name)
    docker(
        "run", "-d", "--name", one.name, "--network", one.name, "-p", "127.0.0.1::5432", "-e", "POSTGRES_USER=crm",
        "-e", f"POSTGRES_PASSWORD={PASSWORD}", image, "postgres", "-c", "work_mem=7MB",
        "-c", "max_prepared_transactions=5", "-c", "fsync=off",
    )  # fmt: skip
    try:
        one.wait()
        yield one
    finally:
        docker("rm", "-fv", one.name, check=False)
        docker("network", "rm", one.name, check=False)
