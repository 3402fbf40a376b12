"""Facts for the tests: a stack with one server, its live settings, and an apply that is only simulated."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nftui.model.advice import Advice, Fragment, Grant
from nftui.model.choices import Choices
from nftui.model.facts import Facts, Live
from nftui.model.host import Cpu, Host, Medium, Mount
from nftui.model.postgres import PostgresFacts, Setting
from nftui.model.stack import Container, Engine, Invocation, MountSpec, Place, Role, Service, Stack
from nftui.model.units import GIB, parse_duration, parse_size
from nftui.optimizations.postgres import OPTIMIZATION
from nftui.optimizations.postgres.flags import read_flags
from nftui.optimizations.postgres.gucs import GUCS, stock

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA = MountSpec("volume", "pgdata", "/var/lib/postgresql/data")
ENUMS = {"wal_compression": ("pglz", "lz4", "zstd", "on", "off"), "huge_pages": ("off", "on", "try")}


def data_mount(major: int) -> MountSpec:
    return DATA if major <= 17 else MountSpec("volume", "pgdata", "/var/lib/postgresql")


def service(major: int = 16, command: object = None, **more: Any) -> Service:
    """A server; `command` as the operator wrote it (string or list), without variables."""
    actual = shlex.split(command) if isinstance(command, str) else command
    values: dict[str, Any] = {
        "role": Role.POSTGRES,
        "image": f"postgres:{major}",
        "version": str(major),
        "mounts": (data_mount(major),),
        "memory_limit_bytes": 4 * GIB,
        "command": tuple(a.replace("$$", "$") for a in actual) if isinstance(actual, list) else None,
        "raw": {"command": command} if command is not None else {},
        "places": {"command": Place("compose.yaml", 7), "environment": Place("compose.yaml", 9)},
    }
    return Service("db", **(values | more))


def ran(*words: str, **more: Any) -> Container:
    """A running container of docker-library's image, started with those words."""
    values: dict[str, Any] = {"entrypoint": ("docker-entrypoint.sh",), "image_command": ("postgres",)}
    return Container("c1", "x-db-1", "db", 1, "running", None, "postgres:16", "id", command=words, **(values | more))


def setting(name: str, shown: str, source: str = "default", **more: Any) -> Setting:
    return Setting(name, shown, None, "user", source, shown, enumvals=ENUMS.get(name, ()), **more)


def live(major: int = 16, changed: Mapping[str, Setting] | None = None, **more: Any) -> PostgresFacts:
    """A stock server; initdb's own lines come from a configuration file without being anyone's choice."""
    by_initdb = {"shared_buffers", "max_connections", "max_wal_size", "min_wal_size"}
    names = [n for n in GUCS if major >= 18 or n != "io_method"]
    rows = {n: setting(n, stock(n, major), "configuration file" if n in by_initdb else "default") for n in names}
    if major < 15:
        rows["wal_compression"] = replace(rows["wal_compression"], enumvals=())
    return PostgresFacts(major * 10000, str(major), rows | dict(changed or {}), superuser=True, **more)


def facts(
    *services: Service, server: PostgresFacts | None = None, cpus: int = 4, medium: Medium = Medium.NVME,
    free: int | None = 500 * GIB, **more: Any,
) -> Facts:  # fmt: skip
    mount = Mount("/", "ext4", 1000 * GIB, free, "disk0", medium)
    known = {("db", "postgres"): Live("postgres", "db", server)} if server else {}
    engine = Engine("28", "id", data_root="/var/lib/docker")
    stack = Stack("x", Invocation("/srv/x", ()), services or (service(),), **more)
    return Facts(Host(memory_bytes=64 * GIB, cpu=Cpu(logical=cpus), mounts=(mount,)), stack, engine, known)


def grants(memory: int = 4 * GIB) -> dict[str, Grant]:
    return {"db": Grant("db", memory)}


def choose(**values: str) -> Choices:
    """Canonical values, checked as the command line does."""
    chosen = Choices()
    knobs = {knob.name: knob for knob in OPTIMIZATION.knobs}
    for name, value in values.items():
        chosen = chosen.set("postgres", None, name, knobs[name].check(value, f"postgres.{name}"))
    return chosen


def advise(world: Facts, choices: Choices | None = None, memory: int = 4 * GIB) -> dict[str, Advice]:
    lines = OPTIMIZATION.advise(world, choices or Choices(), grants(memory))
    return {line.knob: line for line in lines}


def fragment(world: Facts, choices: Choices | None = None, memory: int = 4 * GIB) -> Fragment:
    return OPTIMIZATION.fragment(world, OPTIMIZATION.advise(world, choices or Choices(), grants(memory)))


def simulate(world: Facts, written: Fragment, *, files_read: bool = True, **later: Any) -> Facts:
    """The facts after an apply of that fragment; `files_read`: pg_file_settings could be read (superusers only).

    `later`: what the server says otherwise by then.
    """
    keys = written.services.get("db", {})
    found = world.stack.service("db")
    before = world.live_value("db", "postgres")
    assert found is not None and isinstance(before, PostgresFacts)
    command = keys.get("command", list(found.command or ("postgres",)))
    assert isinstance(command, list)
    rows, files = dict(before.settings), dict(before.file_settings)
    for name, value in ((f.name, f.value) for f in read_flags([str(word) for word in command])):
        old = rows[name]
        if old.source == "configuration file" and files_read:
            files.setdefault(name, old.shown)
        rows[name] = replace(old, shown=value, setting=value, source="command line")
    container = Container(
        "c1", "x-db-1", "db", 1, "running", "healthy", found.image or "", "sha256:1", command=tuple(command),
        shm_bytes=parse_size(str(keys["shm_size"])) if "shm_size" in keys else found.shm_bytes, mounts=found.mounts,
        stop_grace_s=parse_duration(str(keys["stop_grace_period"])) if "stop_grace_period" in keys else None,
        environment={"PG_MAJOR": str(before.major)}, entrypoint=("docker-entrypoint.sh",),
    )  # fmt: skip
    stack = replace(world.stack, services=(replace(found, containers=(container,)), *world.stack.services[1:]))
    after = replace(before, settings=rows, file_settings=files, **later)
    return replace(world, stack=stack, live={("db", "postgres"): Live("postgres", "db", after)})
