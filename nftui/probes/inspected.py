"""A container as the engine describes it, as facts; and the labels by which Compose knows its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nftui.model.stack import Container, MountSpec
from nftui.system.docker import EngineError, EnginePort

Json = Mapping[str, Any]

PREFIX = "com.docker.compose."
PROJECT = PREFIX + "project"
SERVICE = PREFIX + "service"
CONFIG_FILES = PREFIX + "project.config_files"
ENVIRONMENT_FILE = PREFIX + "project.environment_file"
WORKING_DIR = PREFIX + "project.working_dir"
VERSION = PREFIX + "version"
DEPENDS_ON = PREFIX + "depends_on"
"""db:service_healthy:false,…: the dependencies that were selected when the container was made."""


def inspect_or_none(engine: EnginePort, container: str) -> Json | None:
    """Everything about a container, None where it is gone. Raises EngineError for all else."""
    try:
        return engine.inspect(container)
    except EngineError as error:
        if error.status == 404:
            return None
        raise


def image_or_none(engine: EnginePort, image: str) -> Json | None:
    """Everything about an image, None where it is gone."""
    try:
        return engine.image(image) if image else None
    except EngineError:
        return None


def image_digests(image: Json | None) -> tuple[str, ...]:
    """Registry digests of an image ("redis@sha256:…"); empty for one that was built or loaded, or is gone."""
    return tuple(str(d) for d in (image or {}).get("RepoDigests") or ())


def container_of(inspected: Json, digests: Sequence[str] = (), image: Json | None = None) -> Container:
    """The engine's answer to an inspection, as facts; `image` is that of its image, where it was read."""
    config, host = _part(inspected, "Config"), _part(inspected, "HostConfig")
    state, network = _part(inspected, "State"), _part(inspected, "NetworkSettings")
    labels = {str(k): str(v) for k, v in _part(config, "Labels").items()}
    status = str(state.get("Status") or "")
    running = status in ("running", "paused", "restarting")
    return Container(
        id=str(inspected.get("Id") or ""),
        name=str(inspected.get("Name") or "").lstrip("/"),
        service=labels.get(SERVICE, ""),
        number=_number(labels.get(PREFIX + "container-number")),
        state=status,
        health=_health(state),
        image=str(config.get("Image") or ""),
        image_id=str(inspected.get("Image") or ""),
        image_digests=tuple(digests),
        config_hash=labels.get(PREFIX + "config-hash"),
        labels=labels,
        command=_texts(config.get("Cmd")),
        entrypoint=_texts(config.get("Entrypoint")),
        environment=_environment(config.get("Env")),
        memory_limit_bytes=host.get("Memory") or None,
        cpus=_cpus(host),
        cpuset=host.get("CpusetCpus") or None,
        memory_reservation_bytes=host.get("MemoryReservation") or None,
        pids_limit=limit if (limit := int(host.get("PidsLimit") or 0)) > 0 else None,
        restart_policy=_restart(host.get("RestartPolicy")),
        shm_bytes=host.get("ShmSize") or None,
        mounts=_mounts(inspected, host),
        addresses={str(k): str(v["IPAddress"]) for k, v in _part(network, "Networks").items() if v.get("IPAddress")},
        networks=tuple(sorted(str(name) for name in _part(network, "Networks"))),
        published=_published(_part(network, "Ports")),
        network_mode=str(host.get("NetworkMode") or ""),
        pid=(state.get("Pid") or None) if running else None,
        started_at=state.get("StartedAt") or None,
        restart_count=int(inspected.get("RestartCount") or 0),
        oom_killed=bool(state.get("OOMKilled")),
        exit_code=None if running else state.get("ExitCode"),
        one_off=is_one_off(labels),
        image_command=None if image is None else _texts(_part(image, "Config").get("Cmd")),
        image_environment=_environment(_part(image or {}, "Config").get("Env")),
        stop_grace_s=None if (grace := config.get("StopTimeout")) is None else float(grace),
    )


def _part(data: Json, key: str) -> Json:
    part = data.get(key)
    return part if isinstance(part, Mapping) else {}


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 1


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(v) for v in value) if isinstance(value, (list, tuple)) else ()


def _environment(value: object) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in _texts(value))
    return {name: text for name, _, text in pairs}


def _health(state: Json) -> str | None:
    status = _part(state, "Health").get("Status")
    return str(status) if status and status != "none" else None


def _restart(policy: Json | None) -> str | None:
    """The engine says "" where nothing was asked for, and "no" where `docker update` or Compose said so."""
    if policy is None:
        return None
    name, most = str(policy.get("Name") or "no"), int(policy.get("MaximumRetryCount") or 0)
    return f"{name}:{most}" if most else name


def _cpus(host: Json) -> float | None:
    """CPUs by either of the two ways to limit them: --cpus, or quota over period (microseconds)."""
    nano, quota = host.get("NanoCpus") or 0, host.get("CpuQuota") or 0
    if nano > 0:
        return float(nano) / 1e9
    return float(quota) / float(host.get("CpuPeriod") or 100_000) if quota > 0 else None


def _mounts(inspected: Json, host: Json) -> tuple[MountSpec, ...]:
    found = [
        MountSpec(
            type=str(m.get("Type") or ""),
            source=str(m.get("Name") or m.get("Source") or "") or None,
            target=str(m.get("Destination") or ""),
            read_only=m.get("RW") is False,
            host_path=str(m.get("Source") or "") or None,
        )
        for m in inspected.get("Mounts") or ()
    ]
    known = {m.target for m in found}
    tmpfs = _part(host, "Tmpfs")
    found += [MountSpec("tmpfs", None, str(target)) for target in tmpfs if target not in known]
    return tuple(sorted(found, key=lambda m: m.target))


def _published(ports: Json) -> dict[str, tuple[str, int]]:
    """The first binding of each port; an IPv6 twin of it says nothing more."""
    found = {}
    for port, bindings in ports.items():
        for binding in bindings or ():
            number = str(binding.get("HostPort") or "")
            if number.isdigit():
                found[str(port)] = (str(binding.get("HostIp") or ""), int(number))
                break
    return found


def is_one_off(labels: Mapping[str, str]) -> bool:
    """Whether `docker compose run` made the container with these labels."""
    return labels.get(PREFIX + "oneoff", "").lower() == "true"


def files_of(container: Container) -> tuple[str, ...]:
    """The Compose files that it was started from; empty where the label is missing (Compose v1, Podman)."""
    return tuple(f for f in container.labels.get(CONFIG_FILES, "").split(",") if f)
