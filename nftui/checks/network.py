"""Findings about ports, names and networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nftui.checks._common import COMPOSE, is_everywhere, is_store, mapping, sequence
from nftui.checks._reach import LOCAL, host_ports, is_kept_in, is_on_host
from nftui.engine.evidence import at, at_option
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nftui.model.facts import Facts
    from nftui.model.stack import Port, Service

_SWARM = ("placement", "update_config", "rollback_config", "endpoint_mode")
"""Keys that Compose does without: the file is for `docker stack`, whose replicas share a port."""


def published(facts: Facts) -> Iterable[Finding]:
    """published-all-interfaces: a datastore that every network of the host reaches."""
    if LOCAL.match(str(mapping(facts.beside.daemon).get("ip") or "")):
        return
    for service in facts.stack.services:
        if not is_store(service) or is_kept_in(facts, service):
            continue
        evidence = tuple(_open_ports(facts, service))
        if evidence:
            yield Finding(
                "published-all-interfaces", Level.HIGH, service.name,
                msg("A datastore's port is open on every interface"),
                msg("Published ports pass by the host's firewall rules. `127.0.0.1:` before the port keeps it on the "
                    "host; services of the stack need no published port."),
                evidence, "docker documentation, packet filtering and firewalls",
            )  # fmt: skip


def _open_ports(facts: Facts, service: Service) -> Iterator[Evidence]:
    if is_on_host(service):
        yield from host_ports(facts, service)
        return
    for number, port in enumerate(service.ports):
        if is_everywhere(port):
            yield at(service, f"{_address(port)}:{port.published or '*'}", f"ports.{number}", _text(port))


def _address(port: Port) -> str:
    address = (port.host_ip or "0.0.0.0").strip("[]")  # noqa: S104
    return f"[{address}]" if ":" in address else address


def _text(port: Port) -> str:
    return f"{port.published or ''}:{port.target}".lstrip(":") + ("" if port.protocol == "tcp" else f"/{port.protocol}")


# -- two services that cannot run together -------------------------------------------------------------------
def _together(one: Service, two: Service) -> Level:
    """How bad it is that these two exclude each other."""
    if one.active and two.active:
        return Level.HIGH
    alternative = one.profiles and two.profiles and not set(one.profiles) & set(two.profiles)
    return Level.INFO if alternative else Level.MEDIUM


def _conflict(id: str, service: Service, level: Level, others: Iterable[str], evidence: Iterable[Evidence]) -> Finding:
    names = ", ".join(dict.fromkeys(others))
    said = msg("It and {others} are alternatives by profile; together they cannot run.", others=names)
    detail = said if level is Level.INFO else msg("Only one of it and {others} can be started.", others=names)
    what = {
        "container-name-conflict": msg("Another service wants the same container name"),
        "host-port-collision": msg("Another service wants the same port of the host"),
    }
    return Finding(id, level, service.name, what[id], detail, tuple(dict.fromkeys(evidence)), COMPOSE)


def name_conflict(facts: Facts) -> Iterable[Finding]:
    """container-name-conflict: the same container_name twice, or one name for several replicas."""
    by_name: dict[str, list[Service]] = {}
    for service in facts.stack.services:
        name = str(service.config.get("container_name") or "")
        if name:
            by_name.setdefault(name, []).append(service)
    for name, services in by_name.items():
        for service in services:
            others = [s for s in services if s is not service]
            evidence = [at(s, "container_name", "container_name", name) for s in (service, *others)]
            if others:
                level = min((_together(service, o) for o in others), key=lambda v: v.rank)
                yield _conflict("container-name-conflict", service, level, (o.name for o in others), evidence)
            elif service.scale > 1:
                again = (f"{service.name} ({service.scale} replicas)",)
                yield _conflict("container-name-conflict", service, Level.HIGH, again, evidence)


def port_collision(facts: Facts) -> Iterable[Finding]:
    """host-port-collision: the same port of the host, by protocol and address."""
    used: dict[tuple[str, int], list[tuple[Service, int, Port]]] = {}
    for service in facts.stack.services:
        if is_on_host(service):
            continue
        for number, port in enumerate(service.ports):
            # Of a range for one port the engine takes one that is free.
            if port.published and port.published.isdigit():
                used.setdefault((port.protocol, int(port.published)), []).append((service, number, port))
    found: dict[str, dict[str, tuple[Level, list[Evidence]]]] = {}
    for (protocol, host_port), entries in used.items():
        for one, other in _overlaps(entries) if len(entries) > 1 else ():
            level, evidence = found.setdefault(one[0].name, {}).setdefault(other[0].name, (_level(one, other), []))
            evidence += [_port_evidence(e, protocol, host_port) for e in (one, other)]
    for service in facts.stack.services:
        others = found.get(service.name)
        again = () if others else tuple(_repeated(service))
        if again:
            name = f"{service.name} ({service.scale} replicas)"
            yield _conflict("host-port-collision", service, Level.HIGH, (name,), again)
        if others:
            level = min((v for v, _ in others.values()), key=lambda v: v.rank)
            every = [e for _, evidence in others.values() for e in evidence]
            yield _conflict("host-port-collision", service, level, others, every)


_Entry = tuple["Service", int, "Port"]


def _overlaps(entries: list[_Entry]) -> Iterator[tuple[_Entry, _Entry]]:
    for one in entries:
        for other in entries:
            same = one[0] is other[0] and one[2] == other[2]
            if one is not other and not same and _meets(one[2], other[2]):
                yield one, other


def _repeated(service: Service) -> Iterator[Evidence]:
    """What it publishes, where several containers of it want each of these ports."""
    deploy = mapping(service.config.get("deploy"))
    if service.scale > 1 and not is_on_host(service) and not any(key in deploy for key in _SWARM):
        for number, port in enumerate(service.ports):
            if port.published and port.published.isdigit():
                yield _port_evidence((service, number, port), port.protocol, int(port.published))


def _meets(one: Port, other: Port) -> bool:
    """Whether one address stands for the other: `0.0.0.0` and `[::]` do not, and none at all is both."""
    first, second = ((port.host_ip or "").strip("[]") for port in (one, other))
    if first and second and (":" in first) != (":" in second):
        return False
    return is_everywhere(one) or is_everywhere(other) or first == second


def _level(one: _Entry, other: _Entry) -> Level:
    return _together(one[0], other[0])


def _port_evidence(entry: _Entry, protocol: str, number: int) -> Evidence:
    service, index, port = entry
    place = at(service, "", f"ports.{index}")
    suffix = "" if protocol == "tcp" else f"/{protocol}"
    return Evidence(f"{_address(port)}:{number}{suffix}", service.name, place.file, place.line)


# -- names ---------------------------------------------------------------------------------------------------
def extra_hosts(facts: Facts) -> Iterable[Finding]:
    """extra-hosts-override-dns: the name of a service is redirected past the network."""
    names = _service_names(facts)
    for service in facts.stack.services:
        own = is_on_host(service)
        hosts = [] if own else [(n, a) for n, a in _hosts(service) if n in names and names[n] is not service]
        hits = [(n, a) for n, a in hosts if _is_redirected(service, names[n], a)]
        if hits:
            shown = ", ".join(n for n, _ in hits)
            yield Finding(
                "extra-hosts-override-dns", Level.MEDIUM, service.name,
                msg("The name of a service is redirected past the network"),
                msg("{names} leads to another address than the service's own: if its published port moves or is bound "
                    "to 127.0.0.1, the connection breaks.", names=shown),
                tuple(at_option(service, n, "extra_hosts", n, a) for n, a in hits), "nextflow reference, experiment 9",
            )  # fmt: skip


def _is_redirected(service: Service, target: Service, address: str) -> bool:
    """Whether `address` stands for the target's own, where both can be there at once."""
    if is_on_host(target):
        return False  # It is reached by the host's address and in no other way.
    if not target.active and not set(target.profiles) & set(service.profiles):
        return False  # A server elsewhere has its name while the profile is not in use.
    given = mapping(target.config.get("networks")).values()
    fixed = {str(mapping(n).get(key) or "") for n in given for key in ("ipv4_address", "ipv6_address")}
    return address.strip("[]") not in fixed


