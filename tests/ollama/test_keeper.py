"""The keeper's own program, in bash, beside the stand-in: what stays, what goes by last use, what is left alone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from nftui.optimizations.ollama.keeper_script import HEALTHCHECK, HEARTBEAT, SCRIPT

pytestmark = pytest.mark.timeout(120)
PROGRAM = Path(__file__).parents[1] / "stack" / "images" / "ollama" / "ollama.py"
CHAT = {"size": 1_000_000, "architecture": "llama", "blocks": 1, "heads": 1, "kv_heads": 1, "width": 2,
        "context": 4096, "capabilities": ["completion"]}  # fmt: skip
EMBED = {**CHAT, "capabilities": ["embedding"]}
NAMES = ("a:1b", "b:1b", "c:1b", "d:1b")
TWINS = ("twin:1", "twin:2")
"""Names of one file."""
MODELS: dict[str, dict[str, object]] = {
    **dict.fromkeys(NAMES, CHAT), "embed:latest": EMBED, **{name: {**CHAT, "blob": "0123"} for name in TWINS},
}  # fmt: skip
EACH = 1_000_000 + 4096 * 8
"""What a loaded one takes, beside the buffers, of which the test's server has none."""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Bed:
    """A server with small models, and a keeper beside it."""

    place: Path
    places: int = 3
    version: str = "0.12.3"
    memory: int = 0
    """Bytes that the server thinks it has for models; it unloads one for another. 0: it does not look."""
    models: dict[str, dict[str, object]] = field(default_factory=lambda: dict(MODELS))
    port: int = field(default_factory=free_port)
    server: subprocess.Popen[bytes] | None = None
    keeper: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        (self.place / "models.json").write_text(json.dumps(self.models))
        environment = {
            **os.environ, "OLLAMA_HOST": f"127.0.0.1:{self.port}", "OLLAMA_MODELS": str(self.place),
            "OLLAMA_MAX_LOADED_MODELS": str(self.places), "OLLAMA_KEEP_ALIVE": "24h", "STANDIN_RUNNER_BYTES": "0",
            "STANDIN_VERSION": self.version, "STANDIN_MEMORY_BYTES": str(self.memory),
        }  # fmt: skip
        self.server = subprocess.Popen(
            [sys.executable, str(PROGRAM), "serve"], env=environment, stderr=subprocess.DEVNULL
        )
        wait(self.answers)

    def stop(self) -> None:
        assert self.server
        self.server.terminate()
        self.server.wait()

    def answers(self) -> bool:
        try:
            self.held()
        except OSError:
            return False
        return True

    def watch(self, *stay: str, order: str = "lru", room: int = 0, idle: int = 2) -> None:
        client = self.place / "ollama"
        client.write_text(f'#!/bin/sh\nexec {sys.executable} {PROGRAM} "$@"\n')
        client.chmod(0o755)
        environment = {
            **os.environ, "PATH": f"{self.place}:{os.environ['PATH']}", "OLLAMA_HOST": f"127.0.0.1:{self.port}",
            "NFTUI_HOST": "127.0.0.1", "NFTUI_PORT": str(self.port), "NFTUI_POLL_S": "1",
            "NFTUI_TRUST_S": "60", "NFTUI_LOAD_S": "60", "NFTUI_KEEP_ALIVE": "-1", "NFTUI_PLACES": str(self.places),
            "NFTUI_ROOM": str(room), "NFTUI_ORDER": order, "NFTUI_IDLE_S": str(idle), "NFTUI_MEASURE": "size",
            "NFTUI_MODELS": "\n".join(f"{name} {EACH} {{}}" for name in stay),
        }  # fmt: skip
        script = SCRIPT.replace(HEARTBEAT, str(self.place / "until"))
        with (self.place / "log").open("wb") as log:
            self.keeper = subprocess.Popen(["bash", "-c", script], env=environment, stdout=log, stderr=log)

    def log(self) -> str:
        return (self.place / "log").read_text()

    def healthy(self) -> bool:
        check = HEALTHCHECK.replace(HEARTBEAT, str(self.place / "until"))
        return subprocess.run(["bash", "-c", check], capture_output=True).returncode == 0

    def noticed(self) -> None:
        """Until the keeper has looked twice: what is used from now on was used later."""
        for _ in range(2):
            before = self._until()
            wait(lambda before=before: self._until() != before)  # type: ignore[misc]

    def _until(self) -> str:
        place = self.place / "until"
        return place.read_text() if place.exists() else ""

    def call(self, path: str, **request: object) -> Any:
        url = f"http://127.0.0.1:{self.port}{path}"
        with urlopen(Request(url, json.dumps(request).encode()), timeout=60) as answer:
            return json.load(answer)

    def use(self, name: str, tokens: int = 1) -> None:
        """As an app does; how long it took to answer is the server's business."""
        self.call("/api/generate", model=name, prompt="x", stream=False, options={"num_predict": tokens})

    def held(self) -> dict[str, bool]:
        """Name to whether it stays for good."""
        with urlopen(f"http://127.0.0.1:{self.port}/api/ps", timeout=10) as answer:
            return {m["name"]: m["expires_at"] > "2200" for m in json.load(answer)["models"]}


