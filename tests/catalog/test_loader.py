"""The catalog's files: what ships is sound, the operator's files stand first, a wrong one is named with its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from nftui.catalog import CatalogError, catalog, configuration_directories, load_catalog
from nftui.catalog.loader import SHIPPED
from nftui.model.errors import UsageError
from nftui.model.stack import Role


def test_what_ships_is_whole() -> None:
    shipped = load_catalog([SHIPPED])
    assert {family.role for family in shipped.families} >= set(Role) - {Role.UNKNOWN}
    assert all(family.source for family in shipped.families)
    assert all(check.source for family in shipped.families for check in family.healthchecks)
    assert shipped.clients
    assert not shipped.clients & set(shipped.servers)


def test_the_operators_family_stands_first_and_replaces(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "families:\n"
        "  - {id: redis-official, role: keydb, images: [redis], source: ours}\n"
        "  - {id: ours, role: postgres, images: ['acme/datastore'], source: ours}\n"
    )
    found = load_catalog([SHIPPED, tmp_path])
    assert [family.id for family in found.families][:2] == ["redis-official", "ours"]
    assert sum(family.id == "redis-official" for family in found.families) == 1
    assert len(found.families) == len(load_catalog([SHIPPED]).families) + 1


def test_where_an_operator_puts_files() -> None:
    assert configuration_directories({"HOME": "/home/a"})[1] == Path("/home/a/.config/nftui/catalog")
    assert configuration_directories({"XDG_CONFIG_HOME": "/c"}) == (
        Path("/etc/nftui/catalog"),
        Path("/c/nftui/catalog"),
    )


WRONG = [
    ("famlies: []", "famlies: unknown key"),
    ("families: {}", "families: must be a list"),
    ("families: [5]", "families[0]: must be a mapping"),
    ("families: [{id: a, role: postgress, images: [a], source: s}]", "families[0].role: 'postgress' is not a role"),
    ("families: [{id: a, role: redis, images: [a]}]", "families[0].source: must be a text"),
    ("families: [{id: a, role: redis, images: a, source: s}]", "families[0].images: must be a list of texts"),
    ("families: [{id: a, role: redis, source: s}]", "families[0].images: an image or a name is needed"),
    ("families: [{id: a, role: redis, images: [a], source: s, port: [1]}]", "families[0].port: unknown key"),
    ("families: [{id: a, role: redis, images: [a], source: s, ports: [x]}]", "families[0].ports: 'x' is not a port"),
    ("families: [{id: a, role: redis, images: [a], source: s, version: '('}]", "families[0].version: is not a regular"),
    ("families: [{id: a, role: redis, images: [a], source: s, data: [{pth: x}]}]", "families[0].data[0].pth: unknown"),
    (
        "families: [{id: a, role: redis, images: [a], source: s, env: {until: {A: 1}}}]",
        "families[0].env.until: must map",
    ),
    ("families: [{id: a, role: redis, images: [a], source: s, official: 1}]", "families[0].official: must be true"),
    ("programs: {servers: {x: y}}", "programs.servers.x: 'y' is not a role"),
    ("evidence: {ports: {x: redis}}", "evidence.ports: 'x' is not a port"),
    ("families: [", "is not YAML"),
    ("- a", "must be a mapping"),
]


@pytest.mark.parametrize(("text", "expected"), WRONG)
def test_a_wrong_file_is_named_with_its_key(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(CatalogError) as caught:
        load_catalog([SHIPPED, tmp_path])
    assert str(tmp_path / "own.yaml") in str(caught.value)
    assert expected in str(caught.value)
    assert isinstance(caught.value, UsageError)


def test_the_catalog_is_read_once() -> None:
    assert catalog() is catalog()
