"""The test server itself, and nftui's client and step kinds against its real index, without an engine."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from qdrant_client import models
from qdrant_client.http.exceptions import UnexpectedResponse

from nftui.clients.http import HttpClient, HttpUnreachable
from nftui.clients.qdrant import connect_qdrant
from nftui.model.ai import QdrantFacts
from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.qdrant import read_config
from nftui.model.shards import Cluster, Replica
from nftui.model.stack import Container, MountSpec, Role, Service
from nftui.probes.health import quiet
from nftui.probes.qdrant import probe_qdrant
from nftui.steps import load_kinds
from nftui.steps.kind import Context
from nftui.steps.qdrant_segments import outdated, unindexed
from tests.engine.world import new_world
from tests.qdrant.server import KEY, Server, process, vectors

pytestmark = pytest.mark.timeout(200)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with process(tmp_path, free_port()) as found:
        yield found


def service(server: Server, key: str = KEY) -> Service:
    environment = {"QDRANT__SERVICE__HTTP_PORT": server.url.rpartition(":")[2]}
    environment |= {"qdrant__service__api_key": key} if key else {}
    container = Container("c", "c", "q", 1, "running", None, "i", "i", network_mode="host", environment=environment)
    return Service("q", Role.QDRANT, containers=(container,))


def context(server: Server, tmp_path: Path) -> Context:
    place = tmp_path / "world"
    place.mkdir(exist_ok=True)
    world = new_world(place)
    return world.context(
        api=lambda name: patient(server), kept=str(place / "kept"), sleep=time.sleep, now=time.monotonic
    )


def patient(server: Server) -> HttpClient:
    """As a run waits: a machine that builds an index answers late."""
    client = connect_qdrant(service(server))
    client.patience_s = 60.0
    return client


def update(server: Server, name: str, floor: float = 0.0, **wanted: str) -> StepSpec:
    live = probe_qdrant(service(server), None).value
    assert isinstance(live, QdrantFacts)
    index = next(c for c in live.collections if c.name == name).index
    params = {"collection": name, "patch": index.patch(wanted), "recall_floor": floor}
    return StepSpec("s", "qdrant-collection", f"q/{name}", params, msg("step"), "q", stall_s=60)


def test_facts_tell_every_vectors_own_values(server: Server) -> None:
    server.client.create_collection(
        "multi",
        {
            "text": models.VectorParams(size=8, distance=models.Distance.COSINE, on_disk=True),
            "image": models.VectorParams(
                size=16, distance=models.Distance.DOT, hnsw_config=models.HnswConfigDiff(m=32)
            ),
        },
    )  # fmt: skip
    live = probe_qdrant(service(server), None)
    assert isinstance(live.value, QdrantFacts) and not live.value.open and live.value.version == "1.19.0"
    index = live.value.collections[0].index
    assert [(v.name, v.size, v.distance, v.on_disk) for v in index.vectors] == [
        ("image", 16, "Dot", None), ("text", 8, "Cosine", True),
    ]  # fmt: skip
    assert [index.value(v, "m") for v in index.vectors] == [32, 16] and index.effective("m") is None
    assert index.effective("ef_construct") == "100" and index.effective("quantization") == "none"


@pytest.mark.parametrize("key", ["", "not-the-key"])
def test_a_wrong_key_is_a_clear_line(server: Server, key: str) -> None:
    live = probe_qdrant(service(server, key), None)
    assert live.value is None and "status 401 (the key is missing or wrong)" in str(live.error)
    assert "not-the-key" not in str(live.error)


def test_a_key_that_may_only_read_is_told_when_something_is_to_be_written(tmp_path: Path) -> None:
    port = free_port()
    with process(tmp_path, port, QDRANT__SERVICE__READ_ONLY_API_KEY="fake-reading-key") as server:
        server.fill("docs", vectors(20, 8))
        reading = connect_qdrant(service(server, "fake-reading-key"))
        assert reading.json("/collections")["result"]["collections"] == [{"name": "docs"}]
        with pytest.raises(HttpUnreachable, match=r"status 40[13] "):
            reading.send("PATCH", "/collections/docs", {"hnsw_config": {"m": 8}})


def certificate(directory: Path) -> ssl.SSLContext:
    """For a name that is not the container's address, signed by itself."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
               "-days", "2", "-subj", "/CN=vectors.example"]  # fmt: skip
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return context


