"""Images of the engine that the stack uses, or could go to: those of its repositories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from nftui.model.facts import canonical_reference
from nftui.model.images import StoredImage
from nftui.probes.inspected import image_or_none
from nftui.system.docker import EnginePort

Json = Mapping[str, Any]


def stored_images(engine: EnginePort, references: Iterable[str]) -> dict[str, StoredImage]:
    """Reference and id to image, for every image of those repositories. Raises EngineError."""
    wanted = {canonical_reference(r) for r in references}
    repositories = {_repository(r) for r in wanted}
    found: dict[str, StoredImage] = {}
    for summary in cast("list[Json]", engine.get("/images/json")):
        names = [str(n) for key in ("RepoTags", "RepoDigests") for n in summary.get(key) or ()]
        if str(summary.get("Id")) in wanted or repositories & {_repository(n) for n in names}:
            image = image_or_none(engine, str(summary.get("Id")))
            stored = stored_of(image) if image else None
            found |= dict.fromkeys((*names, stored.id), stored) if stored else {}
    return found


def _repository(name: str) -> str:
    head, slash, last = name.partition("@")[0].rpartition("/")
    return head + slash + last.partition(":")[0]


def stored_of(image: Json) -> StoredImage:
    """As its inspection tells."""
    config = image.get("Config") or {}
    pairs = (str(e).partition("=") for e in config.get("Env") or ())
    return StoredImage(
        id=str(image["Id"]),
        tags=tuple(sorted(str(t) for t in image.get("RepoTags") or ())),
        digests=tuple(sorted(str(d) for d in image.get("RepoDigests") or ())),
        architecture=str(image.get("Architecture") or ""),
        environment={name: value for name, _, value in pairs},
        volumes=tuple(sorted(config.get("Volumes") or {})),
        entrypoint=tuple(str(word) for word in config.get("Entrypoint") or ()),
        size=image.get("Size"),
    )
