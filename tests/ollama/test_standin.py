"""The stand-in behaves as Ollama's scheduler does, by what a client sees; answers are read by the official client."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import ollama
import psutil
import pytest

from nftui.clients.ollama import FOREVER, OllamaClient, OllamaRefused, _own_context, architecture_of
from nftui.model.ai import Model
from nftui.model.stack import Container, Role, Service
from nftui.optimizations.ollama.estimate import Setting, in_runner
from nftui.optimizations.ollama.versions import parse_version
from nftui.steps.ollama_memory import coming, is_pinned
from tests.stack.running import SOURCE, wait_until

PROGRAM = SOURCE / "images" / "ollama"
MIB = 1024**2
SHAPE = {"architecture": "llama", "blocks": 2, "heads": 8, "kv_heads": 8, "width": 512, "context": 8192}
MODELS = {
    **{f"{n}:1": {**SHAPE, "size": 4 * MIB, "capabilities": ["completion"]} for n in ("a", "b", "c", "d")},
    "slow:1": {**SHAPE, "size": 40 * MIB, "capabilities": ["completion"]},
    "e:latest": {**SHAPE, "size": MIB, "capabilities": ["embedding"]},
    "long:1": {**SHAPE, "size": 4 * MIB, "capabilities": ["completion"], "parameters": {"num_ctx": 1024}},
    "twin:1": {**SHAPE, "size": 4 * MIB, "capabilities": ["completion"], "blob": "0123"},
    "twin:2": {**SHAPE, "size": 4 * MIB, "capabilities": ["completion"], "blob": "0123"},
    "lists:1": {**SHAPE, "size": MIB, "blocks": 4, "kv_heads": [0, 0, 0, 2], "capabilities": ["completion"]},
}


@contextmanager
def serving(directory: Path, **environment: str) -> Iterator[str]:
    """The program on loopback, with these variables; yields host:port."""
    (directory / "models.json").write_text(json.dumps(MODELS))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    more = {"OLLAMA_HOST": host, "OLLAMA_MODELS": str(directory), "STANDIN_RUNNER_BYTES": str(8 * MIB),
            "STANDIN_READ_BYTES_PER_S": "200000000", **environment}  # fmt: skip
    program = subprocess.Popen(
        [sys.executable, str(PROGRAM / "ollama.py"), "serve"], env={**os.environ, **more},
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: _listens(host), what="the server")
        yield host
    finally:
        for child in psutil.Process(program.pid).children():
            child.kill()
        program.kill()
        program.wait()


def _listens(host: str) -> bool:
    with suppress(OSError), urlopen(f"http://{host}/", timeout=5) as answer:
        return bool(answer.read() == b"Ollama is running")
    return False


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ollama.Client]]:
    """`start(OLLAMA_…="…")` gives the official client of a new server."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def make(**environment: str) -> ollama.Client:
            client = ollama.Client(host=f"http://{stack.enter_context(serving(tmp_path, **environment))}")
            stack.callback(client._client.close)
            return client

        yield make


Start = Callable[..., ollama.Client]


def held(client: ollama.Client) -> list[str]:
    return sorted(str(m.model) for m in client.ps().models)


def load(client: ollama.Client, *names: str, keep_alive: float | str | None = None) -> None:
    for name in names:
        assert client.generate(name, keep_alive=keep_alive).done_reason == "load"


def test_the_official_client_reads_every_answer(start: Start) -> None:
    client = start()
    assert [m.model for m in client.list().models] == list(MODELS)
    shown = client.show("a:1")
    assert shown.capabilities == ["completion"] and (shown.modelinfo or {})["llama.block_count"] == 2
    answer = client.generate("a:1", prompt="hello", options={"num_predict": 3})
    assert answer.response == "0 1 2 " and answer.eval_count == 3 and (answer.load_duration or 0) > 0
    parts = list(client.generate("a:1", prompt="hello", stream=True, options={"num_predict": 3}))
    assert [p.response for p in parts] == ["0 ", "1 ", "2 ", ""] and parts[-1].done
    assert len(client.embed("e", input=["x", "y"]).embeddings) == 2
    (first, *_) = client.ps().models
    assert first.context_length == 4096 and first.expires_at is not None


def test_the_victim_is_the_shortest_keep_alive_and_not_the_least_used(start: Start) -> None:
    client = start(OLLAMA_MAX_LOADED_MODELS="2")
    load(client, "a:1", keep_alive=3600)
    load(client, "b:1", keep_alive=60)
    client.generate("b:1", prompt="used last", options={"num_predict": 1})
    load(client, "c:1", keep_alive=600)
    assert held(client) == ["a:1", "c:1"]


def test_pinned_models_go_last_but_they_go(start: Start) -> None:
    client = start(OLLAMA_MAX_LOADED_MODELS="1")
    load(client, "a:1", keep_alive=FOREVER)
    load(client, "b:1")
    assert held(client) == ["b:1"]


