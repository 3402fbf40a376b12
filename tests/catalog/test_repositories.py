"""What the catalog knows of repositories: which images an entry means, ends, lacks; a wrong file is named."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from nftui.catalog import CatalogError, catalog, deprecation, end_of_support, lacking, load_catalog, repositories_of


def test_every_entry_has_a_source_and_says_something() -> None:
    for entry in catalog().repositories:
        assert entry.source
        assert any(
            (entry.deprecated, entry.support, entry.lacks, entry.own_healthcheck, entry.store, entry.least_memory,
             entry.inert, entry.unused_mount, entry.next, entry.late, entry.no_healthcheck, entry.no_metrics)
        )  # fmt: skip
        assert all(i.names and i.why for i in entry.inert)


@pytest.mark.parametrize(
    ("image", "ended"),
    [
        ("bitnami/redis:7", True), ("docker.io/bitnami/redis", True), ("registry.example.org/bitnami/redis", False),
        ("openjdk:17", True), ("example/openjdk:17", False), ("k8s.gcr.io/pause:3.1", True), ("redis:7", False),
    ],
)  # fmt: skip
def test_ended(image: str, ended: bool) -> None:
    assert (deprecation(image) is not None) is ended


def test_support_takes_the_closest_line() -> None:
    def line(image: str) -> tuple[str, date] | None:
        found = end_of_support(image)
        return (found[0], found[1]) if found else None

    assert line("redis:6.2-alpine") == ("6", date(2027, 4, 1))
    assert line("redis:6.0.16") == ("6.0", date(2022, 5, 31))
    assert line("redis:7.0.15") == ("7.0", date(2024, 7, 29))
    assert line("mariadb:10.11") == ("10.11", date(2028, 2, 16))
    assert [line(i) for i in ("redis:7", "redis:latest", "redis", "example/redis:6")] == [None] * 4


def test_a_variant_of_the_tag_brings_the_tool() -> None:
    assert "wget" in {name for name, _ in lacking("oliver006/redis_exporter:v1")}
    assert {name for name, _ in lacking("oliver006/redis_exporter:v1-alpine")} == set()


def test_a_variant_of_the_tag_takes_the_tool_away() -> None:
    assert "wget" in {name for name, _ in lacking("node:24-slim")}
    assert {name for name, _ in lacking("node:24-alpine")} == {"curl"}
    assert {name for name, _ in lacking("node:24")} == set()


def test_the_operators_entries_stand_first(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("repositories:\n  - {images: [redis], source: ours, store: true}\n")
    assert load_catalog([tmp_path]).repositories[0].source == "ours"
    assert repositories_of("example/unknown:1") == ()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("repositories: [{source: s}]", "repositories[0].images: an image is needed"),
        ("repositories: [{images: [a]}]", "repositories[0].source: must be a text"),
        ("repositories: [{images: [a], source: s, suport: {}}]", "repositories[0].suport: unknown key"),
        ("repositories: [{images: [a], source: s, support: {6: 2025-01-01}}]", "support: must map versions in quotes"),
        ("repositories: [{images: [a], source: s, least_memory: 2g}]", "least_memory: must be a number"),
        ("repositories: [{images: [a], source: s, inert: [{nam: [b]}]}]", "inert[0].nam: unknown key"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(CatalogError) as error:
        load_catalog([tmp_path])
    assert what in str(error.value)
