"""Memory in use: per service of the project, and what the rest of the engine was promised or uses.

Read only where a plan needs it: one question per running container.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from nftui.model.dataclass import dataclass
from nftui.model.stack import Container, Stack
from nftui.probes.inspected import container_of, inspect_or_none
from nftui.probes.resolve import at_once
from nftui.probes.surroundings import project_of
from nftui.system.docker import EngineError, EnginePort

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """Memory in bytes: working set of each service (all its containers), and of containers outside the project.

    Working set = usage without inactive file cache, as `docker stats` shows it. What cannot be read is left out.
    """

    services: Mapping[str, int] = field(default_factory=dict)
    promised: int = 0
    """The others' limits, or what they use where they have none."""
    used: int = 0
    """What the others use now."""
    killed: Mapping[str, int] = field(default_factory=dict)
    """Service to the processes of its running containers that the kernel killed for lack of memory."""


def memory_usage(stack: Stack, engine: EnginePort, root: str = "/") -> Usage:
    """Ask every running container. `root` is / but in tests."""
    usage: dict[str, int] = {}
    killed: dict[str, int] = {}
    for service in stack.services:
        kills = sum(oom_kills(c, root) or 0 for c in service.containers if c.running)
        if kills:
            killed[service.name] = kills
        sizes = [working_set(c, engine, root) for c in service.containers if c.running]
        known = [size for size in sizes if size is not None]
        if known:
            usage[service.name] = sum(known)
    others = _others(stack.name, engine, root)
    return Usage(usage, sum(promised for promised, _ in others), sum(used for _, used in others), killed)


def _others(project: str, engine: EnginePort, root: str) -> list[tuple[int, int]]:
    """Promised to and used by running containers of other projects, and one-off ones of any."""
    try:
        summaries = [s for s in engine.containers() if s.get("State") == "running" and project_of(s) != project]
    except EngineError:
        return []
    return at_once(lambda summary: _other(summary, engine, root), summaries)


def _other(summary: Json, engine: EnginePort, root: str) -> tuple[int, int]:
    try:
        data = inspect_or_none(engine, str(summary["Id"]))
    except EngineError:
        return 0, 0
    if data is None:
        return 0, 0
    container = container_of(data)
    used = working_set(container, engine, root) or 0
    return container.memory_limit_bytes or used, used


def working_set(container: Container, engine: EnginePort, root: str = "/") -> int | None:
    """Bytes in use by a container now: from its cgroup where that is on this machine, else from the engine."""
    local = _from_cgroup(container.pid, container.id, root) if container.pid else None
    return _from_stats(container, engine) if local is None else local


def _from_stats(container: Container, engine: EnginePort) -> int | None:
    try:
        # Nothing at all is answered for a container that just went away.
        sample: Json | None = engine.stats(container.id)
    except EngineError:
        return None
    memory = (sample or {}).get("memory_stats")
    if not isinstance(memory, Mapping) or not isinstance(memory.get("usage"), int):
        return None
    detail = memory.get("stats")
    return _without_cache(memory["usage"], detail if isinstance(detail, Mapping) else {})


def _without_cache(usage: int, detail: Mapping[str, object]) -> int:
    """Source: docker/cli, cli/command/container/stats_helpers.go calculateMemUsageUnixNoCache."""
    for key in ("total_inactive_file", "inactive_file"):
        cache = detail.get(key)
        if isinstance(cache, int):
            return max(0, usage - cache) if cache < usage else usage
    return usage


def _from_cgroup(pid: int | None, container: str, root: str) -> int | None:
    """From the files of the process's memory cgroup, v2 or v1: a tenth of the time of a stats call."""
    found = _memory_folder(pid, container, root)
    if found is None:
        return None
    version, folder = found
    name = "memory.usage_in_bytes" if version == 1 else "memory.current"
    try:
        usage = int((folder / name).read_text())
        return _without_cache(usage, _counters(folder / "memory.stat"))
    except (OSError, ValueError):
        return None


def oom_kills(container: Container, root: str = "/") -> int | None:
    """Processes of a running container that the kernel killed for lack of memory since it was started.

    None where its cgroup is not on this machine or the kernel does not count (v1: since Linux 4.13). Docker's own
    flag is set for the main process alone. Source: cgroup-v2.rst memory.events oom_kill, mm/memcontrol-v1.c
    mem_cgroup_oom_control_read.
    """
    found = _memory_folder(container.pid, container.id, root) if container.pid else None
    if found is None:
        return None
    version, folder = found
    try:
        return _counters(folder / ("memory.oom_control" if version == 1 else "memory.events")).get("oom_kill")
    except (OSError, ValueError):
        return None


def _counters(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in path.read_text().splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def _memory_folder(pid: int | None, container: str, root: str) -> tuple[int, Path] | None:
    """(cgroup version, folder) of the process's memory cgroup.

    It must carry the container's id: the pid of an engine on another machine is somebody else's here.
    """
    base = Path(root)
    try:
        lines = (base / f"proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    path = _memory_path([line.split(":", 2) for line in lines])
    if path is None or container not in path[1]:
        return None
    version, place = path
    return version, base / "sys/fs/cgroup" / ("memory" if version == 1 else "") / place.lstrip("/")


def _memory_path(entries: Sequence[Sequence[str]]) -> tuple[int, str] | None:
    """(cgroup version, path) of the memory controller, as /proc/PID/cgroup lists it."""
    for entry in entries:
        if len(entry) == 3 and "memory" in entry[1].split(","):
            return 1, entry[2]
    return next(((2, entry[2]) for entry in entries if len(entry) == 3 and entry[:2] == ["0", ""]), None)
