"""A data world whose `db` goes to another version: images that are had, and servers that are only directories.

A script is known by its name and does to the directories what the real one does; whoever starts a server where another
one runs, or on a place that is fenced, fails the test.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nftui.clients import pgscripts
from nftui.model.errors import NftuiError
from nftui.model.facts import Live
from nftui.model.images import StoredImage
from nftui.model.message import msg
from nftui.model.plan import DataSwitch, Stage, StepSpec
from nftui.model.postgres import ClusterFacts, DatabaseFacts
from nftui.steps.kind import Context
from nftui.system.blobs import BlobStore
from tests.engine.data_world import CONTROL, DataWorld, MortalTrees, stage_of, switch
from tests.engine.world import ENV, Killed

NEW, KEPT = "pg:15", "nftui-kept/p-db:sha"
DUMP = {"got": "image:db", "image": NEW, "inside": "/data", "pgdata": "/data", "old_image": "sha", "role": "postgres",
        "jobs": "2", "preload": "", "memory": "64MB", "buffers": "64MB", "flags": ["work_mem"], "user": ""}  # fmt: skip


CLUSTER = ClusterFacts(130000, True, "postgres", (DatabaseFacts("postgres", 1000, "UTF8", "C", "C", ("plpgsql",)),))


class UnwrappingTrees(MortalTrees):
    """Dies around that effect too."""

    def unwrap(self, path: str, work: str, data: str, relative: str) -> None:
        self._do("unwrap", lambda: super(UnwrappingTrees, self).unwrap(path, work, data, relative))


NEXT_WAL = "0000000000000007"


@dataclass
class Done:
    """A program that has ended."""

    answer: tuple[int, str, str]

    def poll(self) -> tuple[int, str, str]:
        return self.answer

    def end(self) -> None:
        """Nothing goes on."""


@dataclass
class Endless:
    """A program that does not end by itself."""

    ended: bool = False

    def poll(self) -> None:
        """Still at work."""

    def end(self) -> None:
        self.ended = True


@dataclass
class ImagesWorld(DataWorld):
    """`fails` names a script that does not succeed, `says` its complaint, `differs` what the comparison tells."""

    mounts: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Helper to what it has mounted; what a killed worker leaves stays."""
    stored: dict[str, str] = field(default_factory=lambda: {"pg:13": "sha"})
    """Name to image id."""
    has: tuple[str, ...] = ("extension plpgsql", "setting work_mem", "postgres (PostgreSQL) 15.4")
    fails: str = ""
    says: str = ""
    differs: str = ""
    hangs: str = ""
    endless: Endless | None = None
    """The program that `hangs` named."""
    cluster: ClusterFacts = CLUSTER

    # -- helpers
    def start_helper(
        self, image: str, labels: Mapping[str, str], mounts: Mapping[str, str], *, shm_bytes: int = 0
    ) -> str:
        assert labels["nftui.run"] and labels["nftui.step"], "a helper that recovery cannot find"
        name = f"helper-{len(self.effects)}"
        die = self.effect(f"start helper of {image}")
        self.mounts[name] = dict(mounts)
        if die:
            raise Killed(name)
        return name

    def remove_helper(self, helper: str) -> None:
        die = self.effect("remove helper")
        self.mounts.pop(helper, None)
        if die:
            raise Killed(helper)

    def work(self, helper: str, argv: Sequence[str], *, user: str = "") -> Done | Endless:
        name, arguments = argv[3], list(argv[4:])
        die = self.effect(name)
        if self.hangs == name:
            self.endless = Endless()
            return self.endless
        if self.fails == name:
            return Done((1, "", self.says or f"psql: error: {name} broke"))
        said = getattr(self, "_" + name.replace("-", "_").removeprefix("nftui_"))(self.mounts[helper], *arguments)
        if die:
            raise Killed(name)
        return Done((0, said or "", ""))

    def _trial(self, mounts: Mapping[str, str], *words: str) -> str:
        return "\n".join(self.has)

    def _prepare(self, mounts: Mapping[str, str]) -> None:
        work = Path(mounts["/nftui"], pgscripts.WORK)
        shutil.rmtree(work, ignore_errors=True)
        for name in ("old", "new", "dump", "data"):
            (work / name).mkdir(parents=True)

    def _owner(self, mounts: Mapping[str, str], data: str) -> str:
        return "999:999\n"

    def _start_old(self, mounts: Mapping[str, str], data: str, preload: str) -> None:
        assert not (self.container and self.container.running), "two servers on one directory"
        assert (Path(mounts[data]) / CONTROL).is_file(), "the old server was started on a fenced place"

    def _size(self, mounts: Mapping[str, str], role: str) -> str:
        return "4096\n"

    def _dump(self, mounts: Mapping[str, str], role: str, jobs: str, *statements: str) -> None:
        old = self.root / "old"
        shutil.copytree(old, Path(mounts["/nftui"], pgscripts.WORK, "dump", "tree"), symlinks=True)

    def _stop(self, mounts: Mapping[str, str], data: str) -> str:
        return f"{NEXT_WAL}\n"

    def _keep(self, mounts: Mapping[str, str], data: str, next_wal: str) -> None:
        assert next_wal == NEXT_WAL
        Path(mounts["/nftui"], pgscripts.DUMPED).write_text("")

    def _init(self, mounts: Mapping[str, str], role: str) -> None:
        data = Path(mounts["/nftui"], pgscripts.DATA)
        shutil.rmtree(data)
        data.mkdir()

    def _start_new(self, mounts: Mapping[str, str], *rest: str) -> None:
        pass

    def _restore(self, mounts: Mapping[str, str], role: str, jobs: str) -> None:
        dump = Path(mounts["/nftui"], pgscripts.WORK, "dump", "tree")
        shutil.copytree(dump, Path(mounts["/nftui"], pgscripts.DATA), symlinks=True, dirs_exist_ok=True)

    def _prove(self, mounts: Mapping[str, str], role: str, jobs: str, *statements: str) -> str:
        assert len(statements) == 3, "not all that is compared is asked"
        return self.differs

    def _settings(self, mounts: Mapping[str, str], role: str) -> str:
        return ""

    def _finish(self, mounts: Mapping[str, str]) -> None:
        pass

    # -- images
    def find(self, reference: str) -> StoredImage | None:
        found = self.stored.get(reference)
        return StoredImage(found, architecture="amd64", environment={"PG_MAJOR": "15"}) if found else None

    def pull(self, reference: str) -> None:
        die = self.effect(f"pull {reference}")
        if self.refuse == "pull":
            raise NftuiError(msg("manifest unknown"))
        self.stored[reference] = "new-sha"
        if die:
            raise Killed(reference)

    def tag(self, image_id: str, name: str) -> None:
        die = self.effect(f"tag {name}")
        self.stored[name] = image_id
        if die:
            raise Killed(name)

    def untag(self, name: str) -> None:
        die = self.effect(f"untag {name}")
        self.stored.pop(name, None)
        if die:
            raise Killed(name)

    def architecture(self) -> str:
        return "amd64"

    # -- the rest
    def _start_db(self) -> None:
        super()._start_db()
        assert self.container
        image = self.stored[NEW] if self.named() == "new" else "sha"
        self.container = replace(self.container, image_id=image)

    def probe(self, service: str, probe: str) -> Live:
        return Live(probe, service, self.cluster) if probe == "postgres-cluster" else super().probe(service, probe)

    def context(self, **options: object) -> Context:
        helpers = type("Helpers", (), {"start": self.start_helper, "work": self.work, "remove": self.remove_helper})()
        ports = {"images": self, "helpers": helpers, "trees": UnwrappingTrees(self)}
        return replace(super().context(**options), **ports)

    def end_helpers(self) -> None:
        """What recovery does before its first step (engine/aftermath.py)."""
        self.mounts.clear()


