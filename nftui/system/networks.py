"""Networks of the engine: who has which addresses, and one made with a range of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from nftui.system.docker import DockerEngine

Json = Mapping[str, Any]
_TIMEOUT_S = 60.0


def ranges(engine: DockerEngine) -> dict[str, tuple[str, ...]]:
    """Network to its address ranges (CIDR), of every network of the engine. Raises EngineError."""
    found = cast("list[Json]", engine.get("/networks"))
    return {str(network["Name"]): _subnets(network) for network in found}


def range_of(engine: DockerEngine, name: str) -> str | None:
    """The range of the network of exactly that name, None where there is none."""
    found = cast("list[Json]", engine.get("/networks", {"filters": json.dumps({"name": [name]})}))
    network = next((n for n in found if n.get("Name") == name), None)
    return None if network is None else next(iter(_subnets(network)), "")


def create(engine: DockerEngine, name: str, subnet: str, labels: Mapping[str, str]) -> None:
    """A bridge with that range; the engine refuses one that overlaps another network of its own."""
    ipam = {"Driver": "default", "Config": [{"Subnet": subnet}]}
    body = {"Name": name, "Driver": "bridge", "CheckDuplicate": True, "IPAM": ipam, "Labels": dict(labels)}
    engine.post("/networks/create", body=body, timeout=_TIMEOUT_S)


def _subnets(network: Json) -> tuple[str, ...]:
    configured = (network.get("IPAM") or {}).get("Config") or ()
    return tuple(str(c["Subnet"]) for c in configured if c.get("Subnet"))
