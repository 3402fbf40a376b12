"""Grafana's database in a file, copied while somebody writes to it, and what is told of one."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from nftui.clients.grafana import DatabaseUnread, copy_database, read_holdings

CRASH = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")
database.execute("BEGIN")
database.executemany("UPDATE dashboard SET title = title || ?", [("x" * 500,)])
os._exit(0)
"""
"""A writer that dies in its transaction, with pages of it in the file already."""


def made(path: Path, rows: int = 3, journal: str = "DELETE") -> sqlite3.Connection:
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA journal_mode = {journal}")
    database.execute("CREATE TABLE dashboard (title TEXT)")
    database.executemany("INSERT INTO dashboard VALUES (?)", [(f"d{n:05}",) for n in range(rows)])
    database.commit()
    return database


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_a_copy_is_what_was_committed_and_changes_nothing(tmp_path: Path, journal: str) -> None:
    source, copy = tmp_path / "grafana.db", tmp_path / "copy.db"
    with closing(made(source, journal=journal)) as database:
        if os.geteuid() == 0:
            os.chown(source, 472, 0)
        source.chmod(0o640)
        database.execute("INSERT INTO dashboard VALUES ('not yet')")
        before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if not p.name.endswith("-shm")}
        fractions: list[float | None] = []
        copy_database(str(source), str(copy), fractions.append)
        after = {p.name: p.read_bytes() for p in tmp_path.iterdir() if not p.name.endswith("-shm")}
        assert after == before | {copy.name: copy.read_bytes()}, "the source was written to"
        database.commit()
        database.execute("INSERT INTO dashboard VALUES ('still writes')")
        database.commit()
    assert fractions[-1] == 1.0
    assert read_holdings(str(copy)).names == {"dashboard": ("d00000", "d00001", "d00002")}
    there, here = source.stat(), copy.stat()
    assert (there.st_uid, there.st_gid, there.st_mode) == (here.st_uid, here.st_gid, here.st_mode)


def test_a_copy_in_steps_begins_anew_where_somebody_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nftui.clients.grafana._STEP_BYTES", 4096)
    source, copy = tmp_path / "grafana.db", tmp_path / "copy.db"
    written: list[float] = []
    with closing(made(source, 2000)) as database:

        def write_once(fraction: float | None) -> None:
            if not written and fraction and fraction > 0.5:
                written.append(fraction)
                database.execute("UPDATE dashboard SET title = 'd' || title")
                database.commit()

        copy_database(str(source), str(copy), write_once)
    names = read_holdings(str(copy)).names["dashboard"]
    assert written and len(names) == 2000 and all(n.startswith("dd") for n in names), "a mixture of old and new"


def test_a_journal_that_a_crash_left_is_not_played_back(tmp_path: Path) -> None:
    source = tmp_path / "grafana.db"
    made(source, 500).close()
    subprocess.run([sys.executable, "-c", CRASH, str(source)], check=True)
    assert (tmp_path / "grafana.db-journal").stat().st_size, "there is none to be played back"
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(DatabaseUnread):
        copy_database(str(source), str(tmp_path / "copy.db"), lambda fraction: None)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.name in before} == before


def test_what_is_no_database_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "grafana.db").write_text("no database" * 1000)
    with pytest.raises(DatabaseUnread, match=r"grafana.db: file is not a database"):
        copy_database(str(tmp_path / "grafana.db"), str(tmp_path / "copy.db"), lambda fraction: None)
    with pytest.raises(DatabaseUnread, match="unable to open database file"):
        read_holdings(str(tmp_path / "elsewhere"))


def test_a_migration_has_failed_until_it_has_succeeded(tmp_path: Path) -> None:
    with closing(made(tmp_path / "grafana.db")) as database:
        database.execute("CREATE TABLE migration_log (migration_id TEXT, success INTEGER)")
        rows = "('a', 0), ('a', 1), ('b', 1), ('c', 0), ('c', 0)"
        database.execute(f"INSERT INTO migration_log VALUES {rows}")  # noqa: S608
        database.commit()
    assert read_holdings(str(tmp_path / "grafana.db")).failed == ("c",)
