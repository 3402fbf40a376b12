"""A disk that fills at any moment of a run: everything is taken back, journalled, with no space that was not reserved.

On small file systems of their own: the state's and the project's, or one for both.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nftui.engine.journal import Journal, Phase, read_journal
from nftui.engine.ports import FileWriter
from nftui.engine.reserve import reserved
from nftui.engine.runner import Options, Outcome, Runner
from nftui.steps import load_kinds
from nftui.steps.kind import Context
from nftui.system.blobs import BlobStore
from nftui.system.files import Attributes, FileError, LocalFiles
from tests.engine.test_runner import Quiet
from tests.engine.world import ENV, OVERRIDE, World, stages

OLD = b"A=1\n" * 5000
LATER = 99
"""Both files are written, and a later step fails: `.env` needs more room than it has now to be put back."""
KIND = ["tmpfs", pytest.param("ext4", marks=pytest.mark.all)]


def mounted(place: Path, kind: str) -> None:
    place.mkdir()
    image = place.with_suffix(".img")
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(place)]
    if kind == "ext4":
        with image.open("wb") as file:
            file.truncate(8 * 1024**2)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
        command = ["mount", "-o", "loop", str(image), str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")


@pytest.fixture(params=KIND)
def disks(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """The state's and the project's."""
    made: list[Path] = []
    try:
        for name in ("state", "project"):
            mounted(tmp_path / name, request.param)
            made.append(tmp_path / name)
        yield made[0], made[1]
    finally:
        for place in made:
            subprocess.run(["umount", str(place)], check=True)


def fill(place: Path) -> None:
    """Every byte and inode that is left, in steps that get smaller."""
    with (place / "filler").open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)
                    os.fsync(file.fileno())


class Filled:
    """Files of the project on the small disk, under the paths of the plan; the n-th write finds `place` full."""

    def __init__(self, project: Path, place: Path, at: int) -> None:
        self.project, self.place, self.at, self.count = project, place, at, 0
        self.real = FileWriter(LocalFiles())

    def path(self, path: str) -> str:
        return str(self.project / Path(path).name)

    def read(self, path: str) -> bytes | None:
        return self.real.read(self.path(path))

    def attributes(self, path: str) -> Attributes | None:
        return self.real.attributes(self.path(path))

    def write(
        self,
        path: str,
        content: bytes,
        *,
        mode: int,
        like: str | None = None,
        attributes: Attributes | None = None,
        owner: tuple[int, int] | None = None,
    ) -> None:
        self.count += 1
        if self.count == self.at:
            fill(self.place)
        self.real.write(self.path(path), content, mode=mode, like=like, attributes=attributes)

    def make_directory(self, path: str, *, like: str | None = None) -> None:
        self.real.make_directory(self.path(path), like=like)

    def remove_directory(self, path: str) -> bool:
        return self.real.remove_directory(self.path(path))

    def delete(self, path: str) -> None:
        self.real.delete(self.path(path))

    def tidy(self, path: str) -> None:
        self.real.tidy(self.path(path))


def run(state: Path, project: Path, full: Path, at: int) -> Outcome | None:
    """A plan of every kind in a world whose `.env` lies on a small disk that fills at the n-th write."""
    (project / ".env").write_bytes(OLD)
    world = World(BlobStore(state / "blobs"), {ENV: OLD})
    files = Filled(project, full, at)
    # Compose and the server of this world see what lies on the disk.
    planned = list(stages(world))
    ctx: Context = replace(world.context(), files=files)

    def hashed(**_options: object) -> dict[str, str]:
        content = files.read(OVERRIDE)
        world.files = {ENV: files.read(ENV) or b"", **({OVERRIDE: content} if content is not None else {})}
        return {"db": world._hash()}

    world.config_hashes = hashed  # type: ignore[method-assign]
    if at == LATER:
        world.refuse = "dry-run"

        def refused() -> dict[str, str]:
            fill(full)
            return {"web": "recreate"}

        world.extra = refused  # type: ignore[method-assign]
    with reserved(state, project, len(OLD), needed=True) as reserve:
        journal = Journal(state / "journal.jsonl", reserve)
        runner = Runner(journal, planned, load_kinds(), ctx, Quiet(), Options())
        outcome = runner.forward()
        reserve.give_journal()
        journal.write(Phase.END, outcome=outcome.name if outcome else "applied", standing=[])
        journal.close()
    return outcome


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize(
    ("which", "at"), [("state", 1), ("state", 2), ("project", 1), ("project", 2), ("project", LATER)]
)
def test_a_disk_that_fills_in_mid_run_is_survived(disks: tuple[Path, Path], which: str, at: int) -> None:
    """Where the last lines still fit into the journal's last block the run may also come to its end."""
    state, project = disks
    outcome = run(state, project, state if which == "state" else project, at)
    names = {path.name for path in project.iterdir()} - {"filler", "lost+found"}
    entries = read_journal(state / "journal.jsonl")
    if outcome is None:
        assert (which, at) == ("state", 2) and names == {".env", "compose.nftui.yaml"}
    else:
        assert outcome.name == "rolled-back", outcome
        assert any(word in outcome.reason for word in ("full", "No space", "web"))
        assert names == {".env"} and (project / ".env").read_bytes() == OLD
        assert any(e.phase is Phase.UNDONE for e in entries)
    assert entries[-1].phase is Phase.END and not list(state.glob("reserve*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("both", [True, False])
def test_the_reserve_is_what_saves_it(disks: tuple[Path, Path], both: bool) -> None:
    """What is not set aside is not there: the same write on the same full disk."""
    state, project = disks
    place = state if both else project
    with reserved(state, place, 0, needed=True) as reserve:
        assert reserve.project.parent == place
        fill(place)
        files = LocalFiles()
        with pytest.raises(FileError, match="full"):
            files.write(str(place / "x"), OLD)
        reserve.give_project()
        files.write(str(place / "x"), OLD)
    assert (place / "x").read_bytes() == OLD