def test_a_keep_alive_ends_and_a_request_without_one_keeps_it(start: Start) -> None:
    client = start(OLLAMA_KEEP_ALIVE="1s")
    load(client, "a:1")
    load(client, "b:1", keep_alive=FOREVER)
    client.generate("b:1", prompt="no word of how long", options={"num_predict": 1})
    wait_until(lambda: held(client) == ["b:1"], seconds=10, what="the end of a:1")
    load(client, "b:1", keep_alive=0.2)
    wait_until(lambda: held(client) == [], seconds=10, what="the end of b:1")


def test_other_options_mean_another_load(start: Start) -> None:
    client = start()
    first = client.generate("slow:1", prompt="x", options={"num_predict": 1})
    same = client.generate("slow:1", prompt="x", options={"num_predict": 2, "temperature": 0.1})
    other = client.generate("slow:1", prompt="x", options={"num_predict": 1, "num_ctx": 2048})
    loads = [bool(a.load_duration) for a in (first, same, other)]
    assert loads == [True, False, True]
    assert [m.context_length for m in client.ps().models] == [2048]


def test_a_models_own_context_beats_the_variable_and_a_request_beats_it(start: Start) -> None:
    client = start(OLLAMA_CONTEXT_LENGTH="2048")
    load(client, "long:1", "a:1")
    assert {m.model: m.context_length for m in client.ps().models} == {"long:1": 1024, "a:1": 2048}
    client.generate("long:1", options={"num_ctx": 512})
    assert {m.model: m.context_length for m in client.ps().models} == {"long:1": 512, "a:1": 2048}


def test_a_file_is_in_memory_once_by_the_name_that_it_was_loaded_by(start: Start) -> None:
    client = start()
    load(client, "twin:1", "twin:2", "a:1")
    assert held(client) == ["a:1", "twin:1"]
    client.generate("twin:2", keep_alive=0)
    assert held(client) == ["a:1"]


def test_where_its_memory_is_told_it_unloads_one_for_another(start: Start) -> None:
    client = start(STANDIN_MEMORY_BYTES=str(70 * MIB))
    load(client, "a:1", keep_alive=FOREVER)
    load(client, "b:1")
    assert held(client) == ["a:1", "b:1"]
    load(client, "slow:1", keep_alive=FOREVER)
    assert held(client) == ["slow:1"], "the first is loaded as it is, and each other only where it fits"


def test_a_load_without_a_question_tells_no_time(start: Start) -> None:
    answer = start().generate("a:1")
    assert (answer.done_reason, answer.load_duration, answer.total_duration) == ("load", None, None)


def test_a_model_in_use_is_finished_before_it_goes(start: Start) -> None:
    client = start(OLLAMA_MAX_LOADED_MODELS="1")
    found: list[str | None] = []

    def answer() -> None:
        found.append(client.generate("a:1", prompt="long", options={"num_predict": 200}).response)

    thread = threading.Thread(target=answer)
    load(client, "a:1")
    thread.start()
    time.sleep(0.2)
    load(client, "b:1")
    thread.join()
    assert str(found[0]).endswith("199 ") and held(client) == ["b:1"]


def test_it_holds_as_much_memory_as_it_says(start: Start, tmp_path: Path) -> None:
    client = start(OLLAMA_NUM_PARALLEL="2")
    load(client, "slow:1")
    (model,) = client.ps().models
    own = next(
        p for p in psutil.process_iter(["cmdline"]) if (p.info["cmdline"] or [])[-2:] == ["runner", str(model.size)]
    )
    assert model.size == 40 * MIB + 8192 * 2 * 2 * 8 * 64 * 2 + 8 * MIB
    assert own.memory_info().rss >= model.size


@pytest.mark.parametrize(("parallel", "context"), [("1", 4096), ("2", 8192)])
def test_nftuis_estimate_is_within_15_percent_of_what_a_model_takes(
    tmp_path: Path, parallel: str, context: int
) -> None:
    """Estimated from what the API tells, measured as the memory of the process."""
    with serving(
        tmp_path, OLLAMA_NUM_PARALLEL=parallel, OLLAMA_CONTEXT_LENGTH=str(context), STANDIN_RUNNER_BYTES=""
    ) as host:
        asked = client_of(host)
        stored = {m.name: m for m in asked.stored()}
        model = asked.show("slow:1").of(stored["slow:1"])
        asked.load(model, FOREVER, {}, 20)
        (held,) = asked.loaded()
        own = next(p for p in psutil.process_iter(["cmdline"])
                   if (p.info["cmdline"] or [])[-2:] == ["runner", str(held.size)])  # fmt: skip
        setting = Setting(context, int(parallel), version=parse_version(asked.version()))
        estimate, measured = in_runner(model, setting), own.memory_info().rss
        assert abs(estimate - measured) <= 0.15 * measured, (estimate, measured)


