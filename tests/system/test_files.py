"""Writes are whole or absent, keep what they replace, and follow only links that may be followed."""

import os
import stat
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from nftui.system.files import Attributes, FileError, LocalFiles, resolve_target

FILES = LocalFiles()
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_read_absent_present_and_too_large(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert FILES.read(str(path)) is None
    assert FILES.read(str(path / "below")) is None
    path.write_bytes(b"12345")
    fact = FILES.fact(str(path))
    assert (fact.content, fact.uid) == (b"12345", os.geteuid())
    with pytest.raises(FileError, match="larger than 4 bytes"):
        FILES.read(str(path), 4)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(FileError, match="not a regular file"):
        FILES.read(str(tmp_path / "fifo"))
    with pytest.raises(FileError, match=r"is a directory|not a regular file"):
        FILES.read(str(tmp_path))


def test_a_new_file_and_a_replaced_one(tmp_path: Path) -> None:
    path = tmp_path / "x"
    FILES.write(str(path), b"one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    path.chmod(0o640)
    FILES.write(str(path), b"two")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"two", 0o640)
    FILES.write(str(path), b"three", Attributes(0o600, os.geteuid(), os.getegid()))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["x"]


@ROOT
def test_owner_and_extended_attributes_stay(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"one")
    os.chown(path, 1234, 4321)
    try:
        os.setxattr(path, "user.note", b"kept")
    except OSError:
        pytest.skip("no extended attributes here")
    FILES.write(str(path), b"two")
    found = path.stat()
    assert (found.st_uid, found.st_gid, os.getxattr(path, "user.note")) == (1234, 4321, b"kept")


def _acl(group: int, mask: int) -> bytes:
    """User 4242 may read and write as far as the mask lets it, in the kernel's form."""
    nobody = 2**32 - 1
    entries = ((1, 6, nobody), (2, 6, 4242), (4, group, nobody), (16, mask, nobody), (32, 0, nobody))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def _set_or_skip(path: Path, kind: str, value: bytes) -> None:
    try:
        os.setxattr(path, f"system.posix_acl_{kind}", value)
    except OSError:
        pytest.skip("no ACLs on this file system")


def _state(path: Path) -> tuple[int, Mapping[str, bytes]]:
    return stat.S_IMODE(path.stat().st_mode), {name: os.getxattr(path, name) for name in os.listxattr(path)}


@pytest.mark.parametrize("asked", [None, Attributes(0o640, os.geteuid(), os.getegid())])
def test_a_file_does_not_inherit_what_its_directory_gives_to_new_ones(tmp_path: Path, asked: Attributes | None) -> None:
    path, new = tmp_path / ".env", tmp_path / "new"
    path.write_bytes(b"SECRET=1\n")
    path.chmod(0o640)
    _set_or_skip(tmp_path, "default", _acl(6, 6))
    FILES.write(str(path), b"SECRET=2\n", asked)
    assert _state(path) == (0o640, {})
    FILES.write(str(new), b"")  # A new one does.
    assert "system.posix_acl_access" in _state(new)[1]


def test_an_acl_of_its_own_stays_and_nobody_reads_before_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / ".env", []
    path.write_bytes(b"SECRET=1\n")
    _set_or_skip(path, "access", _acl(0, 6))
    _set_or_skip(tmp_path, "default", _acl(6, 6))
    old = _state(path)
    setxattr, fchmod = os.setxattr, os.fchmod

    def watched(target: str, name: str, value: bytes) -> None:
        seen.append((name, stat.S_IMODE(Path(target).stat().st_mode)))
        setxattr(target, name, value)

    def closed(handle: int, mode: int) -> None:
        seen.append(("mode", stat.S_IMODE(os.fstat(handle).st_mode)))
        fchmod(handle, mode)

    os.setxattr(path, "user.note", b"kept")
    monkeypatch.setattr(os, "setxattr", watched)
    monkeypatch.setattr(os, "fchmod", closed)
    FILES.write(str(path), b"SECRET=2\n")
    assert _state(path) == (old[0], {**old[1], "user.note": b"kept"})
    assert seen == [("user.note", 0o600), ("system.posix_acl_access", 0o600), ("mode", 0o660)]


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(FileError, match="the disk is full"):
        FILES.write(str(path), b"new")
    assert (path.read_bytes(), names(tmp_path)) == (b"old", ["x"])


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    target = tmp_path / "shared" / "env"
    target.write_bytes(b"old")
    link = tmp_path / ".env"
    link.symlink_to("shared/env")
    FILES.write(str(link), b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert FILES.delete(str(link)) is True
    assert target.read_bytes() == b"new"


def test_a_dangling_link_is_refused(tmp_path: Path) -> None:
    link = tmp_path / ".env"
    link.symlink_to("nowhere")
    with pytest.raises(FileError, match="which is not there"):
        FILES.write(str(link), b"x")


def test_nothing_is_tidied_beside_a_link_that_may_not_be_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    left = tmp_path / ".nftui-nowhere.0123abcd.tmp"
    left.write_bytes(b"")
    FILES.tidy(str(tmp_path / "link"))
    assert names(tmp_path) == [left.name, "link"]
    (tmp_path / "nowhere").write_bytes(b"")
    FILES.tidy(str(tmp_path / "link"))
    assert names(tmp_path) == ["link", "nowhere"]


@ROOT
def test_a_link_made_by_a_stranger_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "shadow"
    target.write_bytes(b"root's")
    link = tmp_path / ".env"
    link.symlink_to(target)
    os.lchown(link, 1234, 1234)
    with pytest.raises(FileError, match="does not own it"):
        FILES.write(str(link), b"x")
    os.chown(target, 1234, 1234)
    assert resolve_target(str(link)) == str(target)


def test_errors_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="its directory is not there"):
        FILES.write(str(tmp_path / "no" / "x"), b"")
    (tmp_path / "d").mkdir()
    with pytest.raises(FileError, match="not a regular file"):
        FILES.write(str(tmp_path / "d"), b"")
    assert FILES.delete(str(tmp_path / "absent")) is False


@pytest.mark.parametrize("act", ["write", "delete", "delete what is not there"])
def test_what_a_cut_off_write_left_goes_with_the_next_one(tmp_path: Path, act: str) -> None:
    left, other = tmp_path / ".nftui-env.0123abcd.tmp", tmp_path / ".nftui-env.mine.tmp"
    for path in (left, other):
        path.write_text("half")
    target = tmp_path / ".env"
    if act != "delete what is not there":
        target.write_text("A=1")
    if act == "write":
        LocalFiles().write(str(target), b"A=2")
    else:
        LocalFiles().delete(str(target))
    assert not left.exists() and other.exists()
