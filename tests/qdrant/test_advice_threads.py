"""Threads and segments are left to Qdrant, which counts the CPUs of its container; what is beyond them is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.model.advice import Advice
from nftui.model.facts import Facts
from nftui.optimizations.qdrant import OPTIMIZATION
from tests.qdrant.test_advice import advice, collection, facts

NAMES = ("search_threads", "optimizer_cpus", "indexing_threads", "segments")
INDEXING = "QDRANT__STORAGE__HNSW_INDEX__MAX_INDEXING_THREADS"


def on_host(found: Facts, logical: int | None) -> Facts:
    return replace(found, host=replace(found.host, cpu=replace(found.host.cpu, logical=logical)))


def lines(tmp_path: Path, *sets: str, more: str = "    cpus: 2", host: int | None = 64, env: str = "{}",
          version: str = "1.15.0") -> dict[str, Advice]:  # fmt: skip
    return advice(on_host(facts(tmp_path, collection(5), env=env, more=more, version=version), host), *sets)


@pytest.mark.parametrize(
    ("more", "host", "version", "taken"),
    [
        ("    cpus: 2", 64, "1.15.0", (2, 2, 2, 2)),
        ("    cpus: 0.5", 64, "1.15.0", (1, 1, 1, 2)),
        ("    cpus: 6", 64, "1.15.0", (5, 5, 6, 3)),
        ("    cpus: 6", 64, "1.14.1", (5, 5, 6, 6)),
        ("    cpus: 6", 64, "1.18.0", (24, 5, 6, 3)),
        ("", 4, "1.14.1", (3, 3, 4, 4)),
        ("", 64, "1.15.0", (63, 61, 12, 8)),
        ("    cpuset: 0-2", 64, "1.9.0", (2, 2, 3, 3)),
    ],
)
def test_what_qdrant_takes_by_the_quota_is_told_and_left_to_it(
    tmp_path: Path, more: str, host: int, version: str, taken: tuple[int, ...]
) -> None:
    found = lines(tmp_path, more=more, host=host, version=version)
    for name, number in zip(NAMES, taken, strict=True):
        assert found[name].recommended == found[name].value == "0" and not found[name].changes
        assert str(found[name].why).endswith(f"it takes {number} by itself."), name


def test_without_a_count_of_cpus_no_number_is_told(tmp_path: Path) -> None:
    assert "as many as are right" in str(lines(tmp_path, more="", host=None)["search_threads"].why)


@pytest.mark.parametrize(("declared", "more", "beyond"), [("8", 2, True), ("2", 2, False), ("8", 8, False)])
def test_more_threads_than_the_quota_has_cpus_are_told_and_kept(
    tmp_path: Path, declared: str, more: int, beyond: bool
) -> None:
    """What somebody set stays until he takes the recommendation."""
    env = f"{{{INDEXING}: '{declared}'}}"
    line = lines(tmp_path, more=f"    cpus: {more}", env=env)["indexing_threads"]
    assert (line.value, line.recommended, line.kept) == (declared, "0", True)
    assert (f"{declared} is more than the {more} CPUs" in str(line.why)) is beyond
    taken = lines(tmp_path / "b", "qdrant.indexing_threads=0", more=f"    cpus: {more}", env=env)
    assert taken["indexing_threads"].value == "0" and taken["indexing_threads"].changes


@pytest.mark.parametrize(("count", "told"), [("8", True), ("2", False), ("many", False)])
def test_a_count_of_cpus_that_somebody_gave_is_told_where_it_is_too_large(
    tmp_path: Path, count: str, told: bool
) -> None:
    notes = " ".join(str(n) for n in lines(tmp_path, env=f"{{QDRANT_NUM_CPUS: '{count}'}}")["search_threads"].notes)
    assert ("QDRANT_NUM_CPUS=8 is what Qdrant takes for its CPUs, and its container may use 2" in notes) is told


def test_segments_and_threads_of_new_collections_are_written_by_the_names_that_qdrant_reads(tmp_path: Path) -> None:
    found = facts(tmp_path, collection(5))
    chosen = advice(found, "qdrant.segments=4", "qdrant.indexing_threads=2")
    environment = OPTIMIZATION.fragment(found, tuple(chosen.values())).services["vectors"]["environment"]
    assert isinstance(environment, dict)
    assert environment[INDEXING] == "2" and environment["QDRANT__STORAGE__OPTIMIZERS__DEFAULT_SEGMENT_NUMBER"] == "4"
    assert any("For new collections" in str(n) for n in chosen["segments"].notes)
    assert not any("For new collections" in str(n) for n in chosen["search_threads"].notes)
