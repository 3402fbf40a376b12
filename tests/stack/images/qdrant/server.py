"""A Qdrant for tests: its REST API, as far as nftui and qdrant-client use it, over Qdrant's own index.

What it does not know it refuses (404 for a route, 400 for a field). Defaults come from the environment by the names
that Qdrant reads (src/settings.rs); a name that Qdrant would ignore is ignored here too. Source: openapi.json.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import qdrant_edge as edge

sys.path.insert(0, str(Path(__file__).resolve().parent))
from collection import Collection, Json, Refused, described, fields, new_config, unpack, vectors_of
from routing import NoRoute, Route, dispatch

VERSION = os.environ.get("STANDIN_VERSION", "1.19.0")
"""What it says it is; routes come and go with it (src/actix/api of the tags)."""
NUMBER = tuple(int(part) for part in VERSION.split(".")[:2])
OPEN = ("/", "/healthz", "/readyz", "/livez")
QUERY = ("query", "using", "params", "limit", "offset", "with_vector", "with_payload", "filter", "score_threshold",
         "prefetch", "shard_key", "lookup_from")  # fmt: skip
SEARCH = ("hnsw_ef", "exact", "quantization", "indexed_only")
QUANTIZATION = ("ignore", "rescore", "oversampling")
POINT = ("id", "vector", "payload")
FIELD = ("field_name", "field_schema")
RECOVER = ("location", "priority", "checksum", "api_key")
SCROLL = ("offset", "limit", "filter", "with_payload", "with_vector", "order_by", "shard_key")
RECOMMEND = ("positive", "using", "params", "limit", "with_vector", "with_payload")
COUNT = ("filter", "exact", "shard_key")
RETRIEVE = ("ids", "with_payload", "with_vector", "shard_key")


class Settings:
    """What the environment says, by Qdrant's names."""

    HNSW = {"M": "m", "EF_CONSTRUCT": "ef_construct", "FULL_SCAN_THRESHOLD_KB": "full_scan_threshold",
            "MAX_INDEXING_THREADS": "max_indexing_threads", "ON_DISK": "on_disk"}  # fmt: skip
    OPTIMIZERS = {"INDEXING_THRESHOLD_KB": "indexing_threshold", "DEFAULT_SEGMENT_NUMBER": "default_segment_number"}

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = {k.upper(): v for k, v in environ.items() if k.upper().startswith("QDRANT__")}
        for name in ("HNSW_INDEX__FULL_SCAN_THRESHOLD", "OPTIMIZERS__INDEXING_THRESHOLD"):
            if f"QDRANT__STORAGE__{name}" in self.environ:
                field = name.rpartition("__")[2].lower()
                raise SystemExit(f"Error: duplicate field `{field}_kb`")
        self.key = self.environ.get("QDRANT__SERVICE__API_KEY") or None
        self.read_key = self.environ.get("QDRANT__SERVICE__READ_ONLY_API_KEY") or None
        self.port = int(self.environ.get("QDRANT__SERVICE__HTTP_PORT", "6333"))
        self.clustered = self.environ.get("QDRANT__CLUSTER__ENABLED", "").lower() in ("true", "1", "on", "yes")
        self.peer_port = int(self.environ.get("QDRANT__CLUSTER__P2P__PORT", "6335"))
        self.storage = Path(self.environ.get("QDRANT__STORAGE__STORAGE_PATH", "./storage"))
        self.snapshots = Path(self.environ.get("QDRANT__STORAGE__SNAPSHOTS_PATH", "./snapshots"))

    def defaults(self) -> Json:
        """For new collections."""
        hnsw = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000, "max_indexing_threads": 0,
                "on_disk": False}  # fmt: skip
        optimizers = {"deleted_threshold": 0.2, "vacuum_min_vector_number": 1000, "default_segment_number": 0,
                      "indexing_threshold": 10000, "flush_interval_sec": 5}  # fmt: skip
        return {
            "hnsw_config": hnsw | self._read("HNSW_INDEX", self.HNSW),
            "optimizer_config": optimizers | self._read("OPTIMIZERS", self.OPTIMIZERS),
        }

    def _read(self, section: str, names: Mapping[str, str]) -> Json:
        found = {key: self.environ.get(f"QDRANT__STORAGE__{section}__{name}") for name, key in names.items()}
        return {key: _scalar(text) for key, text in found.items() if text is not None}


def _scalar(text: str) -> Any:
    return {"true": True, "false": False}[text] if text in ("true", "false") else int(text)


