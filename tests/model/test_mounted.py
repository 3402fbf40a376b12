"""Files that services mount: the directory's name says all that is in it, and nothing tells a content."""

from __future__ import annotations

import json

import pytest

from nftui.engine.state import fragment_from, fragment_json
from nftui.model.advice import Fragment
from nftui.model.mounted import FileSet, MountedFile

WORD = "not-a-secret"


def one(content: str = WORD, **more: object) -> FileSet:
    return FileSet("pool", {"users.txt": MountedFile.of(content, **more)})  # type: ignore[arg-type]


def test_any_difference_is_another_directory() -> None:
    others = [
        one("other"),
        one(secret=True),
        one(owner=(70, 70)),
        FileSet("pool", {"a/users.txt": MountedFile.of(WORD)}),
    ]
    assert len({one().digest, *(o.digest for o in others)}) == 5
    assert one().directory("/p") == one().directory("/p") == f"/p/nftui/pool/{one().digest}"
    assert list(others[3].paths("/p")) == [f"{others[3].directory('/p')}/a/users.txt"]


def test_a_secret_is_for_its_owner_and_group_only() -> None:
    assert (MountedFile.of("x", secret=True).mode, MountedFile.of("x").mode) == (0o640, 0o644)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../x", "a//x", "./x", ".", ""])
def test_no_file_leaves_its_directory(path: str) -> None:
    with pytest.raises(ValueError, match="not a path"):
        FileSet("pool", {path: MountedFile.of("x")})


@pytest.mark.parametrize("name", ["", "a/b", "..", ".git"])
def test_a_name_is_one_segment(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        FileSet(name)


def test_what_is_stored_tells_no_content_and_is_the_same_directory() -> None:
    fragment = Fragment("o", {"pool": {"image": "i"}}, {}, (one(secret=True, owner=(70, 70)),), {"pool": ("db",)})
    text = json.dumps(fragment_json(fragment))
    back = fragment_from(json.loads(text))
    assert WORD not in text
    assert (back.files[0].digest, back.own) == (fragment.files[0].digest, {"pool": ("db",)})
    assert back.files[0].files["users.txt"].content is None


def test_a_fragment_of_the_first_version_has_no_files() -> None:
    assert fragment_from({"optimization": "o", "services": {}, "values": {}}) == Fragment("o")
