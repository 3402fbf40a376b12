"""Images as the engine has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from nftui.model.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class StoredImage:
    """One image of the engine; what it does not say is empty."""

    id: str
    """sha256 of its configuration: what a container runs."""
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    """In registries ("redis@sha256:…"); empty for one that was built here or loaded."""
    architecture: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    size: int | None = None
    """Bytes."""