def _keep_peer(file: Path) -> None:
    """The state of the consensus, which a single node writes as well, and without which none starts (persistent.rs)."""
    if file.exists():
        json.loads(file.read_text())
    else:
        file.write_text(json.dumps({"peer": random.getrandbits(52)}))


class Server:
    """All collections, aliases and snapshots of one server."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.lock = settings, threading.RLock()
        self.copied: set[str] = set()
        """Collections of which a snapshot is being made."""
        self.root = settings.storage / "collections"
        self.root.mkdir(parents=True, exist_ok=True)
        if not settings.clustered:
            _keep_peer(settings.storage / "raft_state.json")
        self.aliases_file = settings.storage / "aliases.json"
        self.aliases: dict[str, str] = json.loads(self.aliases_file.read_text()) if self.aliases_file.exists() else {}
        self.collections = {p.name: Collection(p) for p in sorted(self.root.iterdir()) if (p / "config.json").exists()}

    def collection(self, name: str) -> Collection:
        """By name or alias."""
        found = self.collections.get(self.aliases.get(name, name))
        if found is None:
            raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
        return found

    def close(self) -> None:
        """Everything to the disk."""
        for collection in self.collections.values():
            with collection.lock:
                collection.close()

    # -- collections
    def list(self) -> Json:
        return {"collections": [{"name": n} for n in sorted(self.collections)]}

    def create(self, name: str, body: Any) -> bool:
        with self.lock:
            if name in self.collections:
                raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
            self.collections[name] = Collection(self.root / name, new_config(body, self.settings.defaults()))
        return True

    def delete(self, name: str) -> bool:
        with self.lock:
            found = self.collections.pop(name, None)
            if found is not None:
                found.close()
                shutil.rmtree(self.root / name, ignore_errors=True)
                self._set_aliases({a: c for a, c in self.aliases.items() if c != name})
        return found is not None

    def _set_aliases(self, aliases: dict[str, str]) -> None:
        self.aliases = aliases
        self.aliases_file.write_text(json.dumps(aliases))

    def change_aliases(self, body: Any) -> bool:
        aliases = dict(self.aliases)
        for action in fields(body, ("actions",), "aliases")["actions"]:
            if "create_alias" in action:
                self.collection(action["create_alias"]["collection_name"])
                aliases[action["create_alias"]["alias_name"]] = action["create_alias"]["collection_name"]
            elif "delete_alias" in action:
                aliases.pop(action["delete_alias"]["alias_name"], None)
            else:
                raise Refused(400, "aliases: unknown action")
        self._set_aliases(aliases)
        return True

    def list_aliases(self, name: str | None = None) -> Json:
        found = [(a, c) for a, c in sorted(self.aliases.items()) if name in (None, c)]
        return {"aliases": [{"alias_name": a, "collection_name": c} for a, c in found]}

    # -- points
    def upsert(self, name: str, body: Any) -> Json:
        points = [fields(p, POINT, "points") for p in fields(body, ("points",), "upsert")["points"]]
        made = [edge.Point(id=p["id"], vector=p["vector"], payload=p.get("payload", {})) for p in points]
        self.collection(name).write(edge.UpdateOperation.upsert_points(made))
        return {"operation_id": 0, "status": "completed"}

    def delete_points(self, name: str, body: Any) -> Json:
        ids = fields(body, ("points",), "delete")["points"]
        self.collection(name).write(edge.UpdateOperation.delete_points(ids))
        return {"operation_id": 0, "status": "completed"}

    def index_field(self, name: str, body: Any) -> Json:
        asked = fields(body, FIELD, "index")
        self.collection(name).index_field(asked["field_name"], asked["field_schema"])
        return {"operation_id": 0, "status": "completed"}

    def retrieve(self, name: str, body: Any) -> Any:
        asked = fields(body, RETRIEVE, "points")
        wanted = (asked["ids"], asked.get("with_payload", True), asked.get("with_vector", False))
        found = self.collection(name).read(lambda shard: shard.retrieve(*wanted))
        return [_record(r) for r in found]

    def count(self, name: str, body: Any) -> Json:
        fields(body, COUNT, "count")
        return {"count": self.collection(name).read(lambda s: s.count(edge.CountRequest(exact=True)))}

    def scroll(self, name: str, body: Any) -> Json:
        asked = fields(body, SCROLL, "scroll")
        _without(asked, "filter", "order_by", "shard_key")
        request = edge.ScrollRequest(
            offset=asked.get("offset"), limit=asked.get("limit", 10), with_payload=asked.get("with_payload", True),
            with_vector=asked.get("with_vector", False),
        )  # fmt: skip
        points, following = self.collection(name).read(lambda s: s.scroll(request))
        return {"points": [_record(p) for p in points], "next_page_offset": following}

    def query(self, name: str, body: Any) -> Json:
        return {"points": self._query(self.collection(name), body)}

    def query_batch(self, name: str, body: Any) -> Any:
        searches = fields(body, ("searches",), "query/batch")["searches"]
        return [{"points": self._query(self.collection(name), one)} for one in searches]

    def _query(self, collection: Collection, body: Any) -> Any:
        asked = fields(body, QUERY, "query")
        _without(asked, "filter", "prefetch", "shard_key", "lookup_from")
        query, itself = asked["query"], None
        sampled = isinstance(query, dict) and "sample" in query
        if isinstance(query, dict):
            found = fields(query, ("nearest", "sample"), "query")
            query = found["sample"] if sampled else found["nearest"]
        using = asked.get("using", "")
        if using not in vectors_of(collection.config):
            raise Refused(400, f"Wrong input: Not existing vector name error: {using}")
        if isinstance(query, int | str) and not sampled:
            itself = query
            query = self._stored(collection, query, using)
        limit = asked.get("limit", 10)
        _strict(collection.config, asked, limit)
        request = edge.QueryRequest(
            limit=limit + (itself is not None), offset=asked.get("offset", 0),
            query=edge.Sample.Random if sampled else edge.Query.Nearest(query, using or None),
            params=_params(asked.get("params", {})),
            with_vector=asked.get("with_vector", False), with_payload=asked.get("with_payload", False),
            score_threshold=asked.get("score_threshold"),
        )  # fmt: skip
        found = collection.read(lambda s: s.query(request))
        kept = [p for p in found if p.id != itself][:limit]
        return [{**_record(p), "version": p.version, "score": p.score} for p in kept]

    def recommend(self, name: str, body: Any) -> Any:
        """What is like one point is what lies nearest to it."""
        asked, collection = fields(body, RECOMMEND, "recommend"), self.collection(name)
        (point,) = asked.pop("positive")
        found = collection.read(lambda s: s.retrieve([point], False, True))
        if found and _vector(found[0], asked.get("using", "")) is None:
            raise Refused(400, "Wrong input: Positive vectors should not be empty with `average` strategy")
        return self._query(collection, {**asked, "query": point})

    def _stored(self, collection: Collection, point: Any, using: str) -> Any:
        """A point without that vector is not found by it, as one that is not there (collection/query.rs)."""
        found = collection.read(lambda s: s.retrieve([point], False, True))
        vector = _vector(found[0], using) if found else None
        if vector is None:
            raise Refused(404, f"Not found: No point with id {point} found")
        return vector

    # -- snapshots
    def _snapshots(self, name: str) -> Path:
        self.collection(name)
        return self.settings.snapshots / name

    def list_snapshots(self, name: str) -> Any:
        directory = self._snapshots(name)
        return [described(p) for p in sorted(directory.glob("*.snapshot"))] if directory.is_dir() else []

    def make_snapshot(self, name: str) -> Json:
        stamp = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime())
        file = f"{name}-{os.getpid()}{time.monotonic_ns()}-{stamp}.snapshot"
        self.copied.add(name)
        try:
            return self.collection(name).snapshot(self._snapshots(name) / file)
        finally:
            self.copied.discard(name)

    def snapshot_file(self, name: str, file: str) -> Path:
        path = self._snapshots(name) / file
        if "/" in file or not path.is_file():
            raise Refused(404, f"Not found: Snapshot {file} not found")
        return path

    def recover(self, name: str, body: Any) -> bool:
        asked = fields(body, RECOVER, "recover")
        if not asked["location"].startswith("file://"):
            raise Refused(400, "only file:// locations are known here")
        path = Path(asked["location"].removeprefix("file://"))
        if NUMBER >= (1, 18) and not path.resolve().is_relative_to(self.settings.snapshots.resolve()):
            raise Refused(403, "Forbidden: Snapshot file path must be inside the snapshots directory")
        return self.restore(name, path, asked.get("checksum"),
                            asked.get("priority", "snapshot"))  # fmt: skip

    def restore(self, name: str, path: Path, checksum: str | None, priority: str) -> bool:
        if not path.is_file():
            raise Refused(404, f"Not found: {path}")
        if checksum and described(path)["checksum"] != checksum:
            raise Refused(400, "Snapshot checksum mismatch")
        with self.lock:
            former = self.collections.get(name)
            if former is not None:
                if priority != "snapshot":
                    return True  # the data that is there wins
                former.close()
            unpack(path, self.root / name)
            self.collections[name] = Collection(self.root / name)
        self.collections[name].trigger()
        return True

    # -- the server itself
    def telemetry(self, level: int = 0) -> Json:
        """Segments from the fourth level on."""
        found: Json = {"number_of_collections": len(self.collections)}
        if level >= 2:
            found["snapshots"] = [
                {"id": n, "running_snapshots": int(n in self.copied)} for n in sorted(self.collections)
            ]
        if level >= 4:
            found["collections"] = [c.telemetry(n) for n, c in sorted(self.collections.items())]
        return {"id": "test", "app": {"name": "qdrant", "version": VERSION}, "collections": found}


def _strict(config: Json, asked: Json, limit: int) -> None:
    """What the strict mode of a collection forbids."""
    strict = config.get("strict_mode_config", {})
    if not strict.get("enabled"):
        return
    if strict.get("search_allow_exact") is False and asked.get("params", {}).get("exact"):
        raise Refused(400, "Bad request: Exact search is not allowed. Help: Disable exact search.")
    if limit > strict.get("max_query_limit", limit):
        raise Refused(400, f'Bad request: Limit exceeded {limit} > {strict["max_query_limit"]} for "limit".')


def _vector(point: Any, using: str) -> Any:
    return point.vector.get(using) if isinstance(point.vector, dict) else point.vector


def _record(point: Any) -> Json:
    number = point.id if isinstance(point.id, int) else str(point.id)
    return {"id": number, "payload": point.payload, "vector": point.vector}


def _without(asked: Json, *names: str) -> None:
    """What the real server can and this one cannot."""
    for name in names:
        if name in asked:
            raise Refused(501, f"the test server does not know {name}")


def _params(data: Any) -> edge.SearchParams:
    asked = fields(data, SEARCH, "params")
    quantization = asked.pop("quantization", None)
    if quantization is not None:
        asked["quantization"] = edge.QuantizationSearchParams(**fields(quantization, QUANTIZATION, "quantization"))
    return edge.SearchParams(**asked)


def routes(server: Server) -> list[Route]:
    """(method, pattern, function); a function takes the pattern's groups, then the body where it has one."""
    c, one = server, r"/collections/([^/]+)"
    return [
        ("GET", "/", lambda: {"title": "qdrant - vector search engine", "version": VERSION, "commit": "test"}),
        ("GET", "/telemetry", lambda level=0: c.telemetry(level)),
        ("GET", "/cluster", lambda: {"status": "disabled"}),
        ("GET", "/aliases", c.list_aliases),
        ("POST", "/collections/aliases", c.change_aliases),
        ("GET", "/collections", c.list),
        ("GET", one, lambda n: c.collection(n).info()),
        ("PUT", one, c.create),
        ("PATCH", one, lambda n, body: c.collection(n).update(body) is None),
        ("DELETE", one, c.delete),
        ("GET", f"{one}/exists", lambda n: {"exists": n in c.collections}),
        ("GET", f"{one}/aliases", c.list_aliases),
        *([("GET", f"{one}/optimizations", lambda n: c.collection(n).optimizations())] if NUMBER >= (1, 17) else []),
        ("PUT", f"{one}/index", c.index_field),
        ("PUT", f"{one}/points", c.upsert),
        ("POST", f"{one}/points", c.retrieve),
        ("POST", f"{one}/points/delete", c.delete_points),
        ("POST", f"{one}/points/count", c.count),
        ("POST", f"{one}/points/scroll", c.scroll),
        *([("POST", f"{one}/points/query", c.query)] if NUMBER >= (1, 10) else []),
        *([("POST", f"{one}/points/query/batch", c.query_batch)] if NUMBER >= (1, 10) else []),
        *([("POST", f"{one}/points/recommend", c.recommend)] if NUMBER < (1, 19) else []),
        ("GET", f"{one}/snapshots", c.list_snapshots),
        ("POST", f"{one}/snapshots", lambda n, _body: c.make_snapshot(n)),
        ("GET", f"{one}/snapshots/([^/]+)", c.snapshot_file),
        ("DELETE", f"{one}/snapshots/([^/]+)", lambda n, f: c.snapshot_file(n, f).unlink() is None),
        ("PUT", f"{one}/snapshots/recover", c.recover),
    ]


