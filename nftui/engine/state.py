"""The state directory: what is in force, generations, runs, blobs, audit. Mode 0700, never in the project."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from nftui.engine.artefacts import Artefacts
from nftui.engine.journal import RunView, read_journal
from nftui.engine.place import PARTS, STATE_VERSION, Identity, check_place, locate, newer, read_identity, unusable
from nftui.model.advice import Assertion, Fragment
from nftui.model.choices import Choices
from nftui.model.dataclass import dataclass
from nftui.model.errors import LockedError, NftuiError, UsageError
from nftui.model.message import msg
from nftui.model.mounted import FileSet
from nftui.model.plan import canonical, digest
from nftui.system.blobs import BlobStore
from nftui.system.durable import make_directory, sync_directory
from nftui.system.durable import write_json as write_json
from nftui.system.files import FileError, resolve_target
from nftui.system.identity import ProcessId


@dataclass(frozen=True, slots=True)
class InForce:
    """What a committed run left standing. Generation 0 is before nftui."""

    generation: int = 0
    run: str | None = None
    choices: Choices = field(default_factory=Choices)
    fragments: tuple[Fragment, ...] = ()
    assertions: tuple[Assertion, ...] = ()
    env_origin: Mapping[str, object] = field(default_factory=dict)
    """How `.env` was before nftui: {"path", "existed", "value"}; empty where it was never edited."""

    def fragment(self, optimization: str) -> Fragment | None:
        """That optimization's part, None where it has none."""
        return next((f for f in self.fragments if f.optimization == optimization), None)

    def as_json(self) -> dict[str, object]:
        """Plain form."""
        return {
            "version": STATE_VERSION,
            "generation": self.generation,
            "run": self.run,
            "choices": self.choices.as_json(),
            "fragments": [fragment_json(f) for f in self.fragments],
            "assertions": [
                {"kind": a.kind, "target": a.target, "expected": a.expected, "params": dict(a.params), "level": a.level}
                for a in self.assertions
            ],
            "env_origin": dict(self.env_origin),
        }

    @staticmethod
    def from_json(data: Mapping[str, object]) -> InForce:
        """Inverse of `as_json`; a newer version is refused."""
        if int(str(data["version"])) > STATE_VERSION:
            raise newer("inforce.json")
        fragments = cast("list[Mapping[str, object]]", data["fragments"])
        assertions = cast("list[Mapping[str, object]]", data["assertions"])
        return InForce(
            int(str(data["generation"])),
            cast("str | None", data["run"]),
            Choices.from_json(cast("Mapping[str, object]", data["choices"])),
            tuple(fragment_from(f) for f in fragments),
            tuple(Assertion(**cast("dict[str, str]", a)) for a in assertions),  # type: ignore[arg-type]
            cast("Mapping[str, object]", data["env_origin"]),
        )


def fragment_json(fragment: Fragment) -> dict[str, object]:
    """Plain form; contents of files lie in the snapshot store."""
    found: dict[str, object] = {
        "optimization": fragment.optimization, "services": fragment.services, "values": fragment.values,
        "files": [f.as_json() for f in fragment.files], "own": {k: list(v) for k, v in fragment.own.items()},
    }  # fmt: skip
    made = {"volumes": fragment.volumes, "networks": fragment.networks, "before": fragment.before}
    return {**found, **{name: value for name, value in made.items() if value}}


def fragment_from(data: Mapping[str, object]) -> Fragment:
    """Inverse of `fragment_json`."""
    return Fragment(
        str(data["optimization"]),
        cast("Mapping[str, Mapping[str, object]]", data["services"]),
        cast("Mapping[str, Mapping[str, str]]", data["values"]),
        # The first versions wrote neither files nor services of their own.
        tuple(FileSet.from_json(f) for f in cast("list[Mapping[str, object]]", data.get("files", []))),
        {k: tuple(v) for k, v in cast("Mapping[str, list[str]]", data.get("own", {})).items()},
        cast("Mapping[str, Mapping[str, object]]", data.get("volumes", {})),
        cast("Mapping[str, Mapping[str, object]]", data.get("networks", {})),
        cast("Mapping[str, Mapping[str, str]]", data.get("before", {})),
    )


def with_contents(in_force: InForce, blobs: BlobStore) -> InForce:
    """The same with the contents of mounted files, as far as the snapshot store has them whole."""
    fragments = tuple(replace(f, files=tuple(_with_contents(s, blobs) for s in f.files)) for f in in_force.fragments)
    return replace(in_force, fragments=fragments)


def _with_contents(files: FileSet, blobs: BlobStore) -> FileSet:
    found = {p: replace(f, content=blobs.get(f.digest)) for p, f in files.files.items() if blobs.whole(f.digest)}
    return replace(files, files={**files.files, **found})


