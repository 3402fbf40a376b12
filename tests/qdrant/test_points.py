"""How points are asked for and sent: in pieces that fit, and as often as a server lets somebody ask."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from nftui.clients.http import MAX_BYTES, HttpClient, HttpUnreachable
from nftui.clients.qdrant import connect_qdrant
from nftui.model.ai import QdrantFacts
from nftui.model.message import msg
from nftui.model.stack import Container, Role, Service
from nftui.probes.qdrant import probe_qdrant
from nftui.steps import qdrant_points
from nftui.steps.qdrant_points import carry, page_size, points
from tests.engine.shards_world import NEW, OLD, Held, new_shards_world, point


@contextmanager
def answering(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[HttpClient]:
    """A server that gives those answers to requests for points, one after the other, the last one for ever."""
    left = list(answers)

    class Speaking(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, {}, b"{}")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(*(left.pop(0) if len(left) > 1 else left[0]))

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Silent."""

    http = HTTPServer(("127.0.0.1", 0), Speaking)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield connect_qdrant(service(http.server_port))
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def service(port: int, **environment: str) -> Service:
    environment = {"QDRANT__SERVICE__HTTP_PORT": str(port), **environment}
    container = Container("c", "c", "q", 1, "running", None, "i", "i", network_mode="host", environment=environment)
    return Service("q", Role.QDRANT, containers=(container,))


def limited(after: str | None) -> tuple[int, dict[str, str], bytes]:
    """As a strict mode refuses a read (src/actix/helpers.rs)."""
    words = {"status": {"error": "Read rate limit exceeded"}, "time": 0.0}
    return 429, {} if after is None else {"Retry-After": after}, json.dumps(words).encode()


GOOD: tuple[int, dict[str, str], bytes] = (200, {}, b'{"result": {"count": 1}}')


@pytest.mark.parametrize(
    ("answers", "waited"),
    [
        ([GOOD], []),
        ([limited("2"), GOOD], [2]),
        ([limited("0"), limited("20"), limited("39"), GOOD], [1, 20, 39]),
        ([limited("61")], None),
        ([limited("30"), limited("31"), GOOD], None),
        ([limited(None), GOOD], None),
        ([limited("Wed, 21 Oct 2026 07:28:00 GMT"), GOOD], None),
        ([(503, {"Retry-After": "1"}, b""), GOOD], None),
    ],
)
def test_a_limit_of_reads_is_waited_for_as_the_server_says_and_for_a_minute_at_most(
    monkeypatch: pytest.MonkeyPatch, answers: list[tuple[int, dict[str, str], bytes]], waited: list[float] | None
) -> None:
    slept: list[float] = []
    with answering(*answers) as client:
        monkeypatch.setattr(time, "sleep", slept.append)
        if waited is None:
            with pytest.raises(HttpUnreachable) as caught:
                client.send("POST", "/collections/docs/points/count", {})
            assert caught.value.status == answers[0][0] and sum(slept) <= 60
        else:
            assert client.send("POST", "/collections/docs/points/count", {})["result"] == {"count": 1}
            assert slept == waited
        monkeypatch.undo()


def test_an_answer_that_is_too_long_says_so() -> None:
    whole = json.dumps({"result": "x" * (MAX_BYTES - 14)}).encode()
    assert len(whole) == MAX_BYTES
    with answering((200, {}, whole), (200, {}, whole + b" "), (200, {}, b"{")) as client:
        assert len(client.send("POST", "/collections/docs/points", {})["result"]) == MAX_BYTES - 14
        with pytest.raises(HttpUnreachable, match="more than 8 MiB") as caught:
            client.send("POST", "/collections/docs/points", {})
        assert caught.value.cut_off
        with pytest.raises(HttpUnreachable) as caught:
            client.send("POST", "/collections/docs/points", {})
        assert not caught.value.cut_off, "what is no JSON is no reason to ask for less"


