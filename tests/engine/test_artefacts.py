"""The registry of what nftui made or kept: recorded first, never mixed up, remembered when it is deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from nftui.engine.artefacts import Artefacts
from nftui.model.artefact import ArtefactState
from nftui.model.errors import NftuiError, UsageError


def test_recorded_before_made_and_read_by_another(tmp_path: Path) -> None:
    Artefacts(tmp_path).record("volume", "app_data-2", "R1", "copy:db", service="db")
    (found,) = Artefacts(tmp_path).list()
    assert (found.state, found.size, found.details) == (ArtefactState.RECORDED, None, {"service": "db"})
    Artefacts(tmp_path).made("app_data-2", 4096, "sha256:0")
    (found,) = Artefacts(tmp_path).list()
    assert (found.state, found.size, found.checksum, found.kind) == (ArtefactState.MADE, 4096, "sha256:0", "volume")
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())


def test_recording_again_keeps_what_is_known(tmp_path: Path) -> None:
    registry = Artefacts(tmp_path)
    registry.record("volume", "v", "R1", "s")
    registry.made("v", 1, None)
    assert registry.record("volume", "v", "R1", "s").size == 1
    for kind, run, step in (("directory", "R1", "s"), ("volume", "R2", "s"), ("volume", "R1", "t")):
        with pytest.raises(NftuiError, match="R1"):
            registry.record(kind, "v", run, step)


def test_what_was_never_recorded_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(NftuiError, match="not recorded"):
        Artefacts(tmp_path).made("v", 1, None)


def test_dropped_is_forgotten_and_deleted_is_remembered(tmp_path: Path) -> None:
    registry = Artefacts(tmp_path)
    registry.drop("never there")
    for name in ("a", "b"):
        registry.record("volume", name, "R1", "s")
    registry.drop("a")
    registry.mark("b", ArtefactState.DELETED)
    assert registry.list() == [] and [a.name for a in registry.list(gone=True)] == ["b"]
    ended = registry.ended(["R0", "R1"])
    assert ended is not None and ended.name == "b" and registry.ended(["R0"]) is None
    assert registry.record("volume", "b", "R2", "s").state is ArtefactState.RECORDED


@pytest.mark.parametrize("text", ["{", "[]", "null", "{}", '{"kind": "volume"}'])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    registry = Artefacts(tmp_path)
    registry.record("volume", "v", "R1", "s")
    (path,) = tmp_path.iterdir()
    path.write_text(text)
    with pytest.raises(UsageError, match=path.name):
        registry.list()
