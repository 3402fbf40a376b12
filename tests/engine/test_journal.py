"""The journal: fsynced lines, a torn last one ignored, every other damage named."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from nftui.engine import journal as module
from nftui.engine.journal import Journal, Phase, read_journal
from nftui.engine.reserve import JOURNAL_BYTES, Reserve, reserved
from nftui.model.errors import CutOffError, NftuiError, UsageError


def written(path: Path) -> bytes:
    journal = Journal(path)
    journal.write(Phase.BEGIN, kind="apply")
    journal.write(Phase.INTENT, "a", before="x")
    journal.write(Phase.END, outcome="applied")
    journal.close()
    return path.read_bytes()


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    written(tmp_path / "j")
    assert [(e.phase, e.step) for e in read_journal(tmp_path / "j")] == [
        (Phase.BEGIN, None), (Phase.INTENT, "a"), (Phase.END, None),
    ]  # fmt: skip


def test_a_torn_last_line_is_ignored_and_overwritten(tmp_path: Path) -> None:
    content = written(tmp_path / "j")
    (tmp_path / "j").write_bytes(content[:-5])
    assert len(read_journal(tmp_path / "j")) == 2
    journal = Journal(tmp_path / "j")
    journal.write(Phase.NOTE, text="again")
    journal.close()
    assert [e.phase for e in read_journal(tmp_path / "j")] == [Phase.BEGIN, Phase.INTENT, Phase.NOTE]


@pytest.mark.parametrize("line", [0, 1, 2])
def test_any_changed_byte_is_named_by_its_line(tmp_path: Path, line: int) -> None:
    lines = written(tmp_path / "j").splitlines(keepends=True)
    lines[line] = lines[line].replace(b'"n":', b'"n" :', 1).replace(b"a", b"b", 1)
    (tmp_path / "j").write_bytes(b"".join(lines))
    with pytest.raises(CutOffError, match=f"line {line + 1}"):
        read_journal(tmp_path / "j")


def test_a_removed_line_is_noticed(tmp_path: Path) -> None:
    lines = written(tmp_path / "j").splitlines(keepends=True)
    (tmp_path / "j").write_bytes(lines[0] + lines[2])
    with pytest.raises(CutOffError):
        read_journal(tmp_path / "j")


def _resealed(path: Path, number: int, **changes: object) -> None:
    """That line as another nftui could have written it: whole, with a checksum that fits."""
    lines = path.read_text().splitlines()
    previous = json.loads(lines[number - 2])["sum"] if number > 1 else ""
    body = {**json.loads(lines[number - 1])["line"], **changes}
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    total = module._checksum(previous, canonical)
    path.write_text("\n".join([*lines[: number - 1], json.dumps({"line": body, "sum": total})]) + "\n")


def test_a_newer_versions_journal_is_no_damage(tmp_path: Path) -> None:
    for number, changes in ((1, {"data": {"schema": 99}}), (2, {"phase": "handed-over"})):
        written(tmp_path / "j")
        _resealed(tmp_path / "j", number, **changes)
        with pytest.raises(UsageError, match="newer nftui"):
            read_journal(tmp_path / "j")
        (tmp_path / "j").unlink()


@pytest.mark.parametrize("line", [b"\n", b"[]\n", b"null\n", b"\xff\xfe\n", b'{"line": 5, "sum": 5}\n'])
def test_what_is_no_line_is_named(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "j").write_bytes(written(tmp_path / "j") + line)
    with pytest.raises(CutOffError, match="line 4 is damaged"):
        read_journal(tmp_path / "j")


class Full:
    """A disk that takes half a line and then nothing, until the reserve is given up."""

    def __init__(self, reserve: Reserve | None, error: int) -> None:
        self.reserve, self.error, self.write = reserve, error, os.write

    def __call__(self, handle: int, data: bytes) -> int:
        if self.reserve is not None and not self.reserve.journal.exists():
            return self.write(handle, data)
        if len(data) > 20:
            return self.write(handle, data[: len(data) - 20])
        raise OSError(self.error, os.strerror(self.error))


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_costs_the_reserve_and_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    with reserved(tmp_path, tmp_path, 0, needed=True) as reserve:
        assert reserve.journal.stat().st_size == JOURNAL_BYTES
        journal = Journal(tmp_path / "j", reserve)
        journal.write(Phase.BEGIN)
        monkeypatch.setattr(os, "write", Full(reserve, error))
        journal.write(Phase.FAILED, "a", error="x" * 100)
        assert journal.strained and not reserve.journal.exists()
        journal.write(Phase.END)
        journal.close()
    monkeypatch.undo()
    assert [e.phase for e in read_journal(tmp_path / "j")] == [Phase.BEGIN, Phase.FAILED, Phase.END]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["j"]


def test_a_full_disk_without_a_reserve_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "j")
    journal.write(Phase.BEGIN)
    monkeypatch.setattr(os, "write", Full(None, errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        journal.write(Phase.END)
    journal.close()
    assert [e.phase for e in read_journal(tmp_path / "j")] == [Phase.BEGIN]


def test_no_room_for_the_reserve_is_refused_unless_a_run_must_be_recovered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(NftuiError, match="Nothing was touched"), reserved(tmp_path, tmp_path, 0, needed=True):
        pass
    assert list(tmp_path.iterdir()) == []
    with reserved(tmp_path, tmp_path, 0, needed=False) as reserve:
        assert not reserve.give_journal()
