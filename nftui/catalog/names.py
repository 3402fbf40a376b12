"""Which service a host name means, as a container of the project would resolve it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nftui.model.stack import Service, Stack

_THIS_HOST = ("host.docker.internal", "host-gateway", "gateway.docker.internal")


class Names:
    """An index of a stack's names: service names, container names, aliases, published ports."""

    def __init__(self, stack: Stack) -> None:
        self._by_name: dict[str, list[Service]] = {}
        self._published: dict[str, list[Service]] = {}
        for service in stack.services:
            for name in {service.name, *names_of(service)}:
                self._by_name.setdefault(name.lower(), []).append(service)
            for port in service.ports:
                self._published.setdefault(port.published or "", []).append(service)

    def resolve(self, caller: Service, host: str, port: str | None = None) -> Service | None:
        """The service that `caller` reaches under `host`, None where it is none of the stack or not certain.

        `extra_hosts` come before the network's names. A name of several services (alternative profiles) is the active
        one's.
        """
        host = host.lower().strip("[]")
        target = _extra_hosts(caller).get(host)
        if target is not None or host in _THIS_HOST:
            return self._on_host(port) if (target or host) in _THIS_HOST else None
        if host in ("localhost", "127.0.0.1", "::1"):
            return self._beside(caller, port)
        host = _links(caller).get(host, host)
        return _one(self._by_name.get(host, []))

    def _on_host(self, port: str | None) -> Service | None:
        return _one(self._published.get(port or "?", []))

    def _beside(self, caller: Service, port: str | None) -> Service | None:
        """Loopback is another service's only where the network is shared with it, or with the host."""
        mode = str(caller.config.get("network_mode") or "")
        if mode == "host":
            return self._on_host(port)
        return _one(self._by_name.get(mode.partition(":")[2].lower(), [])) if mode.startswith("service:") else None


def _one(services: list[Service]) -> Service | None:
    active = [s for s in services if s.active] or services
    return active[0] if len({s.name for s in active}) == 1 or (len({s.role for s in active}) == 1 and active) else None


def names_of(service: Service) -> Iterator[str]:
    """What it is called beside its own name: the container's name, and its aliases in its networks."""
    name = service.config.get("container_name")
    if name:
        yield str(name)
    networks = service.config.get("networks")
    for network in networks.values() if isinstance(networks, Mapping) else ():
        aliases = network.get("aliases") if isinstance(network, Mapping) else None
        yield from (str(a) for a in aliases) if isinstance(aliases, (list, tuple)) else ()


def _extra_hosts(service: Service) -> dict[str, str]:
    """Name to address; Compose takes a list ("name:address", "name=address") or a mapping."""
    value = service.config.get("extra_hosts")
    if isinstance(value, Mapping):
        return {str(k).lower(): str(v[0] if isinstance(v, (list, tuple)) and v else v) for k, v in value.items()}
    lines = [str(line).replace("=", ":", 1) for line in value] if isinstance(value, (list, tuple)) else []
    return {name.lower(): address for name, _, address in (line.partition(":") for line in lines)}


def _links(service: Service) -> dict[str, str]:
    value = service.config.get("links")
    pairs = [str(line).partition(":") for line in value] if isinstance(value, (list, tuple)) else []
    return {(alias or name).lower(): name.lower() for name, _, alias in pairs}
