"""The journal: fsynced lines, a torn last one ignored, every other damage named."""

from __future__ import annotations

from pathlib import Path

import pytest

from nftui.engine.journal import Journal, Phase, read_journal
from nftui.model.errors import CutOffError


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