def handler(server: Server, table: Sequence[Route], *, inside: bool = False) -> type[BaseHTTPRequestHandler]:
    """The HTTP side; `inside`: for the other nodes, who need no key."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            path = urlsplit(self.path).path
            if path not in OPEN and not self._allowed():
                self.rfile.read(length)
                self._text(401, "Must provide an API key or an Authorization bearer token")
            elif path in OPEN[1:]:
                self._text(200, f"{path[1:]} check passed")
            elif re.fullmatch(r"/collections/[^/]+/snapshots/upload", path) and self.command == "POST":
                self._answered(lambda: self._upload(unquote(path.split("/")[2]), length))
            else:
                body = self.rfile.read(length)
                self._answered(lambda: dispatch(table, self.command, self.path, json.loads(body or b"{}")))

        def _allowed(self) -> bool:
            settings, given = server.settings, self.headers.get("api-key")
            if inside or (settings.key is None and settings.read_key is None):
                return True
            reads = self.command == "GET" or self.path.split("?")[0].endswith(("/query", "/scroll", "/count", "/batch"))
            return given is not None and (given == settings.key or (given == settings.read_key and reads))

        def _upload(self, name: str, length: int) -> bool:
            """multipart/form-data with one part, as curl and qdrant-client's users send it."""
            boundary = self.headers["Content-Type"].partition("boundary=")[2].strip('"').encode()
            data = self.rfile.read(length)
            start = data.index(b"\r\n\r\n") + 4
            end = data.rindex(b"\r\n--" + boundary + b"--")
            asked = parse_qs(urlsplit(self.path).query)
            with tempfile.NamedTemporaryFile(suffix=".snapshot") as file:
                file.write(data[start:end])
                file.flush()
                checksum = asked.get("checksum", [None])[0]
                return server.restore(name, Path(file.name), checksum, asked.get("priority", ["snapshot"])[0])

        def _answered(self, act: Callable[[], Any]) -> None:
            began = time.perf_counter()
            try:
                result = act()
            except NoRoute:
                self._text(404, "")
            except Refused as error:
                self._json(error.status, {"status": {"error": str(error)}, "time": 0.0})
            except (KeyError, TypeError, ValueError) as error:
                self._json(400, {"status": {"error": f"Format error: {error!r}"}, "time": 0.0})
            except Exception as error:
                self._json(500, {"status": {"error": f"Service internal error: {error}"}, "time": 0.0})
            else:
                if isinstance(result, Path):
                    self._file(result)
                elif self.path == "/":
                    self._json(200, result)
                else:
                    self._json(200, {"result": result, "status": "ok", "time": time.perf_counter() - began})

        def _file(self, path: Path) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(path.stat().st_size))
            self.end_headers()
            with path.open("rb") as file:
                shutil.copyfileobj(file, self.wfile)

        def _json(self, status: int, content: Any) -> None:
            self._bytes(status, json.dumps(content).encode(), "application/json")

        def _text(self, status: int, content: str) -> None:
            self._bytes(status, content.encode(), "text/plain")

        def _bytes(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Silent."""

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _serve

    return Handler


def listen(port: int, handle: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """A server on that port; it serves once it is asked to."""
    http = ThreadingHTTPServer(("0.0.0.0", port), handle)
    http.daemon_threads = True
    return http


def take_name() -> None:
    """The process is called qdrant, as /proc tells it: it is Python that runs here (prctl(2), PR_SET_NAME)."""
    import ctypes

    ctypes.CDLL(None).prctl(15, b"qdrant", 0, 0, 0)


def tell_started() -> None:
    """An empty file in the working directory; where there can be none it is only warned of (src/startup.rs)."""
    with suppress(OSError):
        Path(os.environ.get("QDRANT_INIT_FILE_PATH", ".qdrant-initialized")).write_bytes(b"")


def main() -> None:
    """Until SIGTERM; it ends with 0 then, as main.rs does once its threads have."""
    import argparse
    import signal

    take_name()
    parser = argparse.ArgumentParser()
    parser.add_argument("--uri", default=os.environ.get("QDRANT_URI"))
    parser.add_argument("--bootstrap", default=os.environ.get("QDRANT_BOOTSTRAP"))
    args, settings = parser.parse_args(), Settings(os.environ)
    server = Server(settings)
    table = routes(server)
    if settings.clustered:
        from cluster import Node

        node = Node(server, table, args.uri, args.bootstrap)
        inner = listen(settings.peer_port, handler(server, [*node.inner_routes(), *table], inside=True))
        threading.Thread(target=inner.serve_forever, daemon=True).start()
        node.join()
        table = node.routes()
    http = listen(settings.port, handler(server, table))
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=http.shutdown).start())
    tell_started()
    print(f"Version: {VERSION}\nQdrant HTTP listening on {settings.port}", flush=True)
    http.serve_forever(poll_interval=0.1)
    server.close()


if __name__ == "__main__":
    main()
