"""Files that services mount: immutable, in a directory named by its content, so that a change is a new path.

Compose does not see changed content, and a single-file bind keeps the old inode (engine.md 10): a directory whose name
says what is in it makes Compose recreate by itself, and old and new exist side by side until nothing needs the old one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path, PurePosixPath
from typing import cast

from nftui.model.dataclass import dataclass
from nftui.model.patterns import regex

FOLDER = "nftui"
"""Beside the operator's Compose file."""
IGNORE = ".gitignore"
IGNORED = b"*\n"
"""What stands in it: nothing of the folder belongs into a repository or a build context."""
_DIRECTORY = regex("[0-9a-f]{16}")
_PUBLIC, _SECRET = 0o644, 0o640


@dataclass(frozen=True, slots=True)
class MountedFile:
    """One file. Where `secret` is True its content is shown nowhere, and only its owner and group can read it.

    A directory's name is made from the content: a secret stands in one as a verifier or as something that nobody can
    guess, never as a password that somebody chose.
    """

    digest: str
    """sha256 of the content, in hex."""
    content: bytes | None = None
    """None where it was not read back from the snapshot store."""
    secret: bool = False
    owner: tuple[int, int] | None = None
    """User and group on this machine that the container's process is mapped to; None: whose the Compose file is."""

    @staticmethod
    def of(content: bytes | str, *, secret: bool = False, owner: tuple[int, int] | None = None) -> MountedFile:
        """The file that holds `content`."""
        data = content.encode() if isinstance(content, str) else content
        return MountedFile(hashlib.sha256(data).hexdigest(), data, secret, owner)

    @property
    def mode(self) -> int:
        """Permission bits."""
        return _SECRET if self.secret else _PUBLIC

    def as_json(self) -> dict[str, object]:
        """Plain form, without the content: that lies in the snapshot store."""
        return {"digest": self.digest, "secret": self.secret, "owner": list(self.owner) if self.owner else None}

    @staticmethod
    def from_json(data: Mapping[str, object]) -> MountedFile:
        """Inverse of `as_json`."""
        owner = cast("list[int] | None", data["owner"])
        ids = (int(owner[0]), int(owner[1])) if owner else None
        return MountedFile(str(data["digest"]), None, bool(data["secret"]), ids)


def mounted_files(base: str) -> list[str]:
    """What lies in such directories in the project at `base`, in order; other things in the folder are not nftui's."""
    folder = Path(base, FOLDER)
    sets = (d for d in folder.glob("*/*") if _DIRECTORY.fullmatch(d.name))
    found = [p for d in sets for p in d.rglob("*") if p.is_file()]
    return sorted(str(p) for p in (*found, folder / IGNORE))


@dataclass(frozen=True, slots=True)
class FileSet:
    """Files that are mounted together as one directory, `nftui/NAME/DIGEST`.

    `name` is one path segment and unique among all optimizations; keys of `files` are relative paths in that
    directory. ValueError for anything else.
    """

    name: str
    files: Mapping[str, MountedFile] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise ValueError(f"not a name for a directory: {self.name!r}")
        for path in self.files:
            parts = PurePosixPath(path)
            if parts.is_absolute() or ".." in parts.parts or str(parts) != path or path == ".":
                raise ValueError(f"not a path in a directory: {path!r}")

    @property
    def digest(self) -> str:
        """Names the directory: paths, contents, modes and owners of all its files."""
        data = {path: file.as_json() for path, file in self.files.items()}
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]

    def directory(self, base: str) -> str:
        """The absolute directory to bind (long volume syntax, read only) in the project at `base` (`Stack.base`)."""
        return str(PurePosixPath(base, FOLDER, self.name, self.digest))

    def paths(self, base: str) -> dict[str, MountedFile]:
        """Its files by absolute path."""
        place = PurePosixPath(self.directory(base))
        return {str(place / path): file for path, file in sorted(self.files.items())}

    def as_json(self) -> dict[str, object]:
        """Plain form, without contents."""
        return {"name": self.name, "files": {path: file.as_json() for path, file in sorted(self.files.items())}}

    @staticmethod
    def from_json(data: Mapping[str, object]) -> FileSet:
        """Inverse of `as_json`."""
        files = cast("Mapping[str, Mapping[str, object]]", data["files"])
        return FileSet(str(data["name"]), {path: MountedFile.from_json(file) for path, file in files.items()})
