"""The limits of cgroup v1 and v2 on nftui itself: memory, CPU quota, CPU set (kernel docs: cgroup-v1, cgroup-v2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nftui.model.dataclass import dataclass
from nftui.probes.mountinfo import parse
from nftui.probes.tree import Tree, cpu_list, is_below, parent

_NO_LIMIT = 1 << 62
"""Bytes; v1 writes the largest multiple of a page (9223372036854771712 with 4 KiB pages) for "no limit"."""

_DEFAULT_MOUNT = "/sys/fs/cgroup"
_DEFAULT_PERIOD = "100000"
"""Microseconds; the kernel's own default."""


@dataclass(frozen=True, slots=True)
class Limits:
    """None is "no limit", or unknown where the host's unknowns say so; `quota` is in CPUs."""

    memory_bytes: int | None = None
    version: int | None = None
    quota: float | None = None
    cpuset: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Where one controller's files for nftui lie: its own directory first, then each parent up to the mount."""

    version: int
    directories: tuple[str, ...]


def read_limits(tree: Tree) -> Limits:
    """A limit of a parent binds its children, so that each figure is the least of the whole chain."""
    membership = tree.ask("cgroup_version", "/proc/self/cgroup")
    if membership is None:
        for what in ("cgroup_memory_bytes", "cpu.quota", "cpu.cpuset"):
            tree.note(what, "/proc/self/cgroup cannot be read")
        return Limits()
    own = _membership(membership)
    memory, cpu, cpuset = (_group(tree, own, name) for name in ("memory", "cpu", "cpuset"))
    if memory is None:
        tree.note("cgroup_version", "no cgroup filesystem is mounted here")
    return Limits(
        memory_bytes=min(_memory(tree, memory), default=None) if memory else None,
        version=memory.version if memory else None,
        quota=min(_quota(tree, cpu), default=None) if cpu else None,
        cpuset=_cpuset(tree, cpuset) if cpuset else None,
    )


def _membership(text: str) -> dict[str, str]:
    """Controller to path of `4:memory:/a` and `3:cpu,cpuacct:/b`; the v2 line `0::/c` has the empty name."""
    fields = (line.split(":", 2) for line in text.splitlines())
    return {name: parts[2] for parts in fields if len(parts) == 3 for name in parts[1].split(",")}


def _group(tree: Tree, own: Mapping[str, str], controller: str) -> Group | None:
    """v1 where the controller is mounted so, else v2: on hybrid systems each controller has one place only."""
    places = _places(tree)
    for version, name in ((1, controller), (2, "")):
        if name in own and (version, name) in places:
            mount, root = places[version, name]
            return Group(version, tuple(_chain(mount, root, own[name])))
    return None


def _places(tree: Tree) -> dict[tuple[int, str], tuple[str, str]]:
    """(version, controller) to mount point and the directory of the hierarchy that is seen there."""
    found: dict[tuple[int, str], tuple[str, str]] = {}
    for line in parse(tree.read("/proc/self/mountinfo") or ""):
        if line.filesystem == "cgroup2":
            found.setdefault((2, ""), (line.path, line.root))
        elif line.filesystem == "cgroup":
            for controller in line.super_options:
                found.setdefault((1, controller), (line.path, line.root))
    return found or _usual_places(tree)


def _usual_places(tree: Tree) -> dict[tuple[int, str], tuple[str, str]]:
    """Without a readable mount table: where systemd and Docker mount them."""
    if tree.exists(f"{_DEFAULT_MOUNT}/cgroup.controllers"):
        return {(2, ""): (_DEFAULT_MOUNT, "/")}
    names = ("memory", "cpu", "cpuset")
    return {(1, n): (f"{_DEFAULT_MOUNT}/{n}", "/") for n in names if tree.exists(f"{_DEFAULT_MOUNT}/{n}")}


def _chain(mount: str, root: str, own: str) -> Iterator[str]:
    """Own directory, then its parents.

    In a container without a cgroup namespace `own` is the host's path and the mount shows only that directory:
    the mount's `root` is cut off. A path that leads outside of the namespace ("/../..") leaves the mount point.
    """
    inside = own[len(root.rstrip("/")) :] if is_below(own, root) else ""
    directory = f"{mount}{'' if '..' in inside.split('/') else inside}".rstrip("/")
    while is_below(directory, mount) and directory != mount.rstrip("/"):
        yield directory
        directory = parent(directory)
    yield mount


def _memory(tree: Tree, group: Group) -> Iterator[int]:
    name = "memory.max" if group.version == 2 else "memory.limit_in_bytes"
    for directory in group.directories:
        text = tree.ask("cgroup_memory_bytes", f"{directory}/{name}", absent_ok=True)
        value = _value(tree, "cgroup_memory_bytes", f"{directory}/{name}", text)
        if value is not None and 0 <= value < _NO_LIMIT:
            yield value


def _quota(tree: Tree, group: Group) -> Iterator[float]:
    """Quota by period, both in microseconds: v2 in one file, v1 in two."""
    name = "cpu.max" if group.version == 2 else "cpu.cfs_quota_us"
    for directory in group.directories:
        path = f"{directory}/{name}"
        text = tree.ask("cpu.quota", path, absent_ok=True)
        quota, _, period = (text or "").partition(" ")
        if group.version == 1:
            period = tree.read(f"{directory}/cpu.cfs_period_us") or ""
        allowed = None if text is None else _value(tree, "cpu.quota", path, quota)
        per = _value(tree, "cpu.quota", path, period or _DEFAULT_PERIOD)
        if allowed is not None and allowed > 0 and per:
            yield allowed / per


def _value(tree: Tree, what: str, path: str, text: str | None) -> int | None:
    """The number; None for "max", for an absent file, and with a note for anything else (an empty file)."""
    if text is None or text == "max":
        return None
    if text.removeprefix("-").isdecimal():
        return int(text)
    tree.note(what, f"{path}: no number: {text[:40]!r}")
    return None


def _cpuset(tree: Tree, group: Group) -> str | None:
    """The CPUs that nftui may run on, None where these are all of them.

    The nearest directory that has an answer counts: "effective" already holds what the parents allow.
    """
    names = ("cpuset.cpus.effective",) if group.version == 2 else ("cpuset.effective_cpus", "cpuset.cpus")
    online = tree.read("/sys/devices/system/cpu/online")
    for directory in group.directories:
        for name in names:
            text = tree.ask("cpu.cpuset", f"{directory}/{name}", absent_ok=True)
            if text:
                return None if _is_all(tree, text, online) else text
    return None


def _is_all(tree: Tree, text: str, online: str | None) -> bool:
    try:
        return online is not None and cpu_list(text) >= cpu_list(online)
    except ValueError:
        tree.note("cpu.cpuset", f"no list of CPUs: {text[:40]!r}")
        return False
