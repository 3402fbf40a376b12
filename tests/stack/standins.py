"""Small servers that answer as Qdrant and Ollama do (paths, JSON, keys), for tests without their images.

Shapes: Qdrant's OpenAPI (GET /, /collections, /collections/NAME; header api-key, 401 without) and Ollama's docs/api.md
(GET /, /api/version, /api/tags, /api/ps).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def serve(pages: Mapping[str, Any], key: str | None = None) -> Iterator[int]:
    """Serve `pages` (path to JSON, or text) on loopback; yields the port. `key`: what the header api-key must be."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            open_paths = ("/", "/healthz", "/readyz", "/livez")
            if key is not None and self.path not in open_paths and self.headers.get("api-key") != key:
                self._answer(401, "Must provide an API key or an Authorization bearer token")
            elif self.path in pages:
                self._answer(200, pages[self.path])
            else:
                self._answer(404, {"status": {"error": "Not found"}})

        def _answer(self, status: int, content: Any) -> None:
            body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def qdrant_collection(points: int, indexed: int, vectors: Mapping[str, Any], quantization: Any = None) -> Any:
    """The answer to GET /collections/NAME."""
    return {
        "result": {
            "status": "green", "optimizer_status": "ok", "indexed_vectors_count": indexed, "points_count": points,
            "segments_count": 2, "payload_schema": {},
            "config": {
                "params": {"vectors": vectors, "shard_number": 1, "replication_factor": 1, "on_disk_payload": True},
                "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000, "on_disk": False},
                "optimizer_config": {"deleted_threshold": 0.2, "indexing_threshold": 20000, "flush_interval_sec": 5},
                "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0},
                "quantization_config": quantization,
            },
        },
        "status": "ok", "time": 0.0001,
    }  # fmt: skip


QDRANT = {
    "/": {"title": "qdrant - vector search engine", "version": "1.9.0", "commit": "0"},
    "/collections": {"result": {"collections": [{"name": "docs"}, {"name": "a b"}]}, "status": "ok", "time": 0.0},
    "/collections/docs": qdrant_collection(50_000, 50_000, {"size": 768, "distance": "Cosine"}),
    "/collections/a%20b": qdrant_collection(
        10,
        0,
        {"t": {"size": 4, "distance": "Dot", "on_disk": True}, "u": {"size": 8, "distance": "Dot", "on_disk": True}},
        {"scalar": {"type": "int8", "quantile": 0.99}},
    ),
}

OLLAMA = {
    "/": "Ollama is running",
    "/api/version": {"version": "0.5.7"},
    "/api/tags": {
        "models": [
            {"name": "llama3:8b", "model": "llama3:8b", "size": 4661224676, "digest": "0" * 64, "details": {}},
            {"name": "nomic-embed-text:latest", "model": "nomic-embed-text:latest", "size": 274302450, "details": {}},
        ]
    },
    "/api/ps": {
        "models": [
            {
                "name": "llama3:8b", "model": "llama3:8b", "size": 6654289920, "size_vram": 6000000000,
                "expires_at": "2318-03-05T13:26:50.187268719Z", "details": {},
            }
        ]
    },
}  # fmt: skip
