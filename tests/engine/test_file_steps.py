"""Files on a real file system: bytes, mode, owner and extended attributes come back, whoever changed what."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from nftui.engine.ports import FileWriter
from nftui.model.errors import NftuiError, UsageError
from nftui.model.message import msg
from nftui.model.plan import StepSpec, digest
from nftui.steps import load_kinds
from nftui.steps.calls import Data
from nftui.steps.kind import Context, KeepsBlobs, StepKind
from nftui.system.files import TEMP_PREFIX, Attributes, LocalFiles, attributes_of
from tests.engine.world import new_world

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, rights, who)
    for tag, rights, who in ((1, 6, 2**32 - 1), (2, 4, 4242), (4, 4, 2**32 - 1), (16, 4, 2**32 - 1), (32, 0, 2**32 - 1))
)
"""u::rw, u:4242:r, g::r, m::r, o::- as the kernel stores it."""


def context(tmp_path: Path) -> Context:
    return new_world(tmp_path).context(files=FileWriter(LocalFiles()))


def step(kind: str, target: Path, after: bytes | None, ctx: Context, **more: object) -> StepSpec:
    if after is not None:
        ctx.blobs.put(after)
    return StepSpec(kind, kind, str(target), {"after": digest(after), "mode": 0o640, **more}, msg("step"))


def steps(tmp_path: Path, ctx: Context) -> list[StepSpec]:
    """One of each file kind, on files of their own."""
    return [
        step("file", tmp_path / "compose.nftui.yaml", b"new\n", ctx),
        step("env", tmp_path / ".env", b"A=1\nK=2\n", ctx, keys={"K": "2"}),
    ]


def applied(spec: StepSpec, ctx: Context) -> tuple[StepKind, Data]:
    kind = load_kinds().of(spec)
    before = kind.read(spec, ctx)
    kind.do(spec, before, ctx)
    kind.verify(spec, before, ctx)
    return kind, before


def odd(path: Path) -> Attributes:
    """A file with an owner, an ACL and an attribute of its own; what it has then."""
    path.write_bytes(b"A=1\n")
    os.chown(path, 1234, 4321)
    path.chmod(0o640)
    try:
        os.setxattr(path, "user.note", b"mine")
        os.setxattr(path, "system.posix_acl_access", ACL)
    except OSError:
        pytest.skip("no ACLs on this file system")
    found = attributes_of(str(path))
    assert found is not None and found.xattrs is not None and len(found.xattrs) >= 2
    return found


def _nothing(path: Path) -> None:
    pass


def _replaced(path: Path) -> None:
    """The same bytes in a new file of another mode and owner, without ACL."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    path.chmod(0o666)


def _attribute_gone(path: Path) -> None:
    os.removexattr(path, "user.note")


@ROOT
@pytest.mark.parametrize("meanwhile", [_nothing, _replaced, _attribute_gone])
def test_everything_of_a_file_comes_back(tmp_path: Path, meanwhile: Callable[[Path], None]) -> None:
    ctx = context(tmp_path)
    for spec in steps(tmp_path, ctx):
        path = Path(spec.target)
        old = odd(path)
        kind, before = applied(spec, ctx)
        assert attributes_of(spec.target) == old and path.read_bytes() != b"A=1\n"
        meanwhile(path)
        kind.undo(spec, before, ctx)
        assert path.read_bytes() == b"A=1\n" and attributes_of(spec.target) == old
        meanwhile(path)
        kind.undo(spec, before, ctx)
        assert attributes_of(spec.target) == old


