"""The engine as it describes itself: its answers to /version and /info as facts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from nftui.model.stack import Engine
from nftui.system.endpoint import Endpoint


def engine_of(version: Mapping[str, Any], info: Mapping[str, Any], endpoint: Endpoint) -> Engine:
    """The facts in the answers to /version and /info."""
    options = [str(o) for o in info.get("SecurityOptions") or ()]
    swarm = info.get("Swarm") or {}
    return Engine(
        version=str(version.get("Version") or info.get("ServerVersion") or ""),
        id=str(info.get("ID") or ""),
        endpoint=endpoint.host,
        api_version=str(version.get("ApiVersion") or ""),
        architecture=str(info.get("Architecture") or version.get("Arch") or ""),
        operating_system=str(info.get("OperatingSystem") or ""),
        data_root=str(info.get("DockerRootDir") or ""),
        rootless=_has(options, "rootless"),
        userns_remap=_has(options, "userns"),
        selinux=_has(options, "selinux"),
        swarm=isinstance(swarm, dict) and swarm.get("LocalNodeState") == "active",
        local=_is_local(endpoint, info),
        product=_product(version, info),
        memory_bytes=_count(info.get("MemTotal")),
        cpus=_count(info.get("NCPU")),
    )


def _has(options: list[str], name: str) -> bool:
    return any(o.partition(",")[0] == f"name={name}" for o in options)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _product(version: Mapping[str, Any], info: Mapping[str, Any]) -> str:
    components = version.get("Components") or ()
    if any("podman" in str(c.get("Name", "")).lower() for c in components if isinstance(c, dict)):
        return "podman"
    if str(info.get("OperatingSystem", "")).startswith("Docker Desktop"):
        return "desktop"
    return "snap" if str(info.get("DockerRootDir", "")).startswith("/var/snap/") else "docker"


def _is_local(endpoint: Endpoint, info: Mapping[str, Any]) -> bool:
    """Whether paths and memory of the engine are this machine's.

    A unix socket can be forwarded from elsewhere (ssh -L) or belong to a virtual machine: there the
    kernel is another one. A container that has the socket mounted shares the kernel.
    """
    kernel = str(info.get("KernelVersion") or "")
    if kernel and kernel != os.uname().release:
        return False
    if endpoint.scheme == "unix":
        return True
    host = endpoint.path.rpartition(":")[0].strip("[]")
    return (
        endpoint.scheme != "ssh"
        and host in ("localhost", "127.0.0.1", "::1")
        and info.get("Name") == os.uname().nodename
    )
