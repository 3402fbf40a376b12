"""Findings about Qdrant: names it does not read, access, data, collections."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from nftui.catalog import env_names, is_inert
from nftui.catalog.mounted import mounted
from nftui.checks._common import is_handed_on, starts_with
from nftui.checks._reach import open_ports
from nftui.clients.qdrant_settings import CONFIG, absolute, configurations, settings_in, variable
from nftui.engine.evidence import at
from nftui.engine.given import may_be_set
from nftui.model.ai import Collection, QdrantFacts
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg
from nftui.model.stack import Role
from nftui.model.units import GIB, human_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.catalog.mounted import Mounted
    from nftui.model.facts import Facts
    from nftui.model.stack import Service

_STORAGE = "QDRANT__STORAGE__STORAGE_PATH"
_KEYS = ("QDRANT__SERVICE__API_KEY", "QDRANT__SERVICE__READ_ONLY_API_KEY", "QDRANT__SERVICE__ALT_API_KEY")
_NO_INDEX = tuple(
    f"QDRANT__STORAGE__{place}__{name}"
    for place in ("OPTIMIZERS", "OPTIMIZERS_OVERWRITE")
    for name in ("INDEXING_THRESHOLD_KB", "INDEXING_THRESHOLD", "MAX_OPTIMIZATION_THREADS")
)
"""Settings whose 0 says that no index is built (config/config.yaml)."""
_M = "QDRANT__STORAGE__HNSW_INDEX__M"
_PAYLOAD_M = "QDRANT__STORAGE__HNSW_INDEX__PAYLOAD_M"


def find(facts: Facts) -> Iterable[Finding]:
    """Every finding of every Qdrant of the files."""
    for service in facts.stack.services:
        if service.role is Role.QDRANT:
            for check in _CHECKS:
                found = check(facts, service)
                if found is not None:
                    yield found


def _value(service: Service, name: str) -> tuple[str, str | None] | None:
    """(name as written, value); Qdrant's names are compared without regard to case."""
    return next(((k, v) for k, v in service.environment.items() if k.upper() == name), None)


def _env_unknown(facts: Facts, service: Service) -> Finding | None:
    """qdrant-env-unknown: an unknown key is ignored without a word."""
    directory = facts.stack.invocation.directory
    dead = [n for n in sorted(service.environment)
            if is_inert(service.config, n, directory) and not is_handed_on(facts, service, n)]  # fmt: skip
    if not dead:
        return None
    names = env_names(Role.QDRANT, service.image)
    hints = [f"{n} → {h}" for n in dead if (h := _near(n, names.exact)) is not None]
    text = "Qdrant reads none of these names and says nothing about it: {names}."
    detail = msg(text, names=", ".join(dead))
    if hints:
        detail = msg(text + " Meant may be: {hints}.", names=", ".join(dead), hints="; ".join(hints))
    return Finding(
        "qdrant-env-unknown", Level.MEDIUM, service.name, msg("Variables that Qdrant does not read"), detail,
        tuple(at(service, n, f"environment.{n}", _shown(n, service.environment[n])) for n in dead),
        "qdrant src/settings.rs (AI reference 2.1)",
    )  # fmt: skip


def _shown(name: str, value: str | None) -> str | None:
    return "••••••" if value and re.search(r"KEY|TOKEN|SECRET|PASSWORD", name.upper()) else value


def _near(name: str, known: tuple[str, ...]) -> str | None:
    """The shortest known name that ends with the same words."""
    words = [w for w in re.split(r"_+", name.upper()) if w not in ("QDRANT", "MB", "KB")]
    found = [k for k in known if _words(k)[-len(words) :] == words] if words else []
    return min(found, key=len, default=None)


def _words(name: str) -> list[str]:
    return [w for w in name.removesuffix("_KB").removesuffix("_MB").split("_") if w]


def _config_shadowed(facts: Facts, service: Service) -> Finding | None:
    """qdrant-config-shadowed: a bind over /qdrant/config takes config.yaml and production.yaml away."""
    if any("--config-path" in word for word in (*(service.entrypoint or ()), *(service.command or ()))):
        return None
    for number, mount in enumerate(service.mounts):
        if mount.target.rstrip("/") != CONFIG or mount.type != "bind" or not mount.source:
            continue
        source = Path(facts.stack.invocation.directory, mount.source)
        if any((source / name).is_file() for name in ("config.yaml", "production.yaml", "config.yml", "config.json")):
            return None
        return Finding(
            "qdrant-config-shadowed", Level.LOW, service.name, msg("A mount hides the image's configuration"),
            msg("{source} holds no config.yaml: the image's own files under {target} are hidden behind it. "
                "Mount single files, for example production.yaml.", source=mount.source, target=CONFIG),
            (at(service, mount.target, f"volumes.{number}", mount.source),), "qdrant Dockerfile, config/",
        )  # fmt: skip
    return None


def _no_api_key(facts: Facts, service: Service) -> Finding | None:
    """qdrant-no-api-key: open to whoever reaches it."""
    live = facts.live_value(service.name, "qdrant")
    if isinstance(live, QdrantFacts):
        if not live.open:
            return None
    elif _may_have_key(facts, service):
        return None
    ports = open_ports(facts, service)
    detail = msg(
        "Without an API key whoever reaches it reads, changes and deletes every collection; {reach} reach it.",
        reach="the host's networks" if ports else "the containers of its networks",
    )
    written = _value(service, _KEYS[0])
    place = f"environment.{written[0]}" if written else "environment"
    evidence = [at(service, _KEYS[0], place, "" if written else None), *ports]
    return Finding(
        "qdrant-no-api-key", Level.HIGH if ports else Level.LOW, service.name,
        msg("Open to whoever reaches it: no API key"), detail, tuple(evidence), "qdrant.tech, security",
    )  # fmt: skip