class Pages:
    """Four points, of which `fits` fit in an answer."""

    def __init__(self, fits: int, *, cut_off: bool = True) -> None:
        self.fits, self.cut_off = fits, cut_off
        self.limits: list[int] = []

    def send(self, method: str, path: str, body: Any, *, timeout_s: float) -> Any:
        self.limits.append(body["limit"])
        if body["limit"] > self.fits:
            error = HttpUnreachable(msg("JSONDecodeError"))
            error.cut_off = self.cut_off
            raise error
        start = body.get("offset", 0)
        end = min(4, start + body["limit"])
        found = [{"id": n} for n in range(start, end)]
        return {"result": {"points": found, "next_page_offset": end if end < 4 else None}}


def test_a_page_that_is_too_long_is_asked_for_in_halves() -> None:
    pages: Any = Pages(2)
    assert [p["id"] for p in points(pages, "docs", 8)] == [0, 1, 2, 3] and pages.limits == [8, 4, 2, 2]
    for pages in (Pages(0), Pages(2, cut_off=False)):
        with pytest.raises(HttpUnreachable):
            list(points(pages, "docs", 4))


@pytest.mark.parametrize(("each", "requests"), [(10, 1), (3000, 3), (9000, 8)])
def test_a_request_goes_out_before_it_is_larger_than_a_server_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, each: int, requests: int
) -> None:
    assert qdrant_points._SENT_BYTES + MAX_BYTES < 32 * 1024 * 1024, "with one more point, as long as an answer may be"
    monkeypatch.setattr(qdrant_points, "_SENT_BYTES", 8000)
    world = new_shards_world(tmp_path)
    del world.found["app"]
    world.write = lambda: None  # type: ignore[method-assign]
    config = world.collections[OLD].config
    large = {n: {**point(n + 10), "id": n, "payload": {"text": "x" * each}} for n in range(8)}
    world.collections = {OLD: Held(config, large), NEW: Held(config)}  # type: ignore[arg-type]
    done = carry(world.api("q1"), OLD, NEW, 500, world.context())
    assert done.write == 8 and world.collections[NEW].points == large
    assert world.effects == ["PUT points"] * requests


@pytest.mark.parametrize(
    ("size", "strict", "expected"),
    [
        (8, {}, 500), (4096, {}, 81), (1 << 20, {}, 1),
        (8, {"enabled": True, "upsert_max_batchsize": 100}, 100), (8, {"enabled": True, "max_query_limit": 50}, 50),
        (8, {"enabled": False, "upsert_max_batchsize": 100}, 500),
        (8, {"enabled": True, "upsert_max_batchsize": 0}, 500),
        (8, {"enabled": True, "upsert_max_batchsize": None}, 500),
    ],
)  # fmt: skip
def test_a_page_is_what_fits_and_what_a_strict_mode_lets_pass(size: int, strict: dict[str, Any], expected: int) -> None:
    config = {"params": {"vectors": {"size": size, "distance": "Dot"}}, "strict_mode_config": strict}
    assert page_size(config) == expected


@pytest.mark.parametrize(
    ("environment", "optimizes", "threshold"),
    [
        ({}, True, None),
        ({"QDRANT__STORAGE__OPTIMIZERS_OVERWRITE__MAX_OPTIMIZATION_THREADS": "0"}, False, None),
        ({"qdrant__storage__optimizers_overwrite__memmap_threshold_kb": "500"}, True, 500),
        ({"QDRANT__STORAGE__OPTIMIZERS__MEMMAP_THRESHOLD_KB": "500"}, True, None),
    ],
)
def test_what_the_server_puts_over_every_collection_counts(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], optimizes: bool, threshold: int | None
) -> None:
    """GET /collections/NAME tells its own values only (collection/mod.rs, effective_optimizers_config)."""
    params = {"vectors": {"size": 100, "distance": "Dot"}}
    told = {
        "/": {"version": "1.19.0"}, "/collections": {"result": {"collections": [{"name": "docs"}]}},
        "/collections/docs": {"result": {"points_count": 2000, "config": {"params": params, "optimizer_config": {}}}},
    }  # fmt: skip
    monkeypatch.setattr(HttpClient, "status", lambda self, path, plain=False: 200)
    monkeypatch.setattr(HttpClient, "json", lambda self, path: told.get(path, {}))
    live = probe_qdrant(service(1, **environment), None).value
    assert isinstance(live, QdrantFacts)
    (found,) = live.collections
    assert (found.optimizes, found.index.memmap_threshold_kb) == (optimizes, threshold)
    assert found.on_disk is (threshold is not None)