def wait(what: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.1)


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    found = Bed(tmp_path)
    found.start()
    try:
        yield found
    finally:
        for process in (found.keeper, found.server):
            if process:
                process.kill()
                process.wait()


def test_the_one_used_least_recently_goes_before_the_server_has_to_choose(bed: Bed) -> None:
    """By its own order the server would let one go by the name of its file, whoever was used last."""
    bed.watch()
    for name in ("a:1b", "b:1b", "a:1b"):
        bed.use(name)
        bed.noticed()
    bed.use("c:1b")
    wait(lambda: len(bed.held()) == 2)
    assert set(bed.held()) == {"a:1b", "c:1b"} and "unloading b:1b: the next model needs a place" in bed.log()
    bed.use("d:1b")
    wait(lambda: len(bed.held()) == 2)
    assert set(bed.held()) == {"c:1b", "d:1b"}
    assert bed.healthy()


@pytest.mark.parametrize(
    ("more", "asked_for"),
    [
        ({"a:latest": {**CHAT, "copy_of": "a:1b"}, "big:cloud": {**CHAT, "size": 300, "remote": True}}, False),
        ({"d:1b": CHAT}, True),
    ],
)
def test_a_place_is_freed_only_where_there_is_a_model_that_could_come(
    bed: Bed, more: dict[str, dict[str, object]], asked_for: bool
) -> None:
    """Another name of one that is in memory needs no place of its own, and one in a cloud none at all."""
    bed.stop()
    bed.models = {**dict.fromkeys(NAMES[:3], CHAT), **more}
    bed.start()
    bed.watch(idle=1)
    for name in NAMES[:3]:
        bed.use(name)
    for _ in range(3):
        bed.noticed()
    if asked_for:
        wait(lambda: len(bed.held()) == 2)
    assert ("unloading" in bed.log()) is asked_for and len(bed.held()) == (2 if asked_for else 3)


def test_what_is_to_stay_is_loaded_each_in_its_way_and_never_goes(bed: Bed) -> None:
    bed.watch("a:1b", "embed:latest", order="server")
    wait(lambda: bed.held() == {"a:1b": True, "embed:latest": True})
    bed.noticed()  # the second is listed while it is being loaded
    bed.call("/api/generate", model="a:1b", keep_alive=0)
    wait(lambda: bed.held() == {"a:1b": True, "embed:latest": True})
    for name in ("b:1b", "c:1b"):
        bed.use(name)
    wait(lambda: set(bed.held()) >= {"a:1b", "embed:latest"})
    assert bed.log().count("loading a:1b, which is to stay") == 2


def test_a_server_before_the_newer_route_gets_its_word_to_embed_by_the_older_one(bed: Bed) -> None:
    bed.stop()
    bed.version = "0.1.48"
    bed.start()
    bed.watch("embed:latest", order="server")
    wait(lambda: bed.held() == {"embed:latest": True})


def test_guests_make_room_for_what_is_to_stay_and_never_more_is_loaded_than_fits(bed: Bed) -> None:
    for name in ("b:1b", "c:1b"):
        bed.use(name)
    bed.watch("a:1b", room=2 * EACH + 1000)
    wait(lambda: "a:1b" in bed.held())
    assert len(bed.held()) == 2 and "room is needed for a:1b" in bed.log()
    bed.noticed()
    bed.use(next(name for name in bed.held() if name != "a:1b"))
    bed.noticed()  # now the one that is to stay was used least recently
    bed.use("d:1b")
    wait(lambda: len(bed.held()) == 2)
    assert bed.held()["a:1b"] and "are there for models" in bed.log() and "unloading a:1b" not in bed.log()


