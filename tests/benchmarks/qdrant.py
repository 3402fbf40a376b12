"""Recall@10 and p95 of a Qdrant collection before and after nftui's own step, as the step itself measures them.

The test server as a process, without an engine: its index is a real one, its protocol is Python's, so that only ratios
are told. Each change starts from the same collection (m 16, ef_construct 100, no quantization) and is taken back. A
recall of 1.0 on both sides says that the vectors are easy, not that the change is free.

Run: python -m tests.benchmarks.qdrant [VECTORS] [DIMENSIONS]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from qdrant_client import models

from nftui.steps import load_kinds
from tests.engine.world import new_world
from tests.qdrant.server import Server, process, vectors
from tests.qdrant.test_server import free_port, patient, update
from tests.stack.running import wait_until

CHANGES: dict[str, dict[str, str]] = {
    "int8, originals in memory": {"quantization": "int8"},
    "m 8, ef_construct 32": {"m": "8", "ef_construct": "32"},
    "m 32, ef_construct 256": {"m": "32", "ef_construct": "256"},
}
"""The longest last: 200 000 vectors take half an hour of a processor."""
PATIENCE_S = 7200.0
LOADED_PART = 2000
"""Vectors that are sent before the progress is shown again."""


def main() -> None:
    """Fill once, then each change there and back."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 384
    with tempfile.TemporaryDirectory() as place, process(Path(place), free_port()) as server:
        fill(server, count, size)
        print(f"{count} x {size}, cosine; each figure before -> after (ratio)")
        for number, (title, wanted) in enumerate(CHANGES.items(), 1):
            with change(server, Path(place), wanted, back=number < len(CHANGES)) as figures:
                print(line(title, *figures), flush=True)


def fill(server: Server, count: int, size: int) -> None:
    """Clusters with much noise: what embeddings of short texts look like."""
    data = vectors(count, size, spread=2.0)
    server.fill("docs", data[:LOADED_PART])
    for start in range(LOADED_PART, count, LOADED_PART):
        server.upsert("docs", data[start : start + LOADED_PART], start)
        print(f"\r{start + LOADED_PART} of {count} vectors", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    green = models.CollectionStatus.GREEN
    wait_until(lambda: server.info("docs").status == green, seconds=PATIENCE_S, what="the index")


@contextmanager
def change(
    server: Server, place: Path, wanted: dict[str, str], *, back: bool
) -> Iterator[tuple[dict[str, Any], dict[str, Any], float]]:
    """(before, after, seconds of building) of the unnamed vector; with `back` it is as it was afterwards."""
    world = new_world(Path(tempfile.mkdtemp(dir=place)))
    ctx = world.context(api=lambda _: patient(server), sleep=time.sleep, now=time.monotonic)
    step = replace(update(server, "docs", 0.0, **wanted), stall_s=PATIENCE_S)
    kind = load_kinds().of(step)
    before: Any = kind.read(step, ctx)
    began = time.monotonic()
    kind.do(step, before, ctx)
    after: Any = kind.verify(step, before, ctx)
    took = time.monotonic() - began
    yield before["search"][""], after["search"][""], took
    if back:
        kind.undo(step, before, ctx)


def line(title: str, before: dict[str, Any], after: dict[str, Any], took: float) -> str:
    """One row; `took` holds the second measurement as well."""
    figures = (
        f"{name} {before[key]} -> {after[key]} ({after[key] / before[key]:.2f}x)"
        for name, key in (("recall@10", "recall"), ("p50 ms", "p50_ms"), ("p95 ms", "p95_ms"))
    )
    return f"  {title:<28} {', '.join(figures)}; n {after['n']}, built and measured in {took:.0f} s"


if __name__ == "__main__":
    main()