def new_images_world(base: Path) -> ImagesWorld:
    """`.env` with one key of the operator's, no override."""
    return ImagesWorld(BlobStore(base / "blobs"), {ENV: b"A=1\n"}, root=base / "volumes")


def dump_switch() -> DataSwitch:
    """`db` from `old` to `new`, by dump and restore."""
    return replace(switch(), dump=DUMP)


def image_stage(world: ImagesWorld) -> Stage:
    """What the planner makes of another major: the image first, what runs read back."""
    stage = stage_of(world, dump_switch())
    text = msg("step")
    first = StepSpec("image:db", "image", NEW, {"keep": KEPT, "major": "15"}, text, "db", last_back=True)
    steps = list(stage.steps)
    at = next(n for n, s in enumerate(steps) if s.kind == "release")
    steps.insert(at, StepSpec("data:old-new/images-check:db", "image-check", "db", {"reference": NEW}, text, "db"))
    return replace(stage, steps=(first, *steps))


def try_stage() -> Stage:
    """The image had, and tried on a server of its own."""
    text = msg("step")
    first = StepSpec("image:db", "image", NEW, {"keep": KEPT, "major": "15"}, text, "db", last_back=True)
    params = {"got": "image:db", "image": NEW, "flags": ["work_mem"]}
    return Stage("main", (first, StepSpec("rehearsal:db", "pg-try", "db", params, text, "db")), ("db",), ())
