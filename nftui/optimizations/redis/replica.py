"""A replica beside a server: the operator's own definition again, with a volume of its own and the master to follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nftui.catalog.references import parse_reference
from nftui.model.message import Message, msg
from nftui.optimizations.redis.command import merge, program, source_of, started_words, starts
from nftui.optimizations.redis.server import image_directory, lasting_mount

if TYPE_CHECKING:
    from nftui.model.stack import MountSpec, Service
    from nftui.optimizations.redis.server import Server

_COPIED = (
    "entrypoint", "environment", "env_file", "healthcheck", "ulimits", "sysctls", "user", "secrets", "configs",
    "security_opt", "cap_add", "cap_drop", "deploy", "mem_limit", "mem_reservation", "cpus", "pids_limit", "init",
    "logging", "dns", "read_only", "tmpfs",
)  # fmt: skip
"""What it has of its master; ports, names, aliases, labels and what depends on it are the master's own."""
_LASTING = ("always", "unless-stopped")
PORT = "6379"


def replica_name(service: str) -> str:
    """What the replica of that service is called."""
    return f"{service}-replica"


def port_of(server: Server) -> str:
    """Where the server listens."""
    return server.flags.get("port", PORT)


def obstacle(server: Server) -> Message | None:
    """Why it can have no other server beside it, None where it can."""
    if server.live is None:
        return msg("it cannot be asked whether another server follows it")
    if server.service.config.get("network_mode") not in (None, "", "bridge") or not networks_of(server.service):
        return msg("it has no network of its own that another server could reach it by")
    if server.live.config_file or server.live.config_file is None:
        return msg("its password and its place stand in a configuration that another server would need changed")
    if server.data_directory != image_directory(server.service):
        return msg("its keys lie in {directory}, which another server of its image would not have",
                   directory=server.data_directory)  # fmt: skip
    secret = source_of(server.service, "requirepass")
    if "requirepass" in server.flags and (secret is None or "$" not in secret):
        return msg("its password stands in clear in your file, and nftui would have to copy it; put it into .env")
    return None


def image_obstacle(server: Server, image: str) -> Message | None:
    """Why its replica cannot have that image, None where it can."""
    if server.has_image(image) is False:
        return msg("the image {image} is not on this engine; get it with 'docker pull {image}'", image=image)
    if is_strange(server, image) and program(server.service) is None:
        return msg("its command does not start the server by its name and options alone, so that another image could")
    return None


def is_strange(server: Server, image: str) -> bool:
    """Whether it is not known how that image starts a server: neither one of the server's own repository, nor an
    official one.
    """
    own, other = parse_reference(server.service.image or ""), parse_reference(image)
    if (other.registry, other.repository) == (own.registry, own.repository):
        return False
    return not starts(image, program(server.service) or "")


def definition(server: Server, image: str | None, settings: Mapping[str, str]) -> dict[str, object]:
    """The whole service. `settings` are the server's own names; raises CannotMerge."""
    wanted = {**settings, "replicaof": f"{server.name} {port_of(server)}"}
    strange = image is not None and is_strange(server, image)
    # The server's own image has a volume there by itself.
    place: list[dict[str, object]] = [{"type": "volume", "target": image_directory(server.service)}] if strange else []
    return {
        **(_by_program if strange else twin)(server, image, wanted),
        "networks": networks_of(server.service),
        "depends_on": {server.name: {"condition": "service_started"}},
        "volumes": [*place, *other_mounts(server)],
    }


def _by_program(server: Server, image: str | None, settings: Mapping[str, str]) -> dict[str, object]:
    """Nothing is left to its image but the program. Root, for whoever owns the place there, it can be written to."""
    directory = image_directory(server.service)
    found = twin(server, image, {**settings, "dir": directory})
    name, *options = started_words(server.service, found["command"])
    return {**found, "entrypoint": [name], "command": options, "user": "0:0"}


def twin(server: Server, image: str | None, settings: Mapping[str, str]) -> dict[str, object]:
    """What another server has of that one: all but its networks, its place and what it waits for."""
    raw = server.service.raw or server.service.config
    found = {key: raw[key] for key in _COPIED if key in raw}
    secret = source_of(server.service, "requirepass")
    login = {"masterauth": secret} if secret is not None else {}
    return {
        **found,
        "image": image.replace("$", "$$") if image else str(raw.get("image", server.service.image)),
        # Others build on it; what ends for good, or when its work is done, is a job.
        "restart": server.service.restart if server.service.restart in _LASTING else _LASTING[-1],
        "command": merge(server.service, {**settings, **login}),
    }


def other_mounts(server: Server) -> list[dict[str, object]]:
    """What it has mounted beside its data, to be read only."""
    return [_mount(m) for m in server.service.mounts if m.type == "bind" and not holds_data(server, m)]


def networks_of(service: Service) -> list[str]:
    """Networks that the service names, in order."""
    declared = service.config.get("networks")
    return sorted(str(n) for n in declared) if isinstance(declared, (Mapping, list, tuple)) and declared else []


def holds_data(server: Server, mount: MountSpec) -> bool:
    """Whether its keys lie there."""
    return mount == lasting_mount(server.service, server.data_directory)


def _mount(mount: MountSpec) -> dict[str, object]:
    source = (mount.source or "").replace("$", "$$")
    return {"type": mount.type, "source": source, "target": mount.target, "read_only": True}
