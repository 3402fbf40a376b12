"""Short syntax of ports, volumes and devices made long, in the interpolated and the written form at once."""

from __future__ import annotations

import ipaddress
import posixpath
import re

from nftui.probes.compose_nodes import At, Map, Node, Scalar, made
from nftui.probes.compose_template import split_outside

_PROPAGATION = {"rprivate", "private", "rshared", "shared", "rslave", "slave"}
MAX_PORTS = 65536


def _raw_parts(value: str, raw: object, count: int) -> list[str] | None:
    """The written form in as many parts as the value has; None where they do not correspond."""
    if not isinstance(raw, str) or "$" not in raw:
        return None
    parts = split_outside(raw)
    return parts if len(parts) == count else None


def ports(node: Scalar) -> list[Map]:
    """The published ports of `8080:80`, `127.0.0.1:5432:5432`, ranges and so on. Raises ValueError.

    Source: docker/go-connections nat.ParsePortSpec.
    """
    spec = str(node.value)
    parts = spec.split(":")
    target, published, host_ip = parts[-1], parts[-2] if len(parts) > 1 else "", ":".join(parts[:-2])
    target, _, protocol = target.partition("/")
    host_ip = _address(host_ip, spec)
    first, last = _range(target, spec)
    entries = _published(published, first, last, spec)
    raw = _raw_parts(spec, node.raw, len(parts)) if len(entries) == 1 else None
    return [_port(number, public, host_ip, protocol.lower() or "tcp", raw, node.at) for number, public in entries]


def _address(text: str, spec: str) -> str:
    if not text:
        return ""
    address = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        if ":" in text and address == text:
            raise ValueError
        ipaddress.ip_address(address)
    except ValueError:
        raise ValueError(f"port {spec!r}: {text!r} is not an IP address") from None
    return address


def _range(text: str, spec: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    try:
        low, high = int(first), int(last if dash else first)
    except ValueError:
        raise ValueError(f"port {spec!r}: {text!r} is not a port") from None
    if not 0 <= low <= high < MAX_PORTS:
        raise ValueError(f"port {spec!r}: {text!r} is not a range of ports")
    return low, high


def _published(published: str, first: int, last: int, spec: str) -> list[tuple[int, str]]:
    """Container port and published port of each entry."""
    if not published:
        return [(number, "") for number in range(first, last + 1)]
    low, high = _range(published, spec)
    if first == last:
        return [(first, str(low) if low == high else f"{low}-{high}")]
    if high - low != last - first:
        raise ValueError(f"port {spec!r}: the ranges differ in length")
    return [(number, str(low + number - first)) for number in range(first, last + 1)]


def _port(target: int, published: str, host_ip: str, protocol: str, raw: list[str] | None, at: At) -> Map:
    written = raw or []
    items: dict[str, Node] = {"mode": made("ingress", at)}
    if host_ip:
        items["host_ip"] = Scalar(host_ip, ":".join(written[:-2]) or host_ip, at)
    items["target"] = Scalar(target, written[-1] if written and "$" in written[-1] else target, at)
    if published:
        items["published"] = Scalar(published, written[-2] if len(written) > 1 else published, at)
    items["protocol"] = made(protocol, at)
    return Map(items, at)


def volume(node: Scalar) -> Map:
    """`source:target:options` in long form. Raises ValueError. Source: compose-go format/volume.go."""
    spec = str(node.value)
    parts = _sections(spec)
    if "" in parts or not 1 <= len(parts) <= 3:
        raise ValueError(
            f"volume {spec!r} has an empty part" if "" in parts else f"volume {spec!r} has too many colons"
        )
    raw = _raw_parts(spec, node.raw, len(parts)) or parts
    source, target = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
    bind = is_path(source)
    items: dict[str, Node] = {"type": made("bind" if bind else "volume", node.at)}
    if source:
        items["source"] = Scalar(source, raw[0], node.at)
    items["target"] = Scalar(
        clean_path(target), raw[min(1, len(raw) - 1)] if raw is not parts else clean_path(target), node.at
    )
    items.update(_options(parts[2] if len(parts) == 3 else "", bind, node.at))
    return Map(items, node.at)


def _sections(spec: str) -> list[str]:
    """Split at colons, but `C:` is a drive."""
    if len(spec) <= 2:
        return [spec]
    sections, buffer = [], ""
    for char in spec:
        if char == ":" and not (len(buffer) == 1 and buffer.isalpha()):
            sections.append(buffer)
            buffer = ""
        else:
            buffer += char
    return [*sections, buffer]


def _options(text: str, bind: bool, at: At) -> dict[str, Node]:
    items: dict[str, Node] = {}
    details: dict[str, Node] = {}
    for option in text.split(","):
        if option == "ro":
            items["read_only"] = made(True, at)
        elif option == "rw":
            items.pop("read_only", None)
        elif option == "nocopy" and not bind:
            details["nocopy"] = made(True, at)
        elif option in ("z", "Z"):
            details["selinux"] = made(option, at)
        elif option in _PROPAGATION:
            details["propagation"] = made(option, at)
    if bind:
        # Docker creates the missing directory of a short bind (compose-go populateType).
        details["create_host_path"] = made(True, at)
    items["bind" if bind else "volume"] = Map(details, at)
    return items


def is_path(source: str) -> bool:
    """True where a volume's source is a path, not a volume's name."""
    return source.startswith((".", "/", "~", "\\\\")) or bool(re.match(r"[A-Za-z]:", source))


def clean_path(path: str) -> str:
    """Go's path.Clean."""
    cleaned = posixpath.normpath(path) if path else ""
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def device(node: Scalar) -> Map | Scalar:
    """`/dev/a:/dev/b:rwm` in long form; a CDI name stays text."""
    parts = str(node.value).split(":")
    if not parts[0].startswith("/"):
        return node
    raw = _raw_parts(str(node.value), node.raw, len(parts)) or parts
    mode = next((part for part in parts[1:] if part and set(part) <= set("rwm")), "rwm")
    target = parts[1] if len(parts) > 1 and parts[1].startswith("/") else parts[0]
    items: dict[str, Node] = {
        "source": Scalar(parts[0], raw[0], node.at),
        "target": Scalar(target, raw[1] if len(raw) > 1 and target == parts[1] else raw[0], node.at),
        "permissions": made(mode, node.at),
    }
    return Map(items, node.at)