def test_a_full_queue_is_refused(start: Start) -> None:
    client = start(OLLAMA_MAX_LOADED_MODELS="1", OLLAMA_MAX_QUEUE="1", STANDIN_READ_BYTES_PER_S="20000000")
    threads = [threading.Thread(target=load, args=(client, "slow:1"))]
    threads[0].start()
    time.sleep(0.3)
    with pytest.raises(ollama.ResponseError, match="server busy") as caught:
        client.generate("a:1")
    assert caught.value.status_code == 503
    threads[0].join()


@pytest.mark.parametrize(
    ("path", "request_", "status", "said"),
    [
        ("/api/generate", {"model": "e"}, 400, "does not support generate"),
        ("/api/embed", {"model": "a:1", "input": "x"}, 400, "does not support embeddings"),
        ("/api/generate", {"model": "zzz"}, 404, "model 'zzz:latest' not found"),
        ("/api/generate", {"model": "a:1", "keep_alive": "-1"}, 400, "missing unit in duration"),
        ("/api/generate", {"model": "a:1", "max_tokens": 3}, 400, "unknown field max_tokens"),
        ("/api/generate", {"model": "a:1", "options": {"ctx": 3}}, 400, "unknown option ctx"),
        ("/metrics", {}, 404, "page not found"),
    ],
)
def test_what_the_real_one_does_not_take_is_refused(
    tmp_path: Path, path: str, request_: dict[str, object], status: int, said: str
) -> None:
    with serving(tmp_path) as host:
        with pytest.raises(HTTPError) as caught:
            urlopen(Request(f"http://{host}{path}", json.dumps(request_).encode()), timeout=10)
        with caught.value as answer:
            assert answer.code == status and said in answer.read().decode()


# -- nftui's own client -------------------------------------------------------------------------------------------
@pytest.fixture
def mine(tmp_path: Path) -> Iterator[OllamaClient]:
    with serving(tmp_path, OLLAMA_KEEP_ALIVE="2m") as host:
        yield client_of(host)


def client_of(host: str) -> OllamaClient:
    container = Container("c", "c", "s", 1, "running", None, "i", "i", network_mode="host")
    return OllamaClient(Service("s", Role.OLLAMA, environment={"OLLAMA_HOST": host}, containers=(container,)))


def test_chat_and_embedding_models_are_each_loaded_in_their_way(mine: OllamaClient) -> None:
    stored = {m.name: m for m in mine.stored()}
    for name in ("a:1", "e:latest"):
        model = mine.show(name).of(stored[name])
        mine.load(model, FOREVER, {}, 10)
        assert [is_pinned(m) for m in mine.loaded() if m.name == name] == [True]
        mine.unload(model, 10)
        assert name not in {m.name for m in mine.loaded()}


@pytest.mark.parametrize("version", ["0.12.3", "0.3.10", "0.1.48"])
def test_every_server_lets_go_of_every_kind_of_model(tmp_path: Path, version: str) -> None:
    with serving(tmp_path, STANDIN_VERSION=version) as host:
        mine = client_of(host)
        for model in (Model("a:1", 0, capabilities=("completion",)), Model("e:latest", 0, capabilities=("embedding",))):
            mine.load(model, FOREVER, {"num_ctx": 1024}, 10)
            assert [m.name for m in mine.loaded()] == [model.name]
            mine.unload(model, 10)
            assert mine.loaded() == ()


def test_a_model_is_not_loaded_again_to_be_let_go_of(tmp_path: Path) -> None:
    """Whatever options it was loaded with: its megabyte takes a second to read here."""
    with serving(tmp_path, STANDIN_READ_BYTES_PER_S="1000000") as host:
        mine, model = client_of(host), Model("e:latest", 0, capabilities=("embedding",))
        mine.load(model, FOREVER, {"num_ctx": 1024}, 10)
        mine.unload(model, 0.7)
        assert mine.loaded() == ()


def test_the_answer_that_loads_a_model_is_the_cold_one_and_says_how_long_it_stays(mine: OllamaClient) -> None:
    """40 MiB at 200 MB/s, and then nothing to load."""
    cold = mine.ask("slow:1", "x", 2, {}, 10, FOREVER)
    warm = mine.ask("slow:1", "x", 2, {}, 10)
    assert cold.first > cold.load > 0.2 > warm.first and warm.load == 0
    assert [is_pinned(m) for m in mine.loaded()] == [True], "a question without a time leaves it as it is"
    first, again = mine.embed("e:latest", "x", {}, 10, FOREVER), mine.embed("e:latest", "y", {}, 10)
    assert first.first == first.total > first.load > again.load == 0 and again.first > 0
    assert all(is_pinned(m) for m in mine.loaded())


