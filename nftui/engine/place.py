"""Where a project's state lies, whose it is, and whether the place may be trusted with secrets."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from nftui.model.dataclass import dataclass
from nftui.model.errors import UsageError
from nftui.model.message import Message, msg
from nftui.system.who import user_name

STATE_VERSION = 1
PARTS = ("runs", "generations", "blobs", "artefacts")


@dataclass(frozen=True, slots=True)
class Identity:
    """Which project a state directory is of: what project.json says."""

    name: str
    directory: str
    """Stable path: links resolved."""
    engine: str
    """The engine's id; "" where no run had an engine yet."""

    def as_json(self) -> dict[str, object]:
        """The stored form."""
        return {"version": STATE_VERSION, "name": self.name, "directory": self.directory, "engine": self.engine}

    def is_of(self, other: Identity) -> bool:
        """The same project, as far as both know their engine."""
        engines = {self.engine, other.engine} - {""}
        return (self.name, self.directory) == (other.name, other.directory) and len(engines) < 2


def identity(engine_id: str, name: str, directory: str) -> Identity:
    """Of the project as it was found now."""
    return Identity(name, os.path.realpath(directory), engine_id)


def project_id(project: Identity) -> str:
    """Names a project for good: engine id, project name, stable path (engine.md 9).

    The name is given once, by the first run, and is the state directory's. Where that run had no engine
    (`--files-only`), a later one that has writes the engine's id into project.json and keeps directory and name: the
    header of the override, which names the directory, stays true. See `locate`.
    """
    text = "\n".join((project.engine or "none", project.name, project.directory))
    return f"{project.name[:40]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def locate(root: Path, project: Identity) -> str:
    """The project id that `project` goes by below `root`.

    Its own; else that of the one state directory which is of the same project, where either side knows no engine.
    Two engines that serve a project of the same name and path have a state each; without an engine neither is
    taken then, and the override's header decides.
    """
    own = project_id(project)
    if (root / own).is_dir() or not root.is_dir():
        return own
    try:
        found = [path.name for path, other in _identities(root) if other.is_of(project)]
    except OSError:
        return own
    return found[0] if len(found) == 1 else own


def _identities(root: Path) -> Iterator[tuple[Path, Identity]]:
    """The state directories below `root`; a damaged one is refused when it is the project's own, not here."""
    for path in sorted(root.iterdir()):
        try:
            found = read_identity(path)
        except (UsageError, OSError):
            continue
        if found is not None:
            yield path, found


def read_identity(path: Path) -> Identity | None:
    """What the project.json in `path` says; None where there is none. Raises UsageError where it cannot be used."""
    file = path / "project.json"
    try:
        data = json.loads(file.read_text())
        version = int(data["version"])
        found = Identity(str(data["name"]), os.path.realpath(str(data["directory"])), str(data.get("engine", "")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            msg(
                "{path} is damaged ({why}). Nothing was touched; put back a copy of it.",
                path=str(file),
                why=f"{type(error).__name__}: {error}",
            )
        ) from None
    if version > STATE_VERSION:
        raise newer(str(file))
    return found


def newer(path: str) -> UsageError:
    """What a newer nftui wrote is left alone."""
    return UsageError(msg("{path} was written by a newer nftui; use that one. Nothing was touched.", path=path))


def check_place(root: Path, project: Identity) -> None:
    """Refuse what could be someone else's work: links, foreign owners, modes that let others in; another project's.

    Raises UsageError, which names the path and what is safe to do. What is not there yet is fine.
    """
    for path in (root.parent, root, *(root / part for part in PARTS)):
        _check_directory(path, private=path != root.parent)
    found = read_identity(root)
    if found is not None and not found.is_of(project):
        raise UsageError(
            msg(
                "{path} is the state of the project {name} in {directory}, not of this one. Nothing was touched; "
                "run nftui there, or name another place with --state-dir.",
                path=str(root),
                name=found.name,
                directory=found.directory,
            )
        )


def _check_directory(path: Path, *, private: bool) -> None:
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise unusable(path, error) from error
    if not stat.S_ISDIR(found.st_mode):
        raise UsageError(
            msg(
                "{path} is a link or a file, and no directory. Nothing was touched; name the real directory with "
                "--state-dir, or put the directory back.",
                path=str(path),
            )
        )
    if private and found.st_uid != os.geteuid():
        raise UsageError(
            msg(
                "{path} belongs to {owner}. Nothing was touched; run nftui as {owner}, whose runs stand in it.",
                path=str(path),
                owner=user_name(found.st_uid),
            )
        )
    if found.st_mode & (0o077 if private else 0o002):
        _refuse_open(path, private=private)


def _refuse_open(path: Path, *, private: bool) -> None:
    raise UsageError(
        msg(
            "{path} can be written by others or read by them, and nftui keeps secrets there. Nothing was touched; "
            "see that nothing in it was changed, then: chmod {mode} {path}",
            path=str(path),
            mode="700" if private else "o-w",
        )
    )


def unusable(path: Path, error: OSError) -> UsageError:
    """The state directory cannot be made or read."""
    return UsageError(
        msg(
            "The state directory {path} cannot be used: {why}. Nothing was touched; name another with --state-dir.",
            path=str(path),
            why=error.strerror or str(error),
        )
    )


def not_ours(override: str, owner: str, own: str) -> Message:
    """Another state directory owns the file: its history would be lost (engine.md 9)."""
    return msg(
        "{path} belongs to the state in {owner}{user}, not to {own}. Nothing was touched. Run nftui as that user, with "
        "--state-dir {root} if need be; if this directory was moved, move it back first; if it is a copy, delete "
        "{path} here and its name from COMPOSE_FILE.",
        path=override,
        owner=owner,
        user=_owner_of(owner),
        own=own,
        root=os.path.dirname(owner),
    )


def _owner_of(path: str) -> str:
    try:
        return f" (of {user_name(os.stat(path).st_uid)})"
    except OSError:
        return ""


def default_state_root(environ: Mapping[str, str]) -> Path:
    """`NFTUI_STATE_DIR`, else /var/lib/nftui for root, else $XDG_STATE_HOME/nftui."""
    if environ.get("NFTUI_STATE_DIR"):
        return Path(environ["NFTUI_STATE_DIR"])
    if os.geteuid() == 0:
        return Path("/var/lib/nftui")
    home = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME") or "/nonexistent") / ".local/state")
    return Path(home) / "nftui"
