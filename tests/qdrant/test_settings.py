"""Settings that stand in a mounted configuration alone: one reader for the way to it, the advice and the check."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nftui.clients.qdrant import connect_qdrant, overwritten, snapshot_places
from nftui.clients.qdrant_settings import configurations, in_force
from nftui.model.ai import QdrantFacts
from nftui.model.facts import Live
from nftui.model.stack import Container, MountSpec, Role, Service
from nftui.optimizations.qdrant import OPTIMIZATION
from nftui.optimizations.qdrant.knobs import ID
from nftui.probes.qdrant import probe_qdrant
from tests.qdrant.test_advice import advice, collection, facts
from tests.stack.standins import QDRANT, serve

PRODUCTION = """
log_level: INFO
service: {api_key: not-a-real-key, http_port: PORT}
storage:
  storage_path: /qdrant/data
  snapshots_path: /copies
  temp_path: ./work
  hnsw_index: {m: 24, full_scan_threshold: 5000}
  optimizers_overwrite: {indexing_threshold_kb: 1000}
  snapshots_config: {s3_config: {secret_key: not-a-real-secret}}
"""


def service(directory: Path, files: dict[str, str], *command: str, **environment: str) -> Service:
    """Running, with those files as its directory of configurations."""
    (directory / "conf").mkdir()
    for name, text in files.items():
        (directory / "conf" / name).write_text(text)
    mounts = [("conf", "/qdrant/config"), ("copies", "/copies"), ("work", "/qdrant/work")]
    container = Container(
        "c", "c", "s", 1, "running", None, "i", "i", network_mode="host", environment=environment, command=command,
        mounts=tuple(MountSpec("bind", n, t, host_path=str(directory / n)) for n, t in mounts),
    )  # fmt: skip
    return Service("s", Role.QDRANT, environment=environment, containers=(container,))


def test_a_key_a_port_and_a_threshold_are_read_where_they_stand(tmp_path: Path) -> None:
    with serve(QDRANT, "not-a-real-key") as port:
        one = service(tmp_path, {"production.yaml": PRODUCTION.replace("PORT", str(port))})
        live = probe_qdrant(one, None)
        assert connect_qdrant(one).json("/collections")["status"] == "ok"
    assert isinstance(live.value, QdrantFacts) and not live.value.open
    assert overwritten(one) == {"indexing_threshold": 1000}
    assert live.value.collections[0].indexing_threshold_kb == 1000
    # No key or secret of it goes into what is told.
    assert live.value.configured == {
        "QDRANT__STORAGE__HNSW_INDEX__M": "24", "QDRANT__STORAGE__HNSW_INDEX__FULL_SCAN_THRESHOLD": "5000",
        "QDRANT__STORAGE__STORAGE_PATH": "/qdrant/data",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("files", "command", "environment", "expected"),
    [
        ({"config.yaml": "a: {b: 1}", "production.yaml": "a: {b: 2}"}, (), {}, "2"),
        ({"production.yaml": "a: {b: 2}", "local.yaml": "a: {b: 3}"}, (), {}, "3"),
        ({"production.yaml": "a: {b: 2}", "test.yaml": "a: {b: 4}"}, (), {"RUN_MODE": "test"}, "4"),
        ({"local.yaml": "a: {b: 3}", "own.yaml": "a: {b: 5}"}, ("--config-path", "config/own.yaml"), {}, "5"),
        ({"own.json": '{"a": {"b": 5}}'}, ("--config-path=/qdrant/config/own.json",), {}, "5"),
        ({"local.yaml": "a: {b: 3}"}, (), {"qdrant__A__b": "6"}, "6"),
        ({"local.yaml": "a: {b: 3}"}, (), {"QDRANT__A__B": ""}, "3"),
        ({"local.yaml": "a: [", "production.yaml": "7"}, (), {}, None),
        ({"local.yaml": "a: {b: null}"}, (), {}, None),
    ],
)  # fmt: skip
def test_what_comes_later_wins_and_the_environment_last(
    tmp_path: Path, files: dict[str, str], command: tuple[str, ...], environment: dict[str, str], expected: str | None
) -> None:
    found = service(tmp_path, files, *command, **environment)
    assert in_force(found).get("QDRANT__A__B") == expected
    quiet = tuple(
        replace(c, environment={k: v for k, v in environment.items() if k == "RUN_MODE"}) for c in found.containers
    )
    assert in_force(replace(found, containers=quiet)).get("QDRANT__A__B") == expected


def test_each_place_is_looked_at_once(tmp_path: Path) -> None:
    same = replace(service(tmp_path, {}), command=("--config-path", "config/local.yaml"))
    places = configurations(same)
    assert len(places) == len(set(places)) and "/qdrant/config/local.yaml" in places


@pytest.mark.parametrize(
    ("text", "environment", "names"),
    [
        (PRODUCTION, {}, ["copies", "work"]), ("", {}, ["root"]),
        (PRODUCTION, {"QDRANT__STORAGE__SNAPSHOTS_PATH": "/elsewhere"}, ["root", "work"]),
        ("storage: {snapshots_path: /copies, temp_path: /copies/tmp}", {}, ["copies"]),
    ],
)  # fmt: skip
def test_where_snapshots_are_made_and_worked_on(
    tmp_path: Path, text: str, environment: dict[str, str], names: list[str]
) -> None:
    one = service(tmp_path, {"production.yaml": text}, **environment)
    assert snapshot_places(one, str(tmp_path / "root")) == tuple(str(tmp_path / name) for name in names)
    assert snapshot_places(replace(one, containers=()), "") == ()


def with_configured(found: Any, **configured: str) -> Any:
    live = QdrantFacts("1.15.0", (collection(50_000),), configured=configured)
    return replace(found, live={("vectors", ID): Live(ID, "vectors", live)})


def test_what_a_configuration_says_is_the_operators_own_and_kept(tmp_path: Path) -> None:
    found = with_configured(
        facts(tmp_path), QDRANT__STORAGE__HNSW_INDEX__M="24", QDRANT__STORAGE__HNSW_INDEX__FULL_SCAN_THRESHOLD="5000"
    )
    lines = advice(found)
    assert [(lines[k].current, lines[k].value, lines[k].kept) for k in ("m", "full_scan_threshold")] == [
        ("24", "24", True), ("5000", "5000", True),
    ]  # fmt: skip
    assert lines["ef_construct"].value == "128"
    said = facts(tmp_path, env="{QDRANT__STORAGE__HNSW_INDEX__M: '32'}")
    assert advice(with_configured(said, QDRANT__STORAGE__HNSW_INDEX__M="24"))["m"].value == "32"


def test_a_storage_that_a_configuration_moves_off_its_volume_is_refused(tmp_path: Path) -> None:
    good, moved = facts(tmp_path), with_configured(facts(tmp_path), QDRANT__STORAGE__STORAGE_PATH="/elsewhere")
    assert OPTIMIZATION.applies(good).applicable
    found = OPTIMIZATION.applies(moved)
    assert not found.applicable and "would lose them" in str(found.reason)


def test_a_cluster_that_only_its_configuration_tells_of_is_one(tmp_path: Path) -> None:
    """A key that may not ask for /cluster tells of none."""
    found = OPTIMIZATION.applies(with_configured(facts(tmp_path), QDRANT__CLUSTER__ENABLED="True"))
    assert not found.applicable and "node of a cluster" in str(found.reason)


@pytest.mark.parametrize("path", ["/cluster", "/aliases"])
def test_a_cluster_or_aliases_that_are_not_told_are_unknown(tmp_path: Path, path: str) -> None:
    """Taken for alone, a node's index would be changed behind a snapshot that holds a part of it."""
    with serve({**QDRANT, path: "no JSON"}) as port:
        live = probe_qdrant(service(tmp_path, {"local.yaml": f"service: {{http_port: {port}}}"}), None)
    assert live.value is None and path in str(live.error)
