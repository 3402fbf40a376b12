"""What a finding shows: the exact key, its value, and the line where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.findings import Evidence

if TYPE_CHECKING:
    from nftui.model.stack import Service


def at(service: Service, key: str, place: str, value: str | None = None) -> Evidence:
    """Evidence for `key`, written at the dotted Compose key `place`."""
    where = service.place(place)
    return Evidence(key, value, where.file if where else None, where.line if where else None)
