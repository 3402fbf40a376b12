"""Space is asked before anything starts: bytes and inodes, summed per file system, with the figures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nftui.engine import space
from nftui.engine.reserve import PROJECT_BYTES
from nftui.engine.space import BLOCK, Need
from nftui.model.errors import ExitCode, NftuiError
from nftui.model.plan import FileChange


def status(blocks: int = 1000, inodes: int = 1000, total: int = 5000) -> os.statvfs_result:
    """Free blocks of 4 KiB and free inodes, for us; root has more."""
    return os.statvfs_result((4096, 4096, 9999, blocks + 500, blocks, total, inodes + 500, inodes, 0, 255))


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (status(blocks=2), ("needed 12 KiB (12288 B)", "free 8 KiB (8192 B)")),
        (status(inodes=3), ("needed 4 inodes", "free 3")),
    ],
)
def test_what_does_not_fit_is_refused_with_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: os.statvfs_result, says: tuple[str, str]
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: found)
    needs = [Need(str(tmp_path / "not" / "there"), 2 * BLOCK, 2), Need(str(tmp_path), BLOCK, 2)]
    with pytest.raises(NftuiError) as caught:
        space.must_fit(needs)
    assert all(text in str(caught.value) for text in (str(tmp_path), "Nothing was touched", *says))
    assert caught.value.code is ExitCode.FAILED
    space.must_fit([Need(str(tmp_path), 2 * BLOCK, 3)])


def test_what_just_fits_is_taken_and_inodes_without_end_are_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: status(blocks=3, inodes=4))
    space.must_fit([Need(str(tmp_path), 3 * BLOCK, 4)])
    monkeypatch.setattr(os, "statvfs", lambda path: status(blocks=3, inodes=0, total=0))
    space.must_fit([Need(str(tmp_path), 3 * BLOCK, 4)])


def test_each_content_step_and_file_counts(tmp_path: Path) -> None:
    empty = space.of_state(tmp_path, (), 0)
    two = space.of_state(tmp_path, (b"x", None, b"y" * BLOCK), 0)
    assert (two.bytes - empty.bytes, two.files - empty.files) == (3 * BLOCK, 4)
    assert space.of_state(tmp_path, (), 2).bytes - empty.bytes == 2 * space.STEP_BYTES
    (need,) = space.of_files([FileChange("/srv/app/.env", "update", b"a" * 2 * PROJECT_BYTES, b"b")])
    assert (need.path, need.bytes) == ("/srv/app", BLOCK + 2 * PROJECT_BYTES)
