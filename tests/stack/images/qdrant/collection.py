"""One collection of the test server: Qdrant's own segments, HNSW and quantization (qdrant_edge), and its configuration.

The optimizer runs in a process of its own on a copy of the shard, as the library holds the interpreter while it works:
searches go on meanwhile, writes are kept and repeated on the new shard before it is switched in.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qdrant_edge as edge

Json = dict[str, Any]
HNSW = ("m", "ef_construct", "full_scan_threshold", "max_indexing_threads", "on_disk", "payload_m", "inline_storage")
OPTIMIZERS = (
    "deleted_threshold", "vacuum_min_vector_number", "default_segment_number", "max_segment_size", "memmap_threshold",
    "indexing_threshold", "flush_interval_sec", "max_optimization_threads", "prevent_unoptimized",
)  # fmt: skip
VECTOR = (
    "size", "distance", "hnsw_config", "quantization_config", "on_disk", "memory", "datatype", "multivector_config"
)  # fmt: skip
VECTOR_DIFF = ("hnsw_config", "quantization_config", "on_disk", "memory")
STRICT = ("enabled", "search_allow_exact", "max_query_limit", "read_rate_limit")
QUANTIZATION = {
    "scalar": ("type", "quantile", "always_ram"),
    "binary": ("always_ram", "encoding", "query_encoding"),
    "product": ("compression", "always_ram"),
}
CREATE = (
    "vectors", "shard_number", "replication_factor", "write_consistency_factor", "on_disk_payload", "hnsw_config",
    "wal_config", "optimizers_config", "quantization_config", "strict_mode_config",
)  # fmt: skip
UUID = "0b2c1d3e-0000-4000-8000-000000000001"
UPDATE = ("vectors", "optimizers_config", "hnsw_config", "quantization_config", "params", "strict_mode_config")


class Refused(Exception):
    """A request that Qdrant would refuse; the status and its words."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def fields(data: Any, known: tuple[str, ...], where: str) -> Json:
    """The object, without fields that are null. Refused for what is none, or has a field that is not known here."""
    if not isinstance(data, dict):
        raise Refused(400, f"{where}: expected an object")
    for key in data:
        if key not in known:
            raise Refused(400, f"Format error in JSON body: {where}: unknown field `{key}`")
    return {k: v for k, v in data.items() if v is not None}


def checked_hnsw(data: Any) -> Json:
    """A HnswConfigDiff, with the bounds of the API."""
    found = fields(data, HNSW, "hnsw_config")
    for name, least in (("ef_construct", 4), ("full_scan_threshold", 10), ("m", 0)):
        if name in found and (not isinstance(found[name], int) or found[name] < least):
            raise Refused(422, f"Validation error in JSON body: [hnsw_config.{name}: must be {least} or larger]")
    return found


def checked_quantization(data: Any) -> Json | None:
    """A quantization config; None for "Disabled"."""
    if data == "Disabled":
        return None
    found = fields(data, tuple(QUANTIZATION), "quantization_config")
    if len(found) != 1:
        raise Refused(400, "quantization_config: expected one of scalar, binary, product")
    kind, config = next(iter(found.items()))
    config = fields(config, QUANTIZATION[kind], f"quantization_config.{kind}")
    if kind == "scalar" and config.get("type") != "int8":
        raise Refused(400, "quantization_config.scalar.type: expected int8")
    if not 0.5 <= config.get("quantile", 1.0) <= 1.0:
        raise Refused(422, "quantization_config.scalar.quantile: must be from 0.5 to 1")
    return {kind: config}