class ProjectState:
    """One project's state. Reading never creates anything; `prepare` does, before the first run."""

    def __init__(self, root: Path, project: Identity) -> None:
        self.identity = project
        self.project = locate(root, project)
        self.root = root / self.project
        self.blobs = BlobStore(self.root / "blobs")
        self.artefacts = Artefacts(self.root / "artefacts")

    def prepare(self) -> None:
        """Create the directories, or say why they cannot be used; a first engine is remembered (place.project_id)."""
        self.check()
        try:
            for part in PARTS:
                make_directory(self.root / part)
            self.check()
            known = read_identity(self.root)
            if known is None:
                self.commit(InForce())
            if known is None or (self.identity.engine and not known.engine):
                write_json(self.root / "project.json", self.identity.as_json())
        except OSError as error:
            raise unusable(self.root, error) from error

    def check(self) -> None:
        """Refuse a place that cannot be trusted, or is another project's: UsageError, before anything is believed."""
        check_place(self.root, self.identity)

    @property
    def lineage(self) -> str:
        """Names this state directory in the override's header, so that another one can be refused by its name.

        A path and not a random name: a plan holds no random value, and is the same before and after the first run.
        """
        return str(self.root)

    def in_force(self) -> InForce:
        """What stands now."""
        self.check()
        begun = (self.root / "project.json").exists()
        return _in_force(self.root / "inforce.json") if begun else InForce()

    def generation(self, number: int) -> InForce:
        """A former one; 0 is before nftui."""
        return _in_force(self.generation_path(number)) if number else InForce()

    def generation_path(self, number: int) -> Path:
        """Where it is kept."""
        return self.root / "generations" / f"{number:06d}.json"

    def standing(self) -> list[tuple[int, str]]:
        """(generation, run) of what stands, oldest first."""
        found = [(n, self.generation(n).run) for n in range(1, self.in_force().generation + 1)]
        return [(n, run) for n, run in found if run]

    def commit(self, state: InForce) -> None:
        """Make `state` what is in force; idempotent, so that recovery can do it again."""
        data = state.as_json()
        whole = {**data, "sum": _sum(data)}
        if state.generation:
            write_json(self.generation_path(state.generation), whole)
        write_json(self.root / "inforce.json", whole)

    def new_run(self) -> Path:
        """A fresh run directory, named by UTC milliseconds."""
        for _ in range(1000):
            name = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")[:-3] + "Z"
            path = self.root / "runs" / name
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:
                continue
            (path / "requests").mkdir(mode=0o700)
            (path / "worker.log").touch(mode=0o600)
            sync_directory(path)
            sync_directory(path.parent)
            return path
        raise NftuiError(msg("No new run could be named."))

    def runs(self) -> list[Path]:
        """Run directories, oldest first."""
        self.check()
        base = self.root / "runs"
        return sorted(p for p in base.iterdir() if p.is_dir()) if base.exists() else []

    def run(self, name: str) -> Path:
        """The run called `name` (a unique beginning is enough)."""
        found = [p for p in self.runs() if p.name.startswith(name)]
        if len(found) != 1:
            known = ", ".join(p.name for p in self.runs()[-5:]) or "none yet"
            raise UsageError(msg("There is no snapshot {name} (known: {known}).", name=name, known=known))
        return found[0]

    def interrupted(self) -> Path | None:
        """The newest run that began and did not end, or whose way back could not finish.

        The lock tells whether it still goes on.
        """
        for path in reversed(self.runs()):
            view = RunView(read_journal(path / "journal.jsonl"))
            if view.entries and (not view.ended or view.entries[-1].data.get("standing")):
                return path
        return None

    def audit(self, record: Mapping[str, object]) -> None:
        """One JSON line, kept beyond pruning; its time is added (local, with offset)."""
        line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **record}, sort_keys=True)
        handle = os.open(self.root / "audit.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            os.write(handle, line.encode() + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
        sync_directory(self.root)


def _sum(data: Mapping[str, object]) -> str:
    """Checksum of a stored state; a version that wrote none is read all the same."""
    return digest(canonical({key: value for key, value in data.items() if key != "sum"})) or ""


def _in_force(path: Path) -> InForce:
    """Read from a file, or UsageError naming it."""
    try:
        data = json.loads(path.read_text())
        found = InForce.from_json(data)
        if data.get("sum", _sum(data)) != _sum(data):
            raise ValueError("its checksum is another one")
        return found
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(msg("{path} cannot be read: {why}. Nothing was touched.", path=str(path), why=why)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            msg(
                "{path} is damaged ({why}). Nothing was touched; put back a copy, or that of the newest generation "
                "from 'generations' beside it.",
                path=str(path),
                why=f"{type(error).__name__}: {error}",
            )
        ) from error


class ProjectLock:
    """`flock` on the project directory itself: works across users and state directories, freed by the kernel."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    @contextmanager
    def held(self, info: Path, owner: Mapping[str, object]) -> Iterator[None]:
        """Hold it, or raise LockedError naming the owner that `info` tells of."""
        handle = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LockedError(msg("Another run holds this project{owner}.", owner=_living_owner(info))) from None
            write_json(info, owner)
            yield
        finally:
            os.close(handle)

    def free(self) -> bool:
        """True where no run holds it now."""
        handle = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(handle)
        return True


def _living_owner(info: Path) -> str:
    """The owner's text; a note of a former owner is not believed: the present one is about to write its own."""
    for _ in range(20):
        try:
            owner = ProcessId.from_json(json.loads(info.read_text()))
        except (OSError, ValueError):
            owner = None
        if owner is not None and owner.alive:
            return owner_text(info)
        time.sleep(0.05)
    return ""


def must_be_writable(path: str) -> None:
    """UsageError where the file could not be replaced: asked before anything begins.

    A link is written through, so the place that counts is that of its target.
    """
    try:
        place = Path(resolve_target(path)).parent
    except FileError as error:
        raise UsageError(msg("{why}. Nothing was touched; make it a file of its own.", why=error.message)) from error
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
        raise UsageError(
            msg(
                "{directory} cannot be written by {user}, so {name} cannot be. Nothing was touched; remount it or "
                "run nftui as its owner.",
                directory=str(place),
                user=f"uid {os.geteuid()}",
                name=Path(path).name,
            )
        )


def owner_text(info: Path) -> str:
    """ ": process 12, user root, since …" from the lock's note, "" where there is none."""
    try:
        data = json.loads(info.read_text())
        return f": process {data['pid']}, user {data['user']}, since {data['since']}"
    except (OSError, ValueError, KeyError):
        return ""
