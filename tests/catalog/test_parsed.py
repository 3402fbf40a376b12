"""The catalog's parsed twin says what the YAML files say, and is left alone where it does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nftui.catalog import loader
from nftui.catalog.loader import SHIPPED, load_catalog, parse_yaml
from nftui.catalog.parsed import NAME, digest, read_parsed, write_parsed


def test_it_is_what_the_files_say() -> None:
    files = {path.name: (digest(path.read_bytes()), parse_yaml(path)) for path in SHIPPED.glob("*.yaml")}
    assert read_parsed(SHIPPED) == files, "the catalog was edited: run python -m nftui.catalog"


def test_no_yaml_is_parsed_for_the_shipped_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load_catalog([SHIPPED])
    monkeypatch.setattr(loader, "parse_yaml", lambda path: pytest.fail(f"{path} was parsed"))
    assert load_catalog([SHIPPED]) == whole


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped directory, taken for it."""
    copy = tmp_path / "data"
    shutil.copytree(SHIPPED, copy)
    monkeypatch.setattr(loader, "SHIPPED", copy)
    return copy


def test_a_file_that_was_edited_since_counts(shipped: Path) -> None:
    path = shipped / "90-known.yaml"
    path.write_text(path.read_text() + "\nprograms: {clients: [edited-since]}\n")
    assert "edited-since" in load_catalog([shipped]).clients
    write_parsed(shipped, parse_yaml)
    assert read_parsed(shipped)[path.name][1] == parse_yaml(path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"90-known.yaml": 3}'])
def test_a_damaged_one_is_passed_over(shipped: Path, content: str) -> None:
    (shipped / NAME).write_text(content)
    assert load_catalog([shipped]) == load_catalog([SHIPPED])


def test_one_in_a_directory_of_the_operator_is_never_read(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("programs: {clients: [theirs]}\n")
    write_parsed(tmp_path, parse_yaml)
    (tmp_path / NAME).write_text((tmp_path / NAME).read_text().replace("theirs", "planted"))
    assert {"theirs", "planted"} & load_catalog([tmp_path]).clients == {"theirs"}