def new_config(body: Any, defaults: Json) -> Json:
    """The configuration of a new collection: what was asked for, over the server's defaults."""
    asked = fields(body, CREATE, "create collection")
    vectors = asked.get("vectors")
    named = {"": vectors} if isinstance(vectors, dict) and "size" in vectors else vectors
    if not named:
        raise Refused(400, "vectors: at least one is needed")
    checked = {name: _checked_vector(v) for name, v in named.items()}
    quantization = asked.get("quantization_config")
    return {
        "params": {
            "vectors": checked[""] if "" in checked else checked,
            "shard_number": asked.get("shard_number", 1), "replication_factor": asked.get("replication_factor", 1),
            "write_consistency_factor": asked.get("write_consistency_factor", 1),
            "on_disk_payload": asked.get("on_disk_payload", True),
        },
        "hnsw_config": {**defaults["hnsw_config"], **checked_hnsw(asked.get("hnsw_config", {}))},
        "optimizer_config": {
            **defaults["optimizer_config"], **fields(asked.get("optimizers_config", {}), OPTIMIZERS, "optimizers")
        },
        "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0},
        "quantization_config": checked_quantization(quantization) if quantization else None,
        "strict_mode_config": fields(asked.get("strict_mode_config", {"enabled": False}), STRICT, "strict_mode_config"),
    }  # fmt: skip


def _checked_vector(data: Any) -> Json:
    found = fields(data, VECTOR, "vectors")
    if "hnsw_config" in found:
        found["hnsw_config"] = checked_hnsw(found["hnsw_config"])
    if "quantization_config" in found:
        found["quantization_config"] = checked_quantization(found["quantization_config"])
    if found.get("distance") not in ("Cosine", "Euclid", "Dot", "Manhattan") or found.get("size", 0) < 1:
        raise Refused(422, "vectors: size and distance are needed")
    return found


def updated(config: Json, body: Any) -> Json:
    """The configuration after PATCH: a copy; per-vector values stand in `params.vectors`."""
    asked, config = fields(body, UPDATE, "update collection"), copy.deepcopy(config)
    config["hnsw_config"] |= checked_hnsw(asked.get("hnsw_config", {}))
    config["optimizer_config"] |= fields(asked.get("optimizers_config", {}), OPTIMIZERS, "optimizers_config")
    config["params"] |= fields(asked.get("params", {}), ("on_disk_payload",), "params")
    if "quantization_config" in asked:
        config["quantization_config"] = checked_quantization(asked["quantization_config"])
    if "strict_mode_config" in asked:
        strict = fields(asked["strict_mode_config"], STRICT, "strict_mode_config")
        config["strict_mode_config"] = {**config.get("strict_mode_config", {}), **strict}
    stored = vectors_of(config)
    for name, diff in asked.get("vectors", {}).items():
        if name not in stored:
            raise Refused(400, f"Wrong input: Not existing vector name error: {name}")
        _update_vector(stored[name], fields(diff, VECTOR_DIFF, f"vectors.{name}"))
    return config


def _update_vector(vector: Json, diff: Json) -> None:
    if "hnsw_config" in diff:
        vector["hnsw_config"] = {**vector.get("hnsw_config", {}), **checked_hnsw(diff["hnsw_config"])}
    if "quantization_config" in diff:
        vector["quantization_config"] = checked_quantization(diff["quantization_config"])
        if vector["quantization_config"] is None:
            del vector["quantization_config"]
    vector.update({k: diff[k] for k in ("on_disk", "memory") if k in diff})


def vectors_of(config: Json) -> dict[str, Json]:
    """Vector name to parameters; "" is the unnamed one."""
    vectors: Json = config["params"]["vectors"]
    return {"": vectors} if "size" in vectors and not isinstance(vectors["size"], dict) else vectors


def is_on_disk(vector: Json) -> bool:
    """`memory` beats on_disk where a vector has both (Memory::resolve)."""
    return vector["memory"] == "cold" if "memory" in vector else bool(vector.get("on_disk"))


def misplaced(vector: Json, storage: str) -> bool:
    """Whether its originals lie elsewhere than was said: then a segment of any size is built anew."""
    said = "memory" in vector or vector.get("on_disk") is not None
    return said and (storage in ("Mmap", "ChunkedMmap")) != is_on_disk(vector)


def segment_number(config: Json) -> int:
    """Over how many segments a server spreads new points (get_number_segments)."""
    return config["optimizer_config"].get("default_segment_number") or min(8, max(2, os.cpu_count() or 1))


def _hnsw(config: Json) -> edge.HnswIndexConfig:
    return edge.HnswIndexConfig(**{k: v for k, v in config.items() if k in HNSW and v is not None})


