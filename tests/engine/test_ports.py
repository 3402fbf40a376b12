"""What steps ask of the engine, beside other projects that come and go."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from nftui.engine.ports import EngineLeftovers, ProjectEngine
from nftui.engine.wiring import Wiring
from nftui.model.message import msg
from nftui.system.docker import EngineError
from nftui.system.wrapped import end_server


class Busy:
    """An engine that lists containers which answer, are gone, or fail."""

    def __init__(self, answers: dict[str, dict[str, Any] | EngineError]) -> None:
        self.answers = answers

    def containers(self, label: str | None = None) -> list[dict[str, Any]]:
        return [{"Id": name, "State": "running"} for name in self.answers]

    def inspect(self, container: str) -> dict[str, Any]:
        found = self.answers[container]
        if isinstance(found, EngineError):
            raise found
        return found


def writing(answers: dict[str, dict[str, Any] | EngineError]) -> list[str]:
    wiring = cast("Wiring", SimpleNamespace(engine=Busy(answers)))
    return list(ProjectEngine(wiring).writing("/volumes/data"))


def mounted(source: str, *, writable: bool = True) -> dict[str, Any]:
    return {"Name": "/db", "Mounts": [{"Source": source, "RW": writable}]}


def test_a_container_that_went_away_since_it_was_listed_writes_no_more() -> None:
    gone = EngineError("engine-refused", msg("No such container"), 404)
    assert writing({"other": gone, "db": mounted("/volumes/data/pg")}) == ["db"]


def test_a_container_that_cannot_be_read_may_be_writing() -> None:
    with pytest.raises(EngineError):
        writing({"other": EngineError("engine-refused", msg("too busy"), 500)})


def test_who_only_reads_or_writes_elsewhere_is_not_named() -> None:
    assert writing({"a": mounted("/volumes/data", writable=False), "b": mounted("/volumes/database")}) == []


class HalfMade:
    """An engine in which Compose makes `db` and `web` anew; what was done to it."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def containers(self, label: str | None = None) -> list[dict[str, Any]]:
        return [self.made("db"), self.made("web"), {"Id": "web-old", "Names": ["/p-web-1"], "State": "running"}]

    def made(self, service: str) -> dict[str, Any]:
        labels = {"com.docker.compose.service": service, "com.docker.compose.replace": f"{service}-old"}
        return {"Id": f"{service}-new", "Names": [f"/0123456789ab_p-{service}-1"], "State": "created", "Labels": labels}

    def rename(self, container: str, name: str) -> None:
        self.done.append(f"{container} is {name}")

    def remove(self, container: str) -> None:
        self.done.append(f"{container} is gone")


@pytest.mark.parametrize(("services", "done"), [
    (["db"], ["db-new is p-db-1"]), (["web"], ["web-new is gone"]), (["other"], []), ([], []),
])  # fmt: skip
def test_only_what_was_half_made_of_these_services_is_put_away(services: list[str], done: list[str]) -> None:
    engine = HalfMade()
    wiring = cast("Wiring", SimpleNamespace(engine=engine, stack=SimpleNamespace(name="p")))
    assert len(EngineLeftovers(wiring).sweep(services)) == len(done) and engine.done == done


def test_new_volumes_lie_in_the_engines_own_directory() -> None:
    engine = SimpleNamespace(facts=lambda: SimpleNamespace(data_root="/mnt/docker/"))
    assert ProjectEngine(cast("Wiring", SimpleNamespace(engine=engine))).volumes_root() == "/mnt/docker/volumes"


def ending(host: dict[str, Any], fails: Exception | None = None) -> list[tuple[object, ...]]:
    """What is run in the container when its server is to end."""
    ran: list[tuple[object, ...]] = []

    def run(container: str, argv: list[str], *, timeout: float) -> tuple[int, bytes, bytes]:
        ran.append((container, argv, timeout))
        if fails:
            raise fails
        return 1, b"", b""

    engine = Busy({"c1": {"HostConfig": host}})
    wiring = cast("Wiring", SimpleNamespace(engine=engine, exec=SimpleNamespace(exec=run)))
    ProjectEngine(wiring).end_server("c1", 120)
    return ran


@pytest.mark.parametrize("fails", [None, TimeoutError("late"), FileNotFoundError("docker")])
def test_a_server_that_cannot_be_told_to_end_is_stopped_all_the_same(fails: Exception | None) -> None:
    [(container, argv, timeout)] = ending({"PidMode": ""}, fails)
    assert (container, argv) == ("c1", end_server(120)) and float(str(timeout)) > 120


@pytest.mark.parametrize("mode", ["host", "container:abc"])
def test_no_server_is_told_to_end_where_processes_of_others_are_seen(mode: str) -> None:
    assert not ending({"PidMode": mode})