@ROOT
def test_an_attribute_that_was_not_there_goes_again(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    path = tmp_path / ".env"
    path.write_bytes(b"A=1\n")
    spec = steps(tmp_path, ctx)[1]
    kind, before = applied(spec, ctx)
    odd(path)
    path.write_bytes(b"A=1\nK=2\n")
    # What is made in this directory from now on inherits an ACL.
    os.setxattr(tmp_path, "system.posix_acl_default", ACL)
    kind.undo(spec, before, ctx)
    assert attributes_of(spec.target) == Attributes(0o644, 0, 0, {})


@ROOT
def test_what_cannot_be_restored_is_not_called_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = context(tmp_path)
    for spec in steps(tmp_path, ctx):
        odd(Path(spec.target))
        kind, before = applied(spec, ctx)
        with monkeypatch.context() as patch:
            patch.setattr(os, "setxattr", lambda *a, **k: None)
            _replaced(Path(spec.target))
            with pytest.raises(NftuiError, match="could not be restored"):
                kind.undo(spec, before, ctx)


def test_what_a_write_that_was_cut_off_left_goes_on_the_way_back(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    for spec in steps(tmp_path, ctx):
        Path(spec.target).write_bytes(b"A=1\n")
        before = load_kinds().of(spec).read(spec, ctx)
        left = tmp_path / f"{TEMP_PREFIX}{Path(spec.target).name.lstrip('.')}.0123abcd.tmp"
        left.write_bytes(b"A=1\nK=2\n")
        load_kinds().of(spec).undo(spec, before, ctx)
        assert not left.exists() and Path(spec.target).read_bytes() == b"A=1\n"


def test_a_file_that_was_not_there_goes_again(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    for spec in steps(tmp_path, ctx):
        kind, before = applied(spec, ctx)
        assert Path(spec.target).exists()
        kind.undo(spec, before, ctx)
        assert not Path(spec.target).exists()


@ROOT
def test_a_new_file_belongs_to_whom_the_base_file_belongs(tmp_path: Path) -> None:
    ctx, base = context(tmp_path), tmp_path / "compose.yaml"
    base.write_bytes(b"")
    os.chown(base, 1234, 4321)
    target = tmp_path / "compose.nftui.yaml"
    applied(step("file", target, b"new\n", ctx, like=str(base)), ctx)
    found = target.stat()
    assert (found.st_mode & 0o777, found.st_uid, found.st_gid) == (0o640, 1234, 4321)


def test_the_intent_of_an_older_version_is_undone(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    for spec in steps(tmp_path, ctx):
        path = Path(spec.target)
        path.write_bytes(b"A=1\n")
        kind, before = applied(spec, ctx)
        old = {key: value for key, value in before.items() if key != "attributes"} | {"mode": 0o640}
        kind.undo(spec, old, ctx)
        assert path.read_bytes() == b"A=1\n"


def test_which_blobs_a_way_back_needs(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    for spec in steps(tmp_path, ctx):
        kind = load_kinds().of(spec)
        assert isinstance(kind, KeepsBlobs) and kind.blobs(spec, kind.read(spec, ctx)) == ()
        Path(spec.target).write_bytes(b"A=1\n")
        assert kind.blobs(spec, kind.read(spec, ctx)) == (digest(b"A=1\n"),)


def test_a_kind_of_a_newer_version_is_refused() -> None:
    newer = StepSpec("s", "file", "/x", {}, msg("step"), kind_version=99)
    with pytest.raises(UsageError, match="version 99"):
        load_kinds().of(newer)


def _dangling(link: Path, target: Path) -> None:
    link.symlink_to(target)


def _of_a_stranger(link: Path, target: Path) -> None:
    target.write_bytes(b"A=1\n")
    link.symlink_to(target)
    os.chown(link, 1234, 1234, follow_symlinks=False)


@ROOT
@pytest.mark.parametrize("made", [_dangling, _of_a_stranger])
def test_a_link_that_may_not_be_followed_does_not_stop_the_way_back(
    tmp_path: Path, made: Callable[[Path, Path], None]
) -> None:
    ctx = context(tmp_path)
    for number, spec in enumerate(steps(tmp_path, ctx)):
        link, target = Path(spec.target), tmp_path / f"elsewhere{number}"
        made(link, target)
        old = target.read_bytes() if target.exists() else None
        kind = load_kinds().of(spec)
        before = kind.read(spec, ctx)
        with pytest.raises(NftuiError, match="is a link to"):
            kind.do(spec, before, ctx)
        for _ in range(2):
            kind.undo(spec, before, ctx)
            assert link.readlink() == target
            assert (target.read_bytes() if target.exists() else None) == old
