"""`compose.nftui.yaml`: fragments merged, sorted and written; each key of a service has one owner."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from nftui.model.advice import Fragment
from nftui.model.errors import UsageError
from nftui.model.message import msg

LINEAGE = "# State: "
_PLAIN = re.compile(r"(?:\./|[A-Za-z_/])[A-Za-z0-9_./@=+-]*")
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
"""What a YAML reader refuses unescaped, beyond what JSON escapes."""
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n", "~"}


def merge_fragments(fragments: Iterable[Fragment]) -> dict[str, dict[str, object]]:
    """Service to Compose keys of all fragments; two owners of one key with different values raise UsageError."""
    merged: dict[str, dict[str, object]] = {}
    for fragment in fragments:
        for service, keys in fragment.services.items():
            target = merged.setdefault(service, {})
            for key, value in keys.items():
                _merge_key(target, service, key, value)
    return {name: keys for name, keys in sorted(merged.items()) if keys}


def lineage_of(content: bytes | None) -> str | None:
    """The state directory that an override's header names, None where there is none."""
    for line in (content or b"").decode("utf-8", "replace").splitlines()[:4]:
        if line.startswith(LINEAGE):
            return line.removeprefix(LINEAGE)
    return None


def _merge_key(target: dict[str, object], service: str, key: str, value: object) -> None:
    present = target.get(key)
    if isinstance(present, dict) and isinstance(value, Mapping):
        for inner, inner_value in value.items():
            _merge_key(present, f"{service}.{key}", inner, inner_value)
    elif key in target and present != value:
        raise UsageError(
            msg("Two optimizations set {service}.{key} to different values; switch one off.", service=service, key=key)
        )
    else:
        target[key] = dict(value) if isinstance(value, Mapping) else value


def render_override(fragments: Iterable[Fragment], lineage: str) -> bytes | None:
    """The file's bytes, None where nothing is in force. Written by hand: sorted, commented, equal for equal input.

    `lineage` names the state directory that owns it (engine.md 9); there is no time and no random value in it.
    """
    kept = [f for f in fragments if any(f.services.values())]
    merged = merge_fragments(kept)
    if not merged:
        return None
    lines = [
        "# Written by nftui; edits are lost at its next apply. Take back: nftui rollback",
        f"{LINEAGE}{lineage}",
        "services:",
    ]
    for service, keys in merged.items():
        owners = sorted(f.optimization for f in kept if f.services.get(service))
        lines.append(f"  {_scalar(service)}:  # {', '.join(owners)}")
        lines += _mapping(keys, 4)
    networks = {name: dict(keys) for f in kept for name, keys in f.networks.items()}
    lines += _entry("networks:", networks, 0) if networks else []
    volumes = {name: dict(keys) for f in kept for name, keys in f.volumes.items()}
    lines += _entry("volumes:", volumes, 0) if volumes else []
    return ("\n".join(lines) + "\n").encode()


def _mapping(value: Mapping[str, object], indent: int) -> list[str]:
    lines: list[str] = []
    for key, item in sorted(value.items()):
        lines += _entry(" " * indent + _scalar(key) + ":", item, indent)
    return lines


def _entry(head: str, item: object, indent: int) -> list[str]:
    if isinstance(item, Mapping):
        return [head, *_mapping(item, indent + 2)] if item else [head + " {}"]
    if isinstance(item, (list, tuple)):
        return [head, *_sequence(item, indent + 2)] if item else [head + " []"]
    return [f"{head} {_scalar(item)}"]


def _sequence(items: Iterable[object], indent: int) -> list[str]:
    lines: list[str] = []
    for item in items:
        if isinstance(item, Mapping):
            inner = _mapping(item, indent + 2)
            lines += [" " * indent + "- " + inner[0].lstrip(), *inner[1:]]
        else:
            lines.append(" " * indent + "- " + _scalar(item))
    return lines


def _scalar(value: object) -> str:
    """A YAML scalar that reads back as the same value; strings are quoted unless they are plainly words."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, (int, float)):
        return repr(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return _UNPRINTABLE.sub(lambda m: f"\\u{ord(m[0]):04x}", json.dumps(text, ensure_ascii=False))