def _may_have_key(facts: Facts, service: Service) -> bool:
    for name in _KEYS:
        found = _value(service, name)
        if found and found[1]:
            return True
        if may_be_set(facts.stack, service, found[0] if found else name):
            return True
    # An image of somebody else's may have a start of its own, and a name for the key of its own.
    foreign = not env_names(Role.QDRANT, service.image).known
    if foreign and any(value and name.upper().endswith("API_KEY") for name, value in service.environment.items()):
        return True
    if starts_with(facts, service, re.compile("|".join(_KEYS), re.IGNORECASE)):
        return True
    configured = _configured(facts, service)
    return configured is None or any(name in configured and configured[name].value for name in _KEYS)


def _configured(facts: Facts, service: Service) -> dict[str, Evidence] | None:
    """What mounted configurations set, by the environment's names; None where one cannot be read."""
    if service.config.get("build"):
        return None
    values: dict[str, Evidence] = {}
    for name in configurations(service):
        found = mounted(facts.stack, service, name)
        if found is None:
            continue
        if found.text is None:
            if found.path is None or Path(found.path).exists():
                return None
        else:
            values |= {variable(path): _place(path, value, found) for path, value in settings_in(found.text)}
    return values


def _place(path: tuple[str, ...], value: object, file: Mounted) -> Evidence:
    lines, key = (file.text or "").splitlines(), path[-1]
    line = next((n for n, text in enumerate(lines, 1) if re.match(rf"\W*{re.escape(key)}\W", text)), None)
    return Evidence(".".join(path), _shown(key, str(value)), file.path, line)


def _no_volume(facts: Facts, service: Service) -> Finding | None:
    """qdrant-no-volume: the collections lie in the container's own layer."""
    configured = _configured(facts, service)
    if configured is None or service.config.get("volumes_from"):
        return None
    written = _value(service, _STORAGE)
    told = configured[_STORAGE].value if _STORAGE in configured else None
    path = (written[1] if written else None) or told or "/qdrant/storage"
    path = absolute(path)
    covering = [
        m for m in service.mounts if path == m.target.rstrip("/") or path.startswith(m.target.rstrip("/") + "/")
    ]
    if covering:
        # Also a tmpfs: memory was asked for.
        return None
    detail = msg("No volume covers {path}: the collections are gone when the container is recreated.", path=path)
    return Finding(
        "qdrant-no-volume", Level.HIGH, service.name, msg("Data in the container layer"), detail,
        (at(service, path, "volumes"),), "qdrant Dockerfile (no VOLUME)",
    )  # fmt: skip


def _defaults(facts: Facts, service: Service) -> Finding | None:
    """qdrant-defaults: quantization pays where the vectors are a large part of the memory."""
    live = facts.live_value(service.name, "qdrant")
    if not isinstance(live, QdrantFacts):
        return None
    plain = [c for c in live.collections if not c.quantized and _is_large(c, service)]
    if not plain:
        return None
    detail = msg("{names}: int8 quantization holds the vectors in a quarter of the memory.",
                 names=", ".join(f"{c.name} ({human_size(c.vector_bytes)} of vectors)" for c in plain))  # fmt: skip
    return Finding(
        "qdrant-defaults", Level.LOW, service.name, msg("Large collections without quantization"), detail,
        tuple(Evidence(f"collection {c.name}", f"m={c.m}, ef_construct={c.ef_construct}, quantization none")
              for c in plain),
        "AI reference 2.4 and 2.5", "qdrant",
    )  # fmt: skip


def _is_large(collection: Collection, service: Service) -> bool:
    size, limit = collection.vector_bytes, service.memory_limit_bytes
    return size is not None and not collection.on_disk and size >= min(GIB, (limit or 4 * GIB) // 4)


def _unindexed(facts: Facts, service: Service) -> Finding | None:
    """qdrant-unindexed: settings that keep the index from being built, or a collection that has none."""
    given = _configured(facts, service) or {}
    given |= {k.upper(): at(service, k, f"environment.{k}", v) for k, v in service.environment.items()}
    off = [given[name] for name in (*_NO_INDEX, _M) if name in given and (given[name].value or "").strip() == "0"]
    by_payload = _PAYLOAD_M in given and given[_PAYLOAD_M].value
    evidence = [e for e in off if not (by_payload and given.get(_M) is e)]
    live = facts.live_value(service.name, "qdrant")
    if isinstance(live, QdrantFacts):
        evidence += [_scanned(c) for c in live.collections if _scans(c)]
    if not evidence:
        return None
    return Finding(
        "qdrant-unindexed", Level.MEDIUM, service.name, msg("Search that scans every vector"),
        msg("Without an index each search reads all vectors: {what}.",
            what="; ".join(f"{e.key}={e.value}" for e in evidence)),
        tuple(evidence), "AI reference 2.1 and 2.2",
    )  # fmt: skip


def _scans(collection: Collection) -> bool:
    """Well past the threshold of every segment, and nothing is indexed while it is at rest."""
    size, threshold = collection.vector_bytes, collection.threshold_bytes
    if size is None or collection.indexed_vectors != 0 or collection.status == "yellow":
        return False
    if threshold is None:
        return size > 10_000 * 1024
    return (collection.segment_bytes or 0) > 2 * threshold


def _scanned(collection: Collection) -> Evidence:
    return Evidence(f"collection {collection.name}", f"{collection.points} points, 0 indexed vectors")


_CHECKS = (_env_unknown, _config_shadowed, _no_api_key, _no_volume, _defaults, _unindexed)

CHECKS = (find,)
NEEDS = ("qdrant",)
