"""From a draft to a proven plan: the planned files go through Compose before anyone may apply them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from nftui.model.errors import UsageError
from nftui.model.message import msg
from nftui.model.plan import Draft
from nftui.probes.project import OVERRIDE_NAME


class Prover(Protocol):
    """Compose, as far as proving needs it."""

    def config_with(self, override: str | None) -> Mapping[str, object]:
        """The project resolved with that file as the last one; raises UsageError with Compose's words."""
        ...


Services = Mapping[str, Mapping[str, object]]


def prove(draft: Draft, compose: Prover | None, services: Services) -> tuple[dict[str, str], Services]:
    """What proved it, and the services as they come out of it; {} where Compose was not asked.

    `services` is the declared project: what nftui does not write must come out unchanged.

    Raises UsageError where Compose refuses the override or reads something else from it than was meant.
    """
    changes = (c for stage in draft.stages for c in stage.files)
    contents = [c.content for c in changes if c.role == "override" and c.content is not None]
    if compose is None or not contents:
        return {"compose": "not asked"}, {}
    effective: Services = {}
    for content in contents:
        effective = _resolved(content, compose)
        _unchanged(draft, services, effective)
    return {"compose": "resolved"}, effective


def _resolved(content: bytes, compose: Prover) -> Services:
    """The services as Compose reads them with that file."""
    with planned_file(content) as path:
        resolved = compose.config_with(path)
    effective = resolved.get("services")
    assert isinstance(effective, Mapping)
    return effective


@contextmanager
def planned_file(content: bytes) -> Iterator[str]:
    """The path of a file with nftui's part as it shall be, for Compose to read beside the operator's."""
    with tempfile.TemporaryDirectory(prefix="nftui-") as directory:
        path = Path(directory) / OVERRIDE_NAME
        path.write_bytes(content)
        yield str(path)


def _unchanged(draft: Draft, declared: Mapping[str, Mapping[str, object]], effective: Mapping[str, object]) -> None:
    written: dict[str, set[str]] = {}
    stages = (f for stage in draft.stages for f in stage.fragments)
    for fragment in (*draft.fragments, *stages):  # A stage may still write what the last one takes away.
        for name, keys in fragment.services.items():
            written.setdefault(name, set()).update(keys)
    for name, before in declared.items():
        after = effective.get(name)
        if not isinstance(after, Mapping):
            continue
        foreign = {k for k in {*before, *after} if before.get(k) != after.get(k)} - written.get(name, set())
        if foreign:
            raise UsageError(
                msg(
                    "With nftui's file Compose reads {service}.{key} differently; nothing was planned.",
                    service=name,
                    key=sorted(foreign)[0],
                )
            )
