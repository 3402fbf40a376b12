"""Copies of trees: everything that a database or a model store can hold, and each way in which a copy can be wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nftui.system.trees import LocalTrees, TreeError
from tests.engine.data_world import CONTROL, fill

TREES = LocalTrees()


def same(name: str) -> str:
    return name


def silent(text: str, fraction: float | None) -> None:
    pass


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    """A source, and its finished copy that is still marked."""
    source, target = tmp_path / "a", tmp_path / "b"
    fill(source)
    os.setxattr(source / "base" / "1", "user.note", b"kept")
    os.mkfifo(source / "pipe")
    TREES.mark(str(target), {"step": "s"})
    TREES.copy(str(source), str(target), same, silent)
    return str(source), str(target)


def test_a_copy_is_equal_in_everything(pair: tuple[str, str]) -> None:
    source, target = pair
    assert TREES.differences(source, target, same, silent) == []
    one, other = Path(target, "base", "1"), Path(target, "base", "hard")
    assert one.samefile(other) and os.getxattr(one, "user.note") == b"kept"
    assert Path(target, "sparse").stat().st_blocks * 512 < 1024 * 1024
    assert Path(target, "soft").readlink() == Path("base/1")


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (lambda t: (t / "base" / "1").chmod(0o777), "base/1"),
        (lambda t: (t / CONTROL).write_bytes(b"CONTROL"), CONTROL),
        (lambda t: os.removexattr(t / "base" / "1", "user.note"), "base/1"),
        (lambda t: os.utime(t / CONTROL, ns=(1, 1)), CONTROL),
        (lambda t: (t / "more").touch(), "more"),
        (lambda t: (t / "soft").unlink(), "soft"),
        (lambda t: ((t / "base" / "hard").unlink(), (t / "base" / "hard").write_bytes(b"row" * 1000)), "base/hard"),
        (lambda t: (t / "sparse").write_bytes(b"\0" * 1024 * 1024), "sparse"),
    ],
)
def test_each_difference_is_named(pair: tuple[str, str], spoil: Callable[[Path], object], name: str) -> None:
    spoil(Path(pair[1]))
    assert name in TREES.differences(*pair, same, silent)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owners_are_copied_and_compared(pair: tuple[str, str]) -> None:
    source, target = pair
    os.chown(Path(source, CONTROL), 999, 998)
    assert TREES.differences(source, target, same, silent) == [CONTROL]
    TREES.copy(source, target, same, silent)
    assert TREES.differences(source, target, same, silent) == []


def test_a_copy_that_was_cut_off_goes_on(pair: tuple[str, str]) -> None:
    source, target = pair
    Path(target, CONTROL).write_bytes(b"con")
    Path(target, "soft").unlink()
    TREES.copy(source, target, same, silent)
    assert TREES.differences(source, target, same, silent) == []


def test_a_write_moves_the_fingerprint(pair: tuple[str, str]) -> None:
    before = TREES.facts(pair[0]).fingerprint
    assert TREES.facts(pair[0]).fingerprint == before
    Path(pair[0], CONTROL).write_bytes(b"CONTROL")
    assert TREES.facts(pair[0]).fingerprint != before


def test_a_server_that_is_at_work_in_a_tree_does_not_stop_its_measuring(
    pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, looked, there = os.listdir, os.lstat, TREES.facts(pair[0])
    monkeypatch.setattr(os, "listdir", lambda path: [*listed(path), "gone at once"])
    assert TREES.facts(pair[0]) == there
    Path(pair[0], "folder").mkdir()

    def late(path: str) -> os.stat_result:
        found = looked(path)
        if str(path).endswith("folder"):
            Path(path).rmdir()
        return found

    monkeypatch.setattr(os, "lstat", late)
    assert TREES.facts(pair[0]).entries == there.entries + 1
    monkeypatch.setattr(os, "lstat", looked)
    with pytest.raises(FileNotFoundError):
        TREES.entries(pair[0], silent, text="reading")
    with pytest.raises(FileNotFoundError):
        TREES.facts(f"{pair[0]}/nothing here")


def test_links_that_leave_the_tree_are_told(pair: tuple[str, str]) -> None:
    assert TREES.facts(pair[0]).problems == ()
    Path(pair[0], "pg_tblspc").symlink_to("/elsewhere")
    assert TREES.facts(pair[0]).problems == ("pg_tblspc is a link that leads out of it",)


def test_only_what_is_marked_is_deleted(pair: tuple[str, str]) -> None:
    source, target = pair
    with pytest.raises(TreeError, match="not marked"):
        TREES.remove(source)
    assert Path(source, CONTROL).exists()
    TREES.remove(target)
    assert TREES.vacant(target) and TREES.marked(target) is None


def test_what_is_left_out_of_a_copy_is_so_with_all_that_is_below_it(pair: tuple[str, str], tmp_path: Path) -> None:
    source, part = pair[0], str(tmp_path / "part")
    TREES.mark(part, {"step": "s"})
    TREES.copy(source, part, same, silent, lambda name: name.partition("/")[0] == "base")
    left_out = {str(p.relative_to(source)) for p in (Path(source, "base"), *Path(source, "base").rglob("*"))}
    assert set(TREES.differences(source, part, same, silent)) == left_out
