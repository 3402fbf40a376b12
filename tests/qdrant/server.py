"""A running Qdrant with collections of its own, asked by qdrant-client: what it answers fits the client's models."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import qdrant_client
import qdrant_edge
from qdrant_client import models

from tests.stack import images
from tests.stack.fixtures import copy_stack
from tests.stack.running import Stack, wait_until

HERE = Path(__file__).parent
PROGRAM = HERE.parent / "stack" / "images" / "qdrant" / "server.py"
KEY = "fake-key-of-the-test-stack"
EDGE = str(Path(qdrant_edge.__file__).parent)


def vectors(count: int, size: int, seed: int = 1, spread: float = 0.7) -> np.ndarray[Any, Any]:
    """Clusters with noise, as embeddings are; the same for the same seed."""
    chance = np.random.default_rng(seed)
    centres = chance.normal(size=(max(8, count // 50), size))
    noise = chance.normal(size=(count, size))
    return (centres[chance.integers(0, len(centres), count)] + spread * noise).astype("float32")


@dataclass
class Server:
    """Collections on a server at `url`."""

    url: str
    key: str = KEY

    @property
    def client(self) -> qdrant_client.QdrantClient:
        """A new one: the address changes with the container. It warns of a key without TLS, which is meant."""
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return qdrant_client.QdrantClient(url=self.url, api_key=self.key, timeout=60, check_compatibility=False)

    def fill(self, name: str, data: np.ndarray[Any, Any], *, first: int = 0, **config: Any) -> None:
        """A collection of unnamed cosine vectors, indexed and green."""
        client = self.client
        client.create_collection(
            name,
            models.VectorParams(size=data.shape[1], distance=models.Distance.COSINE),
            optimizers_config=models.OptimizersConfigDiff(indexing_threshold=200, default_segment_number=1),
            **{"hnsw_config": models.HnswConfigDiff(full_scan_threshold=10), **config},
        )
        self.upsert(name, data, first)
        self.wait_green(name)

    def upsert(self, name: str, data: np.ndarray[Any, Any], first: int = 0) -> None:
        """Points with ids from `first` on."""
        client = self.client
        for start in range(0, len(data), 500):
            part = data[start : start + 500]
            points = [
                models.PointStruct(id=first + start + i, vector=v.tolist(), payload={"n": first + start + i})
                for i, v in enumerate(part)
            ]
            client.upsert(name, points)

    def wait_green(self, name: str) -> None:
        """Until its optimizer has nothing to do."""
        time.sleep(0.3)
        wait_until(lambda: self.info(name).status == models.CollectionStatus.GREEN, seconds=120, what=f"{name} green")

    def info(self, name: str) -> models.CollectionInfo:
        """As the client reads it."""
        return self.client.get_collection(name)

    def hnsw(self, name: str) -> tuple[int, int]:
        """(m, ef_construct) of the collection."""
        found = self.info(name).config.hnsw_config
        return found.m, found.ef_construct

    def picture(self, name: str) -> tuple[Any, ...]:
        """What a way back must bring back: configuration, count, points with their vectors."""
        info, client = self.info(name), self.client
        points, _ = client.scroll(name, limit=200, with_vectors=True)
        rows = tuple(
            (p.id, p.payload["n"] if p.payload else None, json.dumps(p.vector, sort_keys=True)) for p in points
        )
        return info.config.model_dump_json(), client.count(name).count, rows

    def recall(self, name: str, queries: int = 40) -> float:
        """recall@10 of stored points, by the client."""
        client, hits = self.client, 0
        exact = models.SearchParams(exact=True, quantization=models.QuantizationSearchParams(ignore=True))
        for point in range(queries):
            found = client.query_points(name, query=point, limit=10).points
            truth = client.query_points(name, query=point, limit=10, search_params=exact).points
            hits += len({p.id for p in found} & {p.id for p in truth})
        return hits / queries / 10


@contextmanager
def process(directory: Path, port: int, *arguments: str, **environment: str) -> Iterator[Server]:
    """The test server as a process of its own, without an engine; its data in `directory`."""
    server, started = start(directory, port, *arguments, **environment)
    try:
        yield server
    finally:
        started.terminate()
        started.wait(20)


def start(directory: Path, port: int, *arguments: str, **environment: str) -> tuple[Server, subprocess.Popen[bytes]]:
    """The same, to be ended by whoever asked for it."""
    settings = {"QDRANT__SERVICE__HTTP_PORT": str(port), "QDRANT__SERVICE__API_KEY": KEY, **environment}
    site = str(Path(EDGE).parent)
    with (directory / "log").open("ab") as log:
        started = subprocess.Popen(
            [sys.executable, "-P", str(PROGRAM), *arguments], cwd=directory, stdout=log, stderr=log,
            env={**settings, "PATH": "/usr/bin:/bin", "PYTHONPATH": site},
        )  # fmt: skip
    server = Server(f"http://127.0.0.1:{port}")
    try:
        wait_until(lambda: started.poll() is not None or _answers(server), seconds=60, what="the server")
        assert started.poll() is None, (directory / "log").read_text()
    except BaseException:
        started.kill()
        started.wait(20)
        raise
    return server, started


def _answers(server: Server) -> bool:
    try:
        with urlopen(f"{server.url}/readyz", timeout=2) as answer:  # noqa: S310 - on loopback
            return bool(answer.status == 200)
    except OSError:
        return False


def make_stack(parent: Path) -> Stack:
    """A project of one Qdrant, not started."""
    images.ensure("qdrant:1.19")
    stack = copy_stack(parent, "15", {})
    shutil.copy2(HERE / "compose.yaml", stack.directory / "compose.yaml")
    (stack.directory / ".env").write_text(f"QDRANT_PASSWORD={KEY}\nQDRANT_EDGE={EDGE}\n")
    return stack


def of_stack(stack: Stack) -> Server:
    """The server of a stack that is up."""
    return Server(f"http://{stack.address('qdrant')}:6333")
