"""A database's volume switched to a copy on the real engine: written to, timed out, applied, taken back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nftui.system.trees import LocalTrees
from tests.e2e.command import Copy, Done, copy_package, tree
from tests.stack.running import Stack, docker

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="data is copied exactly only by root"),
]
DROPPED = Path(__file__).parent / "dropped" / "elsewhere.py"
CONTROL = Path("global/pg_control")
FENCED = Path("global/pg_control.nftui-fenced")
CONSENT = ("--yes", "--accept-irreversible", "--without-backup", "--settle", "1", "--json")


@dataclass
class Bench:
    """One stack, the command, and what is looked at."""

    stack: Stack
    nftui: Copy
    original: dict[str, tuple[str, int, int]]

    def apply(self, volume: str, *more: str) -> Done:
        """Switch to that volume."""
        return self.nftui("apply", "--only", "elsewhere", "--set", f"elsewhere.volume={volume}", *more)

    def volume(self, word: str) -> Path:
        """Where its data lies."""
        return Path(json.loads(docker("volume", "inspect", f"{self.stack.project}_{word}"))[0]["Mountpoint"])

    def there(self, word: str) -> bool:
        """Whether there is such a volume."""
        return f"{self.stack.project}_{word}" in docker("volume", "ls", "-q").split()

    def mounted(self) -> str:
        """The volume that the database runs on, without the project's name."""
        mounts = self.stack.inspect("postgres")["Mounts"]
        name = next(str(m["Name"]) for m in mounts if m["Destination"] == "/var/lib/postgresql/data")
        return name.removeprefix(f"{self.stack.project}_")

    def rows(self) -> list[str]:
        """What the test wrote, as the running database has it."""
        with self.stack.postgres() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept (word text)")
            return sorted(str(r[0]) for r in connection.execute("SELECT word FROM kept"))

    def write(self, word: str) -> None:
        """One row."""
        self.rows()
        with self.stack.postgres() as connection:
            connection.execute("INSERT INTO kept VALUES (%s)", [word])

    def writers(self) -> list[tuple[str, bool, str]]:
        """The apps: running, and what the engine does with them at boot."""
        found: list[tuple[str, bool, str]] = []
        for name in ("api", "jobs"):
            seen: Any = self.stack.inspect(name)
            found.append((name, seen["State"]["Running"], seen["HostConfig"]["RestartPolicy"]["Name"]))
        return found

    def must_be_old(self) -> None:
        """Files to the byte, the old volume, the apps as they were."""
        assert self.mounted() == "postgres_data" and tree(self.stack.directory) == self.original
        assert self.writers() == [(name, True, "unless-stopped") for name in ("api", "jobs")]
        assert (self.volume("postgres_data") / CONTROL).exists()

    def must_be_new(self, word: str) -> None:
        """The new volume in use, the old one fenced."""
        assert self.mounted() == word
        assert self.writers() == [(name, True, "unless-stopped") for name in ("api", "jobs")]
        old = self.volume("postgres_data")
        assert (old / FENCED).exists() and not (old / CONTROL).exists()

    def fingerprint(self, word: str) -> str:
        """Moves with any write to any file below."""
        return LocalTrees().facts(str(self.volume(word))).fingerprint


@pytest.fixture
def bench(running_stack: Stack, tmp_path: Path) -> Iterator[Bench]:
    """The command with an optimization that moves data, on a stack of its own."""
    package = copy_package(tmp_path / "copy", DROPPED)
    yield Bench(
        running_stack, Copy(running_stack.directory, tmp_path / "state", package), tree(running_stack.directory)
    )
    docker("rm", "-fv", running_stack.container("postgres"), check=False)
    # The copies are external to Compose, and `down` leaves a volume that no service names any more.
    left = (f"{running_stack.project}_v", f"{running_stack.project}_postgres_data")
    docker("volume", "rm", *(n for n in docker("volume", "ls", "-q").split() if n.startswith(left)))


@pytest.mark.all
@pytest.mark.timeout(900)
def test_data_is_switched_and_nothing_is_lost(bench: Bench) -> None:
    bench.write("before")
    _is_refused_without_consent(bench)
    _goes_back_when_it_is_not_confirmed(bench)
    _stands_when_it_is_applied(bench)
    _goes_back_only_by_consent(bench)


def _is_refused_without_consent(bench: Bench) -> None:
    stage = bench.nftui("plan", "--only", "elsewhere", "--json").json["stages"][-1]
    assert (stage["commit_point"], stage["fence"], stage["backup"]) == (True, "writers", None)
    undo = {s["id"].rpartition("/")[2]: s["undo"] for s in stage["steps"]}
    assert undo["recreate:postgres"] == "lossy" and undo["copy"] == "exact" and undo["hold"] == "by-restart"
    plain = bench.apply("v1", "--yes")
    assert plain.code == 2 and "--accept-irreversible" in plain.err and "recreate:postgres" in plain.err
    bare = bench.apply("v1", "--yes", "--accept-irreversible")
    assert bare.code == 2 and "--without-backup" in bare.err
    files = bench.apply("v1", *CONSENT, "--files-only")
    assert files.code == 2 and "--files-only" in files.err
    bench.must_be_old()


def _goes_back_when_it_is_not_confirmed(bench: Bench) -> None:
    late = bench.apply("v1", *CONSENT, "--confirm-within", "2")
    assert late.code == 1 and late.json["outcome"] == "rolled-back", late.out + late.err
    assert "not confirmed" in late.json["reason"]
    bench.must_be_old()
    assert bench.rows() == ["before"]
    kept = bench.volume("v1")
    assert (kept / FENCED).exists() and not (kept / CONTROL).exists()
    again = bench.apply("v1", *CONSENT)
    assert again.code == 1 and "not empty" in again.json["reason"], again.out + again.err
    bench.must_be_old()


def _stands_when_it_is_applied(bench: Bench) -> None:
    done = bench.apply("v2", *CONSENT)
    assert done.code == 0 and done.json["outcome"] == "applied", done.out + done.err
    bench.must_be_new("v2")
    assert bench.rows() == ["before"]
    status = bench.nftui("status", "--json")
    names = {"dataset": "postgres-data", "whole": f"{bench.stack.project}_v2",
             "other": f"{bench.stack.project}_postgres_data"}  # fmt: skip
    assert status.code == 0 and status.json["data"] == [names], status.out


def _goes_back_only_by_consent(bench: Bench) -> None:
    old = bench.fingerprint("postgres_data")
    bench.write("written-after-the-switch")
    refused = bench.nftui("rollback", "--yes", "--json")
    assert refused.code == 2 and "--force" in refused.out + refused.err
    bench.must_be_new("v2")
    assert bench.fingerprint("postgres_data") == old, "the source moved"
    back = bench.nftui("rollback", "--yes", "--force", "--json")
    assert back.code == 0 and back.json["outcome"] == "rolled-back", back.out + back.err
    bench.must_be_old()
    assert bench.rows() == ["before"]
    kept = bench.volume("v2")
    assert (kept / FENCED).exists() and not (kept / CONTROL).exists()
    assert any(b"written-after-the-switch" in p.read_bytes() for p in (kept / "base").rglob("*") if p.is_file())