def _quantization(config: Json | None) -> Any:
    if not config:
        return None
    kind, values = next(iter(config.items()))
    if kind == "scalar":
        return edge.ScalarQuantizationConfig(edge.ScalarType.Int8, values.get("quantile"), values.get("always_ram"))
    if kind == "binary":
        return edge.BinaryQuantizationConfig(values.get("always_ram"))
    ratio = getattr(edge.CompressionRatio, str(values["compression"]).upper())
    return edge.ProductQuantizationConfig(ratio, values.get("always_ram"))


def edge_config(config: Json) -> edge.EdgeConfig:
    """The same for the index."""
    whole, optimizers = config["hnsw_config"], config["optimizer_config"]
    names = ("deleted_threshold", "vacuum_min_vector_number", "default_segment_number", "max_segment_size",
             "indexing_threshold")  # fmt: skip
    return edge.EdgeConfig(
        vectors={
            name: edge.EdgeVectorParams(
                size=v["size"],
                distance=getattr(edge.Distance, v["distance"]),
                on_disk=is_on_disk(v),
                quantization_config=_quantization(v.get("quantization_config") or config["quantization_config"]),
                hnsw_config=_hnsw({**whole, **v.get("hnsw_config", {})}),
            )
            for name, v in vectors_of(config).items()
        },
        on_disk_payload=config["params"]["on_disk_payload"],
        hnsw_config=_hnsw(whole),
        quantization_config=_quantization(config["quantization_config"]),
        optimizers=edge.EdgeOptimizersConfig(**{n: optimizers[n] for n in names if optimizers.get(n) is not None}),
    )


def optimize(shard: str, config: str) -> None:
    """The optimizer's process."""
    wanted = json.loads(Path(config).read_text())
    _forget_quantization(Path(shard) / "edge_config.json", wanted)
    opened = edge.EdgeShard.load(shard, edge_config(wanted))
    opened.optimize()
    opened.flush()
    opened.close()


def _forget_quantization(kept: Path, wanted: Json) -> None:
    """The library takes the lack of one for what the shard remembers; for Qdrant it means that there is none."""
    found = json.loads(kept.read_text())
    if not wanted["quantization_config"]:
        found.pop("quantization_config", None)
    for name, vector in vectors_of(wanted).items():
        if not vector.get("quantization_config"):
            found["vectors"].get(name, {}).pop("quantization_config", None)
    kept.write_text(json.dumps(found))