def _service_names(facts: Facts) -> dict[str, Service]:
    found = {}
    for service in facts.stack.services:
        given = mapping(service.config.get("networks")).values()
        aliases = [str(a) for network in given for a in sequence(mapping(network).get("aliases"))]
        for name in (*aliases, str(service.config.get("container_name") or ""), service.name):
            if name:
                found[name] = service
    return found


def _hosts(service: Service) -> Iterator[tuple[str, str]]:
    value = service.config.get("extra_hosts")
    if isinstance(value, Mapping):
        yield from ((str(name), str(address)) for name, address in value.items())
    for entry in sequence(value):
        name, _, address = str(entry).replace("=", ":", 1).partition(":")
        yield name, address


def undefined(facts: Facts) -> Iterable[Finding]:
    """network-undefined: a network, volume, secret, configuration or service that no file or profile brings."""
    if any(p.id.startswith(("include-", "extends-")) for p in facts.stack.problems):
        # What was not read may define it.
        return
    for service in facts.stack.services:
        evidence = tuple(_undefined(facts, service))
        if evidence:
            yield Finding(
                "network-undefined", Level.HIGH if service.active else Level.MEDIUM, service.name,
                msg("It uses what no file defines: Compose refuses the project"),
                msg("Missing: {names}.", names=", ".join(e.value or "" for e in evidence))
                if service.active else
                msg("Missing: {names}. With the profile {profiles} the project does not resolve.",
                    names=", ".join(e.value or "" for e in evidence), profiles=" ".join(service.profiles)),
                evidence, COMPOSE,
            )  # fmt: skip


def _undefined(facts: Facts, service: Service) -> Iterator[Evidence]:
    places = facts.stack.written.places
    raw = service.raw
    if not places:
        return
    yield from _absent_dependencies(facts, service)
    for name in mapping(raw.get("networks")):
        if f"networks.{name}" not in places:
            yield at(service, f"networks.{name}", f"networks.{name}", name)
    for number, mount in enumerate(service.mounts):
        if mount.type == "volume" and mount.source and f"volumes.{mount.source}" not in places:
            yield at(service, f"volumes.{mount.source}", f"volumes.{number}", mount.source)
    for kind in ("secrets", "configs"):
        for number, item in enumerate(sequence(service.config.get(kind))):
            source = str(mapping(item).get("source") or (item if isinstance(item, str) else ""))
            if source and f"{kind}.{source}" not in places:
                yield at(service, f"{kind}.{source}", f"{kind}.{number}", source)


def _absent_dependencies(facts: Facts, service: Service) -> Iterator[Evidence]:
    """Services that it has to wait for, and that no file defines or no chosen profile enables."""
    known = {s.name: s for s in facts.stack.services}
    for name, wanted in mapping(service.config.get("depends_on")).items():
        other = known.get(name)
        if other is None:
            yield at(service, f"depends_on.{name}", f"depends_on.{name}", name)
        elif service.active and not other.active and mapping(wanted).get("required") is not False:
            shown = f"{name} (only with the profile {' or '.join(other.profiles)})"
            yield at(service, f"depends_on.{name}", f"depends_on.{name}", shown)


CHECKS = (published, name_conflict, port_collision, extra_hosts, undefined)