def test_a_model_of_which_nothing_is_known_is_embedded_with_where_the_server_says_so(mine: OllamaClient) -> None:
    """Servers before 0.6.4 do not tell what a model can."""
    mine.load(Model("e:latest", 0), FOREVER, {}, 10)
    assert [m.name for m in mine.loaded()] == ["e:latest"]
    with pytest.raises(OllamaRefused, match="not found"):
        mine.load(Model("zzz:1", 0), FOREVER, {}, 10)


@pytest.mark.parametrize("options", [{"use_mmap": False}, {"main_gpu": 1, "num_batch": 256}])
def test_what_was_loaded_with_an_option_is_warm_for_who_sends_it(mine: OllamaClient, options: dict[str, int]) -> None:
    said = [mine.ask("slow:1", "x", 1, sent, 10) for sent in (options, options, {})]
    embedded = [mine.embed("e:latest", "x", sent, 10) for sent in (options, options, {})]
    assert [bool(a.load) for a in (*said, *embedded)] == [True, False, True] * 2
    with pytest.raises(OllamaRefused, match='"use_mmap" must be of type boolean'):
        mine.embed("e:latest", "x", {"use_mmap": 0}, 10)


def test_what_is_being_loaded_is_listed_and_known_for_it(tmp_path: Path) -> None:
    with serving(tmp_path, STANDIN_READ_BYTES_PER_S="40000000") as host:
        mine, model = client_of(host), Model("slow:1", 0, capabilities=("completion",))
        mine.load(Model("a:1", 0, capabilities=("completion",)), FOREVER, {}, 10)
        thread = threading.Thread(target=mine.load, args=(model, FOREVER, {}, 20))
        thread.start()
        wait_until(lambda: len(mine.loaded()) == 2, seconds=5, what="its listing")
        assert coming(mine) == {"slow:1"} and all(is_pinned(m) for m in mine.loaded())
        thread.join()
        assert coming(mine) == set() and len(mine.loaded()) == 2


def test_names_of_one_file_tell_it_and_a_models_own_context_is_read(mine: OllamaClient) -> None:
    one, other, long = (mine.show(name) for name in ("twin:1", "twin:2", "long:1"))
    assert (one.blob, other.blob, long.blob == one.blob) == ("sha256-0123", "sha256-0123", False)
    assert (one.own_context, long.own_context) == (None, 1024)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('stop                           "<|end|>"\nnum_ctx                        32768', 32768),
        ("num_ctx                        1.048576e+06\ntemperature                    0.5", 1048576),
        ('stop                           "num_ctx 7"', None), ("", None), (None, None), ("num_ctx   0", None),
        ("num_ctx   much", None),
    ],
)  # fmt: skip
def test_a_models_own_context_is_read_as_the_server_prints_it(text: object, expected: int | None) -> None:
    assert _own_context(text) == expected


def test_heads_of_each_layer_are_asked_for_with_everything(mine: OllamaClient) -> None:
    """A model that attends in each fourth layer only: without its list its cache would count 64 times."""
    architecture = mine.show("lists:1").architecture
    assert architecture is not None and architecture.kv_heads == (0, 0, 0, 2)
    told = {"general.architecture": "x", "x.block_count": 4, "x.attention.head_count": 8, "x.embedding_length": 512,
            "x.context_length": 8192, "x.attention.head_count_kv": None}  # fmt: skip
    assert architecture_of(told) is None, "what is not told is not guessed"


def test_a_server_before_the_newer_route_embeds_by_the_older_one(tmp_path: Path) -> None:
    with serving(tmp_path, STANDIN_VERSION="0.1.48") as host:
        mine = client_of(host)
        model = Model("e:latest", 0, capabilities=("embedding",))
        assert mine.embed(model.name, "x", {}, 10, FOREVER).load > 0, "its answer tells no times"
        assert [is_pinned(m) for m in mine.loaded()] == [True]


def test_a_model_that_embeds_is_known_by_its_family_where_nothing_else_is_told() -> None:
    assert Model("e", 1, family="nomic-bert").embeds and not Model("c", 1, family="llama").embeds


def test_an_answer_tells_the_first_token_and_the_speed(mine: OllamaClient) -> None:
    cold, warm = (mine.ask("slow:1", f"Count {n}", 8, {}, 10) for n in range(2))
    assert cold.load > 0 and warm.load == 0 and cold.first > warm.first > 0
    assert warm.tokens == 8 and 100 < (warm.tokens_per_second or 0) < 400


def test_an_error_is_the_servers_own_words(mine: OllamaClient) -> None:
    with pytest.raises(OllamaRefused, match="not found"):
        mine.ask("zzz:1", "x", 1, {}, 10)
