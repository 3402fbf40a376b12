"""Step kinds that count what a store holds before its data goes to another version, and again by what runs then.

Files are proven equal by the copy; this proves that the server reads them. Others may add meanwhile: only fewer fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from nftui.clients.grafana import read_holdings
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.steps.calls import Data
from nftui.steps.kind import Context, StepFailed
from nftui.steps.places import path_of, place_of
from nftui.steps.qdrant_points import count_points
from nftui.steps.qdrant_snapshot import LONG_S
from nftui.steps.reading import Reading

Counts = Mapping[str, int]


class _Counting(Reading):
    """`saved` among the parameters is the step that counted before; without it this is that one."""

    def count(self, step: StepSpec, ctx: Context) -> Counts:
        """What it holds, by name."""
        raise NotImplementedError

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed naming what is less than before."""
        now = self.count(step, ctx)
        saved = step.params.get("saved")
        was = cast("Counts", ctx.recall(str(saved))["counts"]) if saved else {}
        missing = [f"{name} {now.get(name, 0)} of {count}" for name, count in was.items() if now.get(name, 0) < count]
        if missing:
            raise StepFailed(msg("{service} has less than before: {names}.", service=str(step.service),
                                 names="; ".join(missing)))  # fmt: skip
        return {"counts": dict(now)}


class QdrantCountKind(_Counting):
    """Points of each collection, exact."""

    name = "qdrant-count"
    version = 1

    def count(self, step: StepSpec, ctx: Context) -> Counts:
        """See _Counting."""
        api, found = ctx.api(str(step.service)), {}
        for name in sorted(str(c["name"]) for c in api.json("/collections")["result"]["collections"]):
            ctx.progress(f"counting {name}", None)
            found[name] = count_points(api, name, LONG_S)
        return found


class GrafanaCountKind(_Counting):
    """What people made, by table, in the database file of a server that is at work on it."""

    name = "grafana-count"
    version = 1

    def count(self, step: StepSpec, ctx: Context) -> Counts:
        """See _Counting."""
        place = path_of(place_of(step, "place"), ctx)
        names = read_holdings(str(Path(place, str(step.params["file"])))).names
        return {table: len(rows) for table, rows in names.items()}
