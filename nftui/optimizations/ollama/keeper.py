"""The small service beside a server that keeps its models: those that stay, and the others by last use.

It runs in the server's own image, so that nothing has to be pulled, and speaks HTTP itself (keeper_script).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from nftui.catalog import lacking, repositories_of
from nftui.clients.ollama import FOREVER, port_of
from nftui.model.advice import ACTS_LABEL
from nftui.model.dataclass import dataclass
from nftui.model.message import Message, msg
from nftui.model.units import MIB
from nftui.optimizations.ollama.keeper_script import HEALTHCHECK, SCRIPT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nftui.model.ai import OllamaFacts
    from nftui.model.facts import Facts
    from nftui.model.stack import Service
    from nftui.optimizations.ollama.wishes import Wish

POLL_S = 5
"""Between two looks."""
MEMORY = 64 * MIB
"""Bytes that it may use: a shell, and an answer of the server."""
_TRUST_S = 60
"""So long after the server's last answer the keeper counts as well."""
_LOAD_S = 1800
"""The longest load that is waited for: 40 GB from a slow disk."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a keeper shall do; bytes."""

    wishes: Sequence[Wish]
    """Models that stay."""
    needs: Mapping[str, int]
    """What each of them takes."""
    places: int
    """Models that the server lets in at once."""
    room: int
    """For all models together; 0 where it is not known."""
    by_use: bool
    """Others are unloaded by last use, not only by the server's own order."""
    idle_s: int
    """Nobody used it for so long before a model goes to free a place."""
    on_gpu: bool


def keeper_name(facts: Facts, service: Service) -> str:
    """A name that no service of the operator's has."""
    name = f"{service.name}-keeper"
    return name if facts.stack.service(name) is None else f"{name}-nftui"


def no_keeper(service: Service, live: OllamaFacts | None, *, asked: bool = False) -> Message | None:
    """Why none can stand beside that server: it must reach it by its name or on the host's network, in its image.

    `asked`: an operator wants one, and may know what nobody can tell here.
    """
    if service.config.get("network_mode") not in (None, "", "host"):
        return msg("no service beside it reaches it in its network mode")
    if not service.image:
        return msg("its image is built here and has no name by which a service beside it could run in it")
    has_bash = live.has_bash if live else None
    if has_bash is False or any(name == "bash" for name, _ in lacking(service.image)):
        return msg("its image has no bash for the service that would load them")
    if has_bash is None and not asked and not repositories_of(service.image):
        return msg("it is not known whether its image has bash for the service that would load them")
    return None


def keeper(service: Service, keeping: Keeping) -> dict[str, object]:
    """The service's definition. It waits by itself for a server that does not answer yet."""
    on_host = service.config.get("network_mode") == "host"
    found: dict[str, object] = {
        "image": str(service.raw.get("image") or service.image),
        "entrypoint": ["bash", "-c", SCRIPT.replace("$", "$$")],
        "command": [],
        "environment": _environment(service, keeping, "127.0.0.1" if on_host else service.name),
        "depends_on": {service.name: {"condition": "service_started"}},
        "healthcheck": {
            "test": ["CMD", "bash", "-c", HEALTHCHECK], "interval": "10s", "timeout": "5s", "retries": 3,
            "start_period": "30s",
        },
        "labels": {ACTS_LABEL: "true"},
        "restart": "unless-stopped",
        "init": True,
        "stop_grace_period": "1s",
        "deploy": {"resources": {"limits": {"memory": f"{MEMORY // MIB}M"}}},
    }  # fmt: skip
    if on_host:
        found["network_mode"] = "host"
    elif networks := service.config.get("networks"):
        found["networks"] = sorted(networks) if isinstance(networks, (dict, list)) else networks
    return found


def _environment(service: Service, keeping: Keeping, host: str) -> dict[str, str]:
    lines = [
        f"{w.name} {keeping.needs.get(w.name, 0)} {json.dumps(dict(sorted(w.options.items())), separators=(',', ':'))}"
        for w in keeping.wishes
    ]
    port = str(port_of(service))
    return {
        "OLLAMA_HOST": f"{host}:{port}",
        "NFTUI_HOST": host,
        "NFTUI_PORT": port,
        "NFTUI_POLL_S": str(POLL_S),
        "NFTUI_TRUST_S": str(_TRUST_S),
        "NFTUI_LOAD_S": str(_LOAD_S),
        "NFTUI_KEEP_ALIVE": str(FOREVER),
        "NFTUI_MODELS": "\n".join(lines),
        "NFTUI_PLACES": str(keeping.places),
        "NFTUI_ROOM": str(keeping.room),
        "NFTUI_ORDER": "lru" if keeping.by_use else "server",
        "NFTUI_IDLE_S": str(keeping.idle_s),
        "NFTUI_MEASURE": "size_vram" if keeping.on_gpu else "size",
    }