class Collection:
    """Points, index and configuration in one directory."""

    QUIET_S = 0.2
    """How long no write has come before the optimizer begins."""
    LATE_S = 0.7
    """How long after the answer to a change new optimizers take over: until then it is green (1.18.3 and newer)."""

    def __init__(self, path: Path, config: Json | None = None) -> None:
        self.path, self.lock = path, threading.RLock()
        self.kept: list[Any] = []
        self.error: str | None = None
        self.optimizing = False
        self.gone = False
        self.changed = -self.LATE_S
        self.written = 0.0
        if config is not None:
            path.mkdir(parents=True)
            self.config, self.dirty, self.built = config, False, copy.deepcopy(config)
            self.schema: Json = {}
            self.shard = edge.EdgeShard.create(str(path / "shard"), edge_config(config))
            self._save()
        else:
            state = json.loads((path / "config.json").read_text())
            self.config, self.dirty, self.schema = state["config"], state["dirty"], state.get("schema", {})
            self.built = state.get("built", self.config)
            shutil.rmtree(path / "next", ignore_errors=True)
            if not (path / "shard").exists():
                (path / "former").rename(path / "shard")
            shutil.rmtree(path / "former", ignore_errors=True)
            self.shard = edge.EdgeShard.load(str(path / "shard"), edge_config(self.config))

    def _save(self) -> None:
        temporary = self.path / ".config.json"
        temporary.write_text(json.dumps(self._state(self.dirty)))
        temporary.replace(self.path / "config.json")

    def _state(self, dirty: bool) -> Json:
        return {"config": self.config, "dirty": dirty, "built": self.built, "schema": self.schema}

    def info(self) -> Json:
        """The answer to GET /collections/NAME."""
        with self.lock:
            found = self.shard.info()
        waits = self.optimizing or self.dirty
        late = self.built != self.config and time.monotonic() - self.changed < self.LATE_S
        status = "red" if self.error else "green" if late or not waits else "yellow" if self.optimizing else "grey"
        return {
            "status": status, "optimizer_status": {"error": self.error} if self.error else "ok",
            "indexed_vectors_count": found.indexed_vectors_count, "points_count": found.points_count,
            "segments_count": max(found.segments_count, self._spread()), "config": self.config,
            "payload_schema": {name: {**index, "points": found.points_count} for name, index in self.schema.items()},
        }  # fmt: skip

    def telemetry(self, name: str) -> Json:
        """As /telemetry tells it at its fourth level: what the segments were built with."""
        with self.lock:
            segments = [{"config": found} for found in self._segments()]
            segments *= self._spread() if len(segments) == 1 else 1
        shard = {"id": 0, "key": None, "local": {"segments": segments}, "remote": [], "replicate_states": {}}
        return {"id": name, "config": self.config, "shards": [shard]}

    def optimizations(self) -> Json:
        """What is being built anew, and what waits for it; the library counts nothing while it builds."""
        with self.lock:
            found = self.shard.info()
            waits = self.dirty and time.monotonic() - self.changed >= self.LATE_S
        whole = [{"uuid": UUID, "points_count": found.points_count}]
        one = {"uuid": UUID, "optimizer": "config mismatch", "status": "optimizing", "segments": whole,
               "progress": {"name": "Segment Optimizing"}}  # fmt: skip
        queued = int(waits and not self.optimizing)
        return {
            "summary": {"queued_optimizations": queued, "queued_segments": queued * found.segments_count,
                        "queued_points": queued * found.points_count,
                        "idle_segments": 0 if queued or self.optimizing else found.segments_count},
            "running": [one] if self.optimizing else [],
        }  # fmt: skip

    def _segments(self) -> list[Json]:
        """What each segment was built with."""
        files = sorted((self.path / "shard" / "segments").glob("*/segment.json"))
        return [json.loads(file.read_text())["config"] for file in files]

    def _spread(self) -> int:
        """Over how many segments its points would lie: the library has those that have no graph in one."""
        return 1 if self.shard.info().indexed_vectors_count else segment_number(self.config)

    def read(self, ask: Callable[[Any], Any]) -> Any:
        """`ask` the shard, which may be switched at any other moment."""
        with self.lock:
            return ask(self.shard)

    def update(self, body: Any) -> None:
        """PATCH: the configuration at once, the index behind it."""
        self.configure(updated(self.config, body))

    def configure(self, changed: Json) -> None:
        """That configuration from now on."""
        with self.lock:
            if self._must_rebuild(changed):
                self.dirty, self.changed = True, time.monotonic()
            elif not self.dirty:
                self.built = copy.deepcopy(changed)
            self.config = changed
            self.error = None
            self._save()
        self.trigger()

    def _must_rebuild(self, changed: Json) -> bool:
        """Segments without a graph take another one's configuration when they grow (config_mismatch_optimizer.rs)."""
        if changed["optimizer_config"] != self.config["optimizer_config"] or self._is_misplaced(changed):
            return True
        return changed != self.config and bool(self.shard.info().indexed_vectors_count)

    def _is_misplaced(self, config: Json) -> bool:
        found = ((v, s["vector_data"].get(n)) for s in self._segments() for n, v in vectors_of(config).items())
        return any(misplaced(vector, stored["storage_type"]) for vector, stored in found if stored)

    def index_field(self, name: str, schema: Any) -> None:
        """An index of a field of the payload; `schema` is its type, or an object with it."""
        kind = schema if isinstance(schema, str) else schema["type"]
        self.write(edge.UpdateOperation.create_field_index(name, getattr(edge.PayloadSchemaType, kind.capitalize())))
        with self.lock:
            self.schema[name] = {"data_type": kind, **({} if isinstance(schema, str) else {"params": schema})}
            self._save()

    def write(self, operation: Any) -> None:
        """A change of points."""
        with self.lock:
            self.shard.update(operation)
            if self.optimizing:
                self.kept.append(operation)
            self.dirty, self.written = True, time.monotonic()
            self._save()
        self.trigger()

    def trigger(self) -> None:
        """Start the optimizer where there may be something to do."""
        with self.lock:
            if self.optimizing or not self.dirty or self.gone:
                return
            if self.config["optimizer_config"].get("max_optimization_threads") == 0:
                return
            if self._is_small() and not self._is_misplaced(self.config):
                self.dirty, self.built = False, copy.deepcopy(self.config)
                self._save()
                return
            self.optimizing = True
        threading.Thread(target=self._optimize, daemon=True).start()

    def _is_small(self) -> bool:
        """Each segment below the threshold of the optimizer that builds an index, and none is there."""
        found, threshold = self.shard.info(), self.config["optimizer_config"].get("indexing_threshold") or 0
        size = max(v["size"] for v in vectors_of(self.config).values()) * 4 * found.points_count / self._spread()
        return not found.indexed_vectors_count and (threshold == 0 or size < threshold * 1024)

    def _taken(self) -> Json:
        """The configuration as the library has to be given it, for which all points lie in one segment."""
        taken = copy.deepcopy(self.config)
        taken["optimizer_config"]["indexing_threshold"] = (
            self.config["optimizer_config"].get("indexing_threshold") or 0
        ) * self._spread()
        return taken

    def _optimize(self) -> None:
        try:
            while time.monotonic() < max(self.written + self.QUIET_S, self.changed + self.LATE_S):
                time.sleep(self.QUIET_S / 4)
            self._optimize_once()
        except Exception as error:
            self.error = str(error)
        finally:
            with self.lock:
                self.optimizing = False
        if not self.error:
            self.trigger()

    def _optimize_once(self) -> None:
        next_, former, used = self.path / "next", self.path / "former", self.path / "next.json"
        with self.lock:
            self.kept, self.dirty = [], False
            self.shard.flush()
            shutil.rmtree(next_, ignore_errors=True)
            shutil.copytree(self.path / "shard", next_)
            used.write_text(json.dumps(self._taken()))
            built = copy.deepcopy(self.config)
        command = [sys.executable, str(Path(__file__).resolve()), str(next_), str(used)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
        with self.lock:
            if self.gone:
                return
            if done.returncode:
                self.dirty = True
                raise RuntimeError(done.stderr.strip()[-300:] or f"optimizer ended with {done.returncode}")
            optimized = edge.EdgeShard.load(str(next_), edge_config(built))
            for operation in self.kept:
                optimized.update(operation)
            optimized.flush()
            optimized.close()
            self.shard.close()
            (self.path / "shard").rename(former)
            next_.rename(self.path / "shard")
            self.shard = edge.EdgeShard.load(str(self.path / "shard"), edge_config(self.config))
            self.built = built
            shutil.rmtree(former)
            self.dirty = self.dirty or bool(self.kept)
            self._save()

    def snapshot(self, path: Path) -> Json:
        """A whole copy as one file; name, size and checksum."""
        with self.lock:
            self.shard.flush()
            state = json.dumps(self._state(self.dirty or self.optimizing)).encode()
            path.parent.mkdir(parents=True, exist_ok=True)
            with tarfile.open(path, "w:gz", compresslevel=1) as archive:
                archive.add(self.path / "shard", "shard")
                entry = tarfile.TarInfo("config.json")
                entry.size = len(state)
                archive.addfile(entry, io.BytesIO(state))
        return described(path)

    def close(self) -> None:
        """Before its directory goes."""
        with self.lock:
            self.gone = True
            self.shard.close()


def described(path: Path) -> Json:
    """A snapshot file as the API lists it."""
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(path.stat().st_mtime))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"name": path.name, "creation_time": when, "size": path.stat().st_size, "checksum": digest}


def unpack(snapshot: Path, target: Path) -> None:
    """A snapshot as a collection's directory."""
    shutil.rmtree(target, ignore_errors=True)
    # Debian's Python in the image knows no filters yet; archives are of nobody else.
    known: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(snapshot) as archive:
        archive.extractall(target, **known)


if __name__ == "__main__":
    optimize(*sys.argv[1:])