class Speaking(BaseHTTPRequestHandler):
    """As little of Qdrant as a probe needs."""

    keys: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.keys.append(self.headers.get("api-key"))
        body = json.dumps({"result": {"collections": []}, "version": "1.15.0"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


@contextmanager
def encrypted(directory: Path) -> Iterator[int]:
    """A server with a certificate of its own; its port."""
    directory.mkdir()
    Speaking.keys.clear()
    http = HTTPServer(("127.0.0.1", 0), Speaking)
    http.socket = certificate(directory).wrap_socket(http.socket, server_side=True)
    http.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield http.server_port
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def with_tls(port: int, mounted: Path | None, **more: str) -> Service:
    """A service that says it speaks TLS; `mounted`: where its /qdrant/tls comes from."""
    found = service(Server(f"x:{port}"))
    environment = {**found.containers[0].environment, "QDRANT__SERVICE__ENABLE_TLS": "true", **more}
    mounts = (MountSpec("bind", str(mounted), "/qdrant/tls", host_path=str(mounted)),) if mounted else ()
    return replace(found, containers=(replace(found.containers[0], environment=environment, mounts=mounts),))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_tls_is_spoken_with_the_certificate_that_the_service_is_given_and_no_other(tmp_path: Path) -> None:
    with encrypted(tmp_path / "own") as port:
        assert probe_qdrant(service(Server(f"x:{port}")), None).value is None
        live = probe_qdrant(with_tls(port, tmp_path / "own"), None)
        assert isinstance(live.value, QdrantFacts)
        named = {"QDRANT__TLS__CERT": "/qdrant/tls/cert.pem"}
        assert isinstance(probe_qdrant(with_tls(port, tmp_path / "own", **named), None).value, QdrantFacts)
        other = tmp_path / "other"
        other.mkdir()
        certificate(other)
        Speaking.keys.clear()
        live = probe_qdrant(with_tls(port, other), None)
        assert live.value is None and "certificate verify failed" in str(live.error)
        # Nobody who cannot be verified gets the key.
        assert Speaking.keys == []


@pytest.mark.parametrize(
    ("mounted", "more", "why"),
    [
        (False, {}, "/qdrant/tls/cert.pem is on no mount that nftui can read"),
        (True, {}, "/qdrant/tls/cert.pem cannot be read: No such file or directory"),
        (True, {"QDRANT__TLS__CERT": "tls/empty.pem"}, "/qdrant/tls/empty.pem is on no mount"),
        (True, {"QDRANT__TLS__CERT": "./tls/broken.pem"}, "/qdrant/tls/broken.pem holds no certificate"),
        (True, {"QDRANT__SERVICE__VERIFY_HTTPS_CLIENT_CERTIFICATE": "true"}, "it asks for a client's certificate"),
    ],
)  # fmt: skip
def test_who_cannot_be_verified_is_told_in_one_line(
    tmp_path: Path, mounted: bool, more: dict[str, str], why: str
) -> None:
    (tmp_path / "empty.pem").write_text("")
    (tmp_path / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    live = probe_qdrant(with_tls(1, tmp_path if mounted else None, **more), None)
    assert live.value is None and why in str(live.error)
    assert str(live.error).startswith("q speaks TLS, and who answers cannot be verified: ")


def test_the_nodes_of_a_cluster_are_counted(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the documents of the client's own models; a single node says that it is none."""
    live = probe_qdrant(service(server), None).value
    assert isinstance(live, QdrantFacts) and live.peers == 0
    server.fill("docs", vectors(20, 8))
    raft = models.RaftInfo(term=1, commit=2, pending_operations=0, leader=2, is_voter=True)
    status = models.ClusterStatusOneOf1(
        status="enabled", peer_id=1, peers={"1": models.PeerInfo(uri="http://a:6335/"), "2": models.PeerInfo(
            uri="http://b:6335/")}, raft_info=raft, message_send_failures={},
        consensus_thread_status=models.ConsensusThreadStatusOneOf1(consensus_thread_status="stopped"),
    )  # fmt: skip
    shards = models.CollectionClusterInfo(
        peer_id=1, shard_count=2, shard_transfers=[],
        local_shards=[models.LocalShardInfo(shard_id=1, points_count=20, state=models.ReplicaState.PARTIAL)],
        remote_shards=[models.RemoteShardInfo(shard_id=0, peer_id=2, state=models.ReplicaState.ACTIVE)],
    )  # fmt: skip
    told = {"/cluster": status, "/collections/docs/cluster": shards}
    asked = HttpClient.json

    def json_of(self: HttpClient, path: str) -> Any:
        return {"result": told[path].model_dump(mode="json")} if path in told else asked(self, path)

    monkeypatch.setattr(HttpClient, "json", json_of)
    live = probe_qdrant(service(server), None).value
    assert isinstance(live, QdrantFacts) and live.peers == 2
    assert live.cluster == Cluster(1, {1: "http://a:6335/", 2: "http://b:6335/"}, 2, "stopped")
    assert live.collections[0].replicas == (Replica(0, 2, "Active"), Replica(1, 1, "Partial"))


@pytest.mark.parametrize(("count", "said"), [(0, 0), (1, 1)])
def test_a_snapshot_that_is_being_made_is_no_moment_to_stop_it(
    server: Server, monkeypatch: pytest.MonkeyPatch, count: int, said: int
) -> None:
    server.fill("docs", vectors(20, 8))
    assert quiet(service(server), None) == ()
    told, real = [{"id": "docs", "running_snapshots": count}], HttpClient.json
    answer = {"result": {"collections": {"snapshots": told}}}
    monkeypatch.setattr(HttpClient, "json", lambda s, p: answer if p.startswith("/telemetry") else real(s, p))
    found = quiet(service(server), None)
    assert len(found) == said and all("A snapshot of docs is being made" in str(m) for m in found)


def test_a_server_that_answers_no_rest_is_told_in_one_line() -> None:
    port = free_port()
    live = probe_qdrant(service(Server(f"x:{port}")), None)
    assert live.value is None and f"q: address 127.0.0.1:{port}: " in str(live.error)
    live = probe_qdrant(service(Server("x:0")), None)
    assert live.value is None and "its REST port is closed (QDRANT__SERVICE__HTTP_PORT=0)" in str(live.error)


def test_a_port_that_speaks_grpc_only_is_told_of() -> None:
    """An answer in HTTP/2 frames, as a gRPC server gives to whoever speaks HTTP/1."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        live = probe_qdrant(service(Server(f"x:{listening.getsockname()[1]}")), None)
        thread.join(10)
    assert live.value is None and "it does not speak HTTP: a gRPC port?" in str(live.error)


def test_an_index_of_named_vectors_is_changed_where_its_values_stand_and_comes_back(
    server: Server, tmp_path: Path
) -> None:
    client = server.client
    client.create_collection(
        "multi",
        {
            "text": models.VectorParams(size=16, distance=models.Distance.COSINE),
            "image": models.VectorParams(size=8, distance=models.Distance.DOT, hnsw_config=models.HnswConfigDiff(m=32)),
        },
        optimizers_config=models.OptimizersConfigDiff(indexing_threshold=10, default_segment_number=1),
    )
    points = [
        models.PointStruct(id=i, vector={"text": t.tolist(), "image": g.tolist()}, payload={"n": i})
        for i, (t, g) in enumerate(zip(vectors(300, 16), vectors(300, 8), strict=True))
    ]
    client.upsert("multi", points)
    server.wait_green("multi")
    old, config = server.picture("multi"), read_config(server.info("multi").config.model_dump(mode="json"))
    step, ctx = update(server, "multi", m="8", ef_construct="64", quantization="int8"), context(server, tmp_path)
    kind = load_kinds().of(step)
    before = kind.read(step, ctx)
    kind.do(step, before, ctx)
    told: Any = kind.verify(step, before, ctx)
    now = read_config(server.info("multi").config.model_dump(mode="json"))
    assert {str(now.value(v, "m")) for v in now.vectors} == {"8"} and now.effective("quantization") == "int8"
    assert set(told["search"]) == {"text", "image"} and told["search"]["text"]["n"] == 100
    kind.undo(step, before, ctx)
    assert read_config(server.info("multi").config.model_dump(mode="json")) == config
    assert server.picture("multi")[1:] == old[1:]


def test_a_recall_below_the_floor_is_found_out(server: Server, tmp_path: Path) -> None:
    """Four links and four candidates, on 3000 vectors without clusters: the graph does find less."""
    server.fill("docs", vectors(3000, 48, spread=3.0))
    step, ctx = update(server, "docs", floor=0.97, m="4", ef_construct="4"), context(server, tmp_path)
    kind = load_kinds().of(step)
    before: Any = kind.read(step, ctx)
    assert before["search"][""]["recall"] > 0.9
    kind.do(step, before, ctx)
    with pytest.raises(NftuiError, match=r"below the floor of 0\.97"):
        kind.verify(step, before, ctx)
    kind.undo(step, before, ctx)
    assert server.hnsw("docs") == (16, 100) and server.recall("docs") > 0.9


@pytest.mark.parametrize("version", ["1.9.7", "1.19.0"])
def test_a_step_ends_on_segments_built_anew_and_measures_them(tmp_path: Path, version: str) -> None:
    """A change is answered before the optimizer begins, and 1.9 has another route for queries."""
    with process(tmp_path, free_port(), STANDIN_VERSION=version) as server:
        server.fill("docs", vectors(1500, 48))
        step = update(server, "docs", m="8", ef_construct="24", quantization="int8")
        ctx = context(server, tmp_path)
        kind, api = load_kinds().of(step), ctx.api("q")
        before, old = kind.read(step, ctx), read_config(api.json("/collections/docs")["result"]["config"])
        kind.do(step, before, ctx)
        after: Any = kind.verify(step, before, ctx)
        config = read_config(api.json("/collections/docs")["result"]["config"])
        former = replace(config, hnsw={**config.hnsw, "m": 16})
        assert outdated(api, "docs", config) == 0 == after["outdated_segments"]
        assert outdated(api, "docs", former) == 1, "the segments are told, and the one has a graph"
        assert after["search"][""]["n"] >= 20, "its recall is measured, not skipped"
        kind.undo(step, before, ctx)
        assert outdated(api, "docs", old) == 0, "the codes are gone from the segments as well"


@pytest.mark.parametrize("indexed", [True, False])
def test_originals_are_followed_to_where_they_shall_lie_whatever_the_size_of_a_segment(
    tmp_path: Path, indexed: bool
) -> None:
    """A change is answered before the optimizer begins: what was measured then was the old place."""
    with process(tmp_path, free_port()) as server:
        client, size = server.client, models.VectorParams(size=16, distance=models.Distance.COSINE, on_disk=True)
        threshold = models.OptimizersConfigDiff(indexing_threshold=20 if indexed else 1000, default_segment_number=1)
        client.create_collection("docs", size, optimizers_config=threshold)
        server.upsert("docs", vectors(1000, 16))
        server.wait_green("docs")
        step, ctx = update(server, "docs", on_disk="false"), context(server, tmp_path)
        kind, api = load_kinds().of(step), ctx.api("q")
        before: Any = kind.read(step, ctx)
        kind.do(step, before, ctx)
        after: Any = kind.verify(step, before, ctx)
        config = read_config(api.json("/collections/docs")["result"]["config"])
        former = replace(config, vectors=tuple(replace(v, on_disk=True) for v in config.vectors))
        assert outdated(api, "docs", config) == 0 == after["outdated_segments"]
        assert outdated(api, "docs", former) >= 1, "they lie in memory by now"  # type: ignore[operator]
        assert (after["search"][""]["recall"] is None) == (not indexed)
        kind.undo(step, before, ctx)
        assert outdated(api, "docs", former) == 0


@pytest.mark.parametrize(("number", "indexed"), [(1, 1500), (4, 0)])
def test_a_collection_is_indexed_by_the_size_of_its_segments(
    server: Server, tmp_path: Path, number: int, indexed: int
) -> None:
    """70 KB of vectors: in one segment more than the threshold, in each of four less."""
    threshold = models.OptimizersConfigDiff(indexing_threshold=40, default_segment_number=number)
    size = models.VectorParams(size=12, distance=models.Distance.COSINE)
    server.client.create_collection("docs", size, optimizers_config=threshold)
    server.upsert("docs", vectors(1500, 12))
    server.wait_green("docs")
    info = server.info("docs")
    assert info.indexed_vectors_count == indexed and (info.segments_count == 4) == (not indexed)
    api = connect_qdrant(service(server))
    names = unindexed(api, "docs", api.json("/collections/docs")["result"])
    assert names == (set() if indexed else {""})


@pytest.mark.parametrize(("version", "there"), [("1.17.0", True), ("1.16.3", False)])
def test_what_a_server_is_at_is_told_from_1_17_on(tmp_path: Path, version: str, there: bool) -> None:
    with process(tmp_path, free_port(), STANDIN_VERSION=version) as server:
        server.fill("docs", vectors(1500, 48))
        api = connect_qdrant(service(server))
        told: list[models.OptimizationsResponse] = []
        if not there:
            with pytest.raises(HttpUnreachable, match="404"):
                api.json("/collections/docs/optimizations")
            return
        api.send("PATCH", "/collections/docs", {"hnsw_config": {"m": 24, "ef_construct": 200}})
        end = time.monotonic() + 60
        while not any(found.running for found in told) or told[-1].running:
            assert time.monotonic() < end
            found = api.json("/collections/docs/optimizations")["result"]
            told.append(models.OptimizationsResponse.model_validate(found))
            time.sleep(0.02)
        at_work = next(found for found in told if found.running)
        assert at_work.running[0].segments[0].points_count == 1500 and told[-1].summary.queued_optimizations == 0


def test_a_strict_mode_is_read_and_a_sample_keeps_to_its_limits(server: Server, tmp_path: Path) -> None:
    server.fill("docs", vectors(400, 8))
    strict = models.StrictModeConfig(enabled=True, max_query_limit=30)
    server.client.update_collection("docs", strict_mode_config=strict)
    server.wait_green("docs")
    step, ctx = update(server, "docs", m="8"), context(server, tmp_path)
    before: Any = load_kinds().of(step).read(step, ctx)
    assert len(before["ids"]) == 30 and before["search"][""]["n"] == 30
    strict = models.StrictModeConfig(enabled=True, search_allow_exact=False)
    server.client.update_collection("docs", strict_mode_config=strict)
    live = probe_qdrant(service(server), None).value
    assert isinstance(live, QdrantFacts) and live.collections[0].unmeasurable == "search_allow_exact=false"


@pytest.mark.parametrize("version", ["1.9.7", "1.18.0", "1.19.0"])
def test_points_without_one_of_the_vectors_are_no_reason_to_stop(tmp_path: Path, version: str) -> None:
    with process(tmp_path, free_port(), STANDIN_VERSION=version) as server:
        size = models.VectorParams(size=4, distance=models.Distance.DOT)
        server.client.create_collection("multi", {"text": size, "image": size})
        data = [v.tolist() for v in vectors(20, 4)]
        points = [models.PointStruct(id=i, vector={"text": v} if i % 4 else {"text": v, "image": v})
                  for i, v in enumerate(data)]  # fmt: skip
        server.client.upsert("multi", points)
        step, ctx = update(server, "multi", m="8"), context(server, tmp_path)
        before: Any = load_kinds().of(step).read(step, ctx)
        assert {name: found["n"] for name, found in before["search"].items()} == {"text": 20, "image": 5}
        api = ctx.api("q")
        for route, body, status in (("query", {"query": 1}, 404), ("recommend", {"positive": [1]}, 400)):
            if (route, version) not in (("query", "1.9.7"), ("recommend", "1.19.0")):
                with pytest.raises(HttpUnreachable) as caught:
                    api.send("POST", f"/collections/multi/points/{route}", {**body, "using": "image", "limit": 3})
                assert caught.value.status == status


def test_a_collection_whose_optimizers_are_off_is_read_so_and_left_alone(server: Server, tmp_path: Path) -> None:
    server.fill("docs", vectors(400, 8))
    server.client.update_collection("docs", optimizers_config=models.OptimizersConfigDiff(max_optimization_threads=0))
    live = probe_qdrant(service(server), None).value
    assert isinstance(live, QdrantFacts) and not live.collections[0].optimizes
    step, ctx = update(server, "docs", m="8"), context(server, tmp_path)
    with pytest.raises(NftuiError, match="The optimizers of docs are switched off"):
        load_kinds().of(step).read(step, ctx)


def test_a_collection_that_is_gone_comes_back_from_its_snapshot(server: Server, tmp_path: Path) -> None:
    server.fill("docs", vectors(300, 16))
    led = models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name="docs", alias_name="all"))
    server.client.update_collection_aliases([led])
    old, ctx = server.picture("docs"), context(server, tmp_path)
    kept = StepSpec("k", "qdrant-snapshot", "q/docs", {"collection": "docs", "bytes": 1}, msg("step"), "q")
    kind = load_kinds().of(kept)
    place = kind.read(kept, ctx)
    kind.do(kept, place, ctx)
    assert kind.verify(kept, place, ctx)["size"] and not server.client.list_snapshots("docs")
    assert Path(str(place["path"])).stat().st_mode & 0o077 == 0
    step = update(server, "docs", m="24")
    collection = load_kinds().of(step)
    before = collection.read(step, ctx)
    collection.do(step, before, ctx)
    collection.verify(step, before, ctx)
    server.client.delete_collection("docs")
    assert not server.client.get_aliases().aliases
    collection.undo(step, before, ctx)
    assert server.picture("docs") == old
    assert [(a.alias_name, a.collection_name) for a in server.client.get_aliases().aliases] == [("all", "docs")]
    kind.undo(kept, place, ctx)
    assert not Path(str(place["path"])).exists() and not ctx.artefacts.list()


# -- the test server ---------------------------------------------------------------------------------------------
def test_requests_and_answers_are_those_of_the_client(server: Server) -> None:
    """Every answer goes through qdrant-client's models; what the server does not know it refuses."""
    server.fill("docs", vectors(50, 8))
    client = server.client
    assert client.collection_exists("docs") and client.count("docs").count == 50
    client.update_collection_aliases(
        [models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name="docs", alias_name="all"))]
    )
    assert client.get_aliases().aliases[0].alias_name == "all" and client.count("all").count == 50
    assert len(client.query_points("docs", query=3, limit=5).points) == 5
    made = client.create_snapshot("docs")
    assert made is not None and [s.name for s in client.list_snapshots("docs")] == [made.name]
    client.delete_snapshot("docs", made.name)
    client.delete("docs", models.PointIdsList(points=[1, 2]))
    assert client.count("docs").count == 48
    with pytest.raises(UnexpectedResponse, match="404"):
        client.get_collection("absent")
    api = connect_qdrant(service(server))
    for method, path, body in [
        ("PATCH", "/collections/docs", {"hnsw": {"m": 8}}),
        ("PATCH", "/collections/docs", {"hnsw_config": {"m": 8, "efconstruct": 8}}),
        ("PATCH", "/collections/docs", {"vectors": {"absent": {"hnsw_config": {"m": 8}}}}),
        ("PATCH", "/collections/docs", {"hnsw_config": {"ef_construct": 2}}),
        ("POST", "/collections/docs/points/query", {"query": 1, "top": 3}),
        ("POST", "/collections/docs/points/search", {"vector": [1.0] * 8, "limit": 3}),
        ("GET", "/absent", None),
    ]:  # fmt: skip
        with pytest.raises(HttpUnreachable) as caught:
            api.send(method, path, body)
        assert caught.value.status in (400, 404, 422), (method, path)
    assert server.hnsw("docs") == (16, 100)


KNOWN = [
    ("HNSW", models.HnswConfigDiff), ("OPTIMIZERS", models.OptimizersConfigDiff), ("VECTOR", models.VectorParams),
    ("VECTOR_DIFF", models.VectorParamsDiff), ("CREATE", models.CreateCollection), ("UPDATE", models.UpdateCollection),
]  # fmt: skip


@pytest.mark.parametrize(("name", "model"), KNOWN)
def test_every_field_that_the_server_takes_is_one_of_the_clients(name: str, model: Any) -> None:
    import ast

    program = (Path(__file__).parents[1] / "stack" / "images" / "qdrant" / "collection.py").read_text()
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(program).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper()
    }
    assert set(values[name]) <= set(model.model_fields)


def test_a_name_without_kb_stops_its_start_as_it_stops_qdrants(tmp_path: Path) -> None:
    name = "QDRANT__STORAGE__HNSW_INDEX__FULL_SCAN_THRESHOLD"
    with (
        pytest.raises(AssertionError, match="duplicate field `full_scan_threshold_kb`"),
        process(tmp_path, free_port(), **{name: "5000"}),
    ):
        pass
    with process(tmp_path, free_port(), **{f"{name}_KB": "5000", "QDRANT__STORAGE__HNSW__M": "64"}) as server:
        server.fill("docs", vectors(5, 4), hnsw_config=None)
        assert server.info("docs").config.hnsw_config.full_scan_threshold == 5000 and server.hnsw("docs") == (16, 100)


def test_data_outlives_a_restart(tmp_path: Path) -> None:
    port = free_port()
    with process(tmp_path, port) as server:
        server.fill("docs", vectors(100, 8))
        old = server.picture("docs")
    with process(tmp_path, port) as server:
        assert server.picture("docs") == old