def test_without_an_order_by_use_it_waits_rather_than_go_over_the_budget(bed: Bed) -> None:
    bed.use("b:1b")
    bed.watch("a:1b", "c:1b", order="server", room=2 * EACH + 1000)
    wait(lambda: "c:1b has to wait" in bed.log())
    assert set(bed.held()) == {"a:1b", "b:1b"} and bed.log().count("has to wait") == 1
    bed.call("/api/generate", model="b:1b", keep_alive=0)
    wait(lambda: bed.held() == {"a:1b": True, "c:1b": True})


def test_what_is_at_work_answers_to_its_end(bed: Bed) -> None:
    bed.watch(idle=1)
    found: list[int] = []

    def long() -> None:
        bed.use("b:1b", 1500)
        found.append(1500)

    bed.use("b:1b")
    bed.noticed()
    work = threading.Thread(target=long)
    work.start()
    for name in ("a:1b", "c:1b"):
        bed.use(name)
    wait(lambda: len(bed.held()) == 2)
    work.join()
    assert found == [1500] and "unloading b:1b" in bed.log()


def test_a_restart_of_the_server_brings_back_what_was_in_memory_the_last_used_first(bed: Bed) -> None:
    bed.watch("embed:latest", idle=600)
    wait(lambda: "embed:latest" in bed.held())
    for name in ("a:1b", "b:1b"):
        bed.use(name)
        bed.noticed()
    bed.stop()
    bed.start()
    # A place stays free for whoever is asked for next: of the two guests the later one comes.
    wait(lambda: set(bed.held()) == {"embed:latest", "b:1b"})
    assert "loading b:1b again" in bed.log() and "loading a:1b again" not in bed.log()


def test_a_server_that_does_not_answer_is_waited_for(bed: Bed) -> None:
    bed.stop()
    bed.watch("a:1b")
    wait(lambda: "no answer from 127.0.0.1" in bed.log())
    assert not bed.healthy()
    bed.start()
    wait(lambda: bed.held() == {"a:1b": True} and bed.healthy())
    assert bed.log().count("no answer") == 1


def test_a_model_that_cannot_be_loaded_is_told_of_in_the_servers_words_and_not_again_at_once(bed: Bed) -> None:
    bed.watch("absent:7b", "a:1b")
    wait(lambda: "a:1b" in bed.held())
    bed.noticed()
    bed.noticed()
    assert bed.log().count("absent:7b could not be loaded") == 1 and "model 'absent:7b' not found" in bed.log()


def test_a_name_whose_file_is_held_by_another_name_is_not_loaded_again_and_again(bed: Bed) -> None:
    bed.use("twin:1")
    bed.watch("twin:2", "a:1b", order="server")
    wait(lambda: bed.held() == {"twin:1": True, "a:1b": True})
    for _ in range(3):
        bed.noticed()
    assert bed.log().count("loading twin:2") == 1 and bed.log().count("twin:2 is not listed although") == 1
    assert "a:1b is not listed" not in bed.log()


def test_models_that_the_server_unloads_for_each_other_are_not_fought_over(bed: Bed) -> None:
    bed.stop()
    bed.memory = EACH + 1000
    bed.start()
    bed.watch("a:1b", "b:1b", order="server")
    wait(lambda: bed.held() == {"b:1b": True})
    for _ in range(3):
        bed.noticed()
    assert bed.log().count("loading a:1b") == bed.log().count("loading b:1b") == 1
    assert bed.log().count("a:1b left memory when b:1b was loaded") == 1 and "b:1b left" not in bed.log()


def test_what_a_restart_takes_is_no_reason_to_wait(bed: Bed) -> None:
    bed.stop()
    bed.memory = EACH + 1000
    bed.start()
    bed.watch("a:1b", "b:1b", order="server")
    wait(lambda: bed.held() == {"b:1b": True} and "left memory" in bed.log())
    bed.stop()
    bed.memory = 0
    bed.start()
    wait(lambda: bed.held() == {"a:1b": True, "b:1b": True})


def test_a_wait_doubles_up_to_an_hour() -> None:
    functions = SCRIPT[SCRIPT.index("hold_off()") : SCRIPT.index("weigh()")]
    line = "for _ in 1 2 3 4 5 6 7 8 9; do hold_off a why >&2; echo $((retry[a] - now)); done"
    script = f"declare -A pause retry; now=1000\n{functions}\n{line}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["60", "120", "240", "480", "960", "1920", "3600", "3600", "3600"]
    assert done.stderr.count("a why; not loaded again for 60 s") == 1
