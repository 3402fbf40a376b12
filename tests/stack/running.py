"""One running copy of the test stack, and what a project leaves behind in the engine."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import urlopen

if TYPE_CHECKING:
    import psycopg
    import redis

SOURCE = Path(__file__).parent
PROJECT_LABEL = "com.docker.compose.project"


def docker(*arguments: str, check: bool = True, timeout: float = 60) -> str:
    """What `docker ARGUMENTS` printed; CalledProcessError with its stderr in a note on failure."""
    return _run(["docker", *arguments], check=check, timeout=timeout).stdout.strip()


@dataclass(frozen=True)
class Stack:
    """A Compose project of its own; `directory` is named `project`, so plain Compose finds it."""

    project: str
    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        """The keys of its `.env`."""
        lines = (self.directory / ".env").read_text().splitlines()
        pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        return {pair[0]: pair[1] for pair in pairs}

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be seen in any output."""
        return tuple(v for k, v in self.environment.items() if k.endswith("PASSWORD"))

    def compose(self, *arguments: str, check: bool = True, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Run `docker compose ARGUMENTS` as the operator does: in the directory, nothing added."""
        command = ["docker", "compose", *arguments]
        return _run(command, cwd=self.directory, check=check, timeout=timeout)

    def up(self, *arguments: str) -> None:
        """Start it (or `arguments`, options and services) and wait until it is healthy."""
        self.compose("up", "--detach", "--wait", "--wait-timeout", "120", "--quiet-pull", *arguments)

    def down(self) -> None:
        """Remove containers, networks and volumes, those of switched-off profiles too."""
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "2")

    def services(self) -> dict[str, str]:
        """Container ids by service, running or not; of a scaled service the first."""
        ids = self._list("container", "--all")
        found = {i: self._inspect(i)["Config"]["Labels"] for i in ids}
        key = "com.docker.compose.service"
        return {labels[key]: i for i, labels in reversed(found.items()) if key in labels}

    def container(self, service: str) -> str:
        """The id of the service's container; KeyError when there is none."""
        return self.services()[service]

    def inspect(self, service: str) -> Any:
        """`docker inspect` of the service's container."""
        return self._inspect(self.container(service))

    def address(self, service: str) -> str:
        """The address at which this host reaches the service's container."""
        networks = self.inspect(service)["NetworkSettings"]["Networks"]
        return next(str(n["IPAddress"]) for n in networks.values() if n["IPAddress"])

    def exec(self, service: str, *command: str, check: bool = True) -> str:
        """What `command` printed inside the service's container."""
        return docker("exec", self.container(service), *command, check=check)

    @contextmanager
    def postgres(self, service: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
        """An autocommit connection from this host, as the stack's own user."""
        import psycopg

        env = self.environment
        with psycopg.connect(
            host=self.address(service),
            user=env["POSTGRES_USER"],
            password=env["POSTGRES_PASSWORD"],
            dbname=env["POSTGRES_DB"],
            autocommit=True,
            connect_timeout=10,
        ) as connection:
            yield connection

    def show(self, setting: str, service: str = "postgres") -> str:
        """The value that PostgreSQL runs with, in its own words (`128MB`)."""
        with self.postgres(service) as connection:
            row = connection.execute("SELECT current_setting(%s)", [setting]).fetchone()
        assert row is not None
        return str(row[0])

    @contextmanager
    def redis(self, service: str = "redis") -> Iterator[redis.Redis]:
        """A client from this host; answers are text."""
        import redis

        password = self.environment["REDIS_PASSWORD"]
        address = self.address(service)
        with redis.Redis(host=address, password=password, decode_responses=True) as client:
            yield client

    def http(self, service: str, path: str, port: int = 8000) -> tuple[int, Any]:
        """Status and JSON document that the service answers at `path`."""
        url = f"http://{self.address(service)}:{port}{path}"
        try:
            with urlopen(url, timeout=10) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)

    def set_env(self, **values: str) -> None:
        """Replace keys of `.env`, or add them; takes effect at the next `up`."""
        path = self.directory / ".env"
        kept = [ln for ln in path.read_text().splitlines() if ln.split("=", 1)[0] not in values]
        path.write_text("\n".join([*kept, *(f"{k}={v}" for k, v in values.items())]) + "\n")

    def leftovers(self) -> list[str]:
        """Containers, volumes and networks that still bear the project's name."""
        return leftovers(f"{PROJECT_LABEL}={self.project}")

    def mounted_volumes(self) -> set[str]:
        """All volumes of its containers: the anonymous ones bear no label to find them by."""
        mounts = (m for i in self._list("container", "--all") for m in self._inspect(i)["Mounts"])
        return {str(mount["Name"]) for mount in mounts if mount["Type"] == "volume"}

    def _list(self, kind: str, *options: str) -> list[str]:
        label = f"label={PROJECT_LABEL}={self.project}"
        return docker(kind, "ls", *options, "--quiet", "--filter", label).split()

    @staticmethod
    def _inspect(container: str) -> Any:
        return json.loads(docker("container", "inspect", container))[0]


def leftovers(label: str) -> list[str]:
    """What in the engine bears `label`, as `container ID`, `volume NAME`, `network ID`."""
    found = []
    for kind, options in (("container", ["--all"]), ("volume", []), ("network", [])):
        ids = docker(kind, "ls", *options, "--quiet", "--filter", f"label={label}").split()
        found += [f"{kind} {i}" for i in ids]
    return found


def existing_volumes() -> set[str]:
    """The names of all volumes of the engine."""
    return set(docker("volume", "ls", "--quiet").split())


def wait_until(condition: Any, *, seconds: float = 30, what: str = "the condition") -> None:
    """Wait until `condition()` is true; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.1)


def _run(
    command: list[str], *, check: bool, timeout: float, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=_clean(os.environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if check and done.returncode:
        error = subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
        error.add_note(done.stderr)
        raise error
    return done


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    """Without the variables that would point Compose at another project, or beat its `.env`."""
    ours = ("COMPOSE_", "POSTGRES_", "REDIS_", "APP_")
    return {key: value for key, value in environment.items() if not key.startswith(ours)}
