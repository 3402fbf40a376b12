"""Services of nftui's own under fault: at every crash point what is routed to is there, and the end is old or new."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from nftui.engine.journal import Journal, Phase, read_journal
from nftui.engine.leavings import sweep
from nftui.engine.ports import FileWriter
from nftui.engine.runner import Options, Outcome, Runner, backward_order
from nftui.model.message import msg
from nftui.model.mounted import FileSet, MountedFile
from nftui.model.plan import Stage, StepSpec, Undo, digest
from nftui.model.stack import Container
from nftui.steps import load_kinds
from nftui.system.blobs import BlobStore
from nftui.system.files import LocalFiles
from tests.engine.mortal import MortalJournal
from tests.engine.test_runner import Quiet
from tests.engine.world import ENV, OVERRIDE, Killed, World

OLD_SET = FileSet("old", {"conf": MountedFile.of("old")})
NEW_SET = FileSet("pool", {"conf": MountedFile.of("new"), "private/users": MountedFile.of("x", secret=True)})
OLD_FILE = b"command shared_buffers=128MB \n"
NEW_FILE = b"command shared_buffers=512MB \n"


def container(name: str, number: int, state: str = "running", exit_code: int | None = None) -> Container:
    return Container(f"{name}{number}", f"{name}-1", name, 1, state, None, "img", "sha", exit_code=exit_code)


@dataclass
class OwnWorld(World):
    """`db` is routed to `old`, and shall be routed to `pool`."""

    others: dict[str, Container] = field(default_factory=dict)
    broken: str = ""
    job: bool = False
    exit_code: int = 0
    unrouted: list[str] = field(default_factory=list)

    def effect(self, name: str) -> bool:
        """Whatever is about to happen, what `db` is routed to runs, and has its files."""
        needed = "pool" if self.running_value == "512MB" else "old"
        files = NEW_SET if needed == "pool" else OLD_SET
        if self.container and (needed not in self.others or not set(files.paths("/p")) <= set(self.files)):
            self.unrouted.append(f"{name}: db runs without {needed}")
        return super().effect(name)

    def containers(self) -> Sequence[Container]:
        return [*super().containers(), *self.others.values()]

    def up(self, service: str, *, scale: int, grace_s: int, force: bool = False) -> None:
        if service == "db":
            return super().up(service, scale=scale, grace_s=grace_s, force=force)
        die = self.effect(f"up {service}")
        self.created += 1
        state = "exited" if self.job or service == self.broken else "running"
        self.others[service] = container(service, self.created, "created" if die else state, self.exit_code)
        if die:
            raise Killed("between create and start")

    def stop(self, container_id: str, grace_s: int) -> None:
        self.effect(f"stop {container_id}")
        self.others = {n: replace(c, state="exited") if c.id == container_id else c for n, c in self.others.items()}

    def remove(self, container_id: str, grace_s: int) -> None:
        die = self.effect(f"remove {container_id}")
        self.others = {name: c for name, c in self.others.items() if c.id != container_id}
        if die:
            raise Killed("after the removal")


def new_world(place: Path) -> OwnWorld:
    files = {ENV: b"A=1\n", OVERRIDE: OLD_FILE, **contents(OLD_SET)}
    return OwnWorld(BlobStore(place / "blobs"), files, others={"old": container("old", 0)})


def contents(files: FileSet) -> dict[str, bytes]:
    return {path: file.content or b"" for path, file in files.paths("/p").items()}


def mounted(files: FileSet, *, goes: bool) -> StepSpec:
    listed = {p: {"digest": f.digest, "mode": f.mode, "owner": None} for p, f in files.paths("/p").items()}
    params = {"files": listed, "like": None, "goes": goes}
    return StepSpec(f"{files.name}:{goes}", "mounted", files.directory("/p"), params, msg("step"))


def stages(world: OwnWorld) -> tuple[Stage, ...]:
    for content in (NEW_FILE, *contents(NEW_SET).values()):
        world.blobs.put(content)
    text = msg("step")
    steps = (
        mounted(NEW_SET, goes=False),
        StepSpec("override", "file", OVERRIDE, {"after": digest(NEW_FILE), "mode": 0o644}, text),
        StepSpec("start", "start", "pool", {"grace_s": 1, "job": world.job}, text, "pool"),
        StepSpec("recreate", "recreate", "db", {"grace_s": 1, "force": False}, text, "db", undo=Undo.BY_RESTART),
        StepSpec("remove", "remove", "old", {"grace_s": 1}, text, "old"),
        mounted(OLD_SET, goes=True),
    )
    return (Stage("settings", steps, ("db", "pool", "old")),)


def end(world: OwnWorld, outcome: Outcome | None) -> None:
    """As the worker does: the directories of what stands are kept, those of a former generation too."""
    keep = {(OLD_SET.name, OLD_SET.digest)} | ({(NEW_SET.name, NEW_SET.digest)} if outcome is None else set())
    sweep(stages(world)[0].steps, keep, world)


def run(
    world: OwnWorld, path: Path, make: Callable[[Path], Journal] = Journal, *, turn: bool = False
) -> Outcome | None:
    journal = make(path)
    runner = Runner(journal, stages(world), load_kinds(), world.context(), Quiet(), Options())
    try:
        if turn and not runner.view.turned:
            journal.write(Phase.TURN, reason="recovery")
        outcome = runner.forward()
    finally:
        journal.close()
    if not world.unrouted and (outcome is None or outcome.name == "rolled-back"):
        end(world, outcome)
    return outcome


def is_old(world: OwnWorld) -> bool:
    files = {ENV: b"A=1\n", OVERRIDE: OLD_FILE, **contents(OLD_SET)}
    up = {name for name, c in world.others.items() if c.running}
    return world.files == files and up == {"old"} == set(world.others) and world.running_value == "128MB"


def is_new(world: OwnWorld) -> bool:
    files = {ENV: b"A=1\n", OVERRIDE: NEW_FILE, **contents(OLD_SET), **contents(NEW_SET)}
    return world.files == files and set(world.others) == {"pool"} and world.running_value == "512MB"


def test_it_is_up_before_it_is_used_and_goes_after(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    assert run(world, tmp_path / "j") is None and is_new(world) and not world.unrouted
    order = [e for e in world.effects if e.startswith(("up", "remove"))]
    assert order == ["up pool", "up db", "remove old0"]
    back = [s.id for s in backward_order(stages(world)[0], load_kinds())]
    assert back == ["old:True", "override", "pool:False", "remove", "recreate", "start"]


@pytest.mark.parametrize("lost", [False, True])
def test_a_rollback_writes_again_what_was_lost(tmp_path: Path, lost: bool) -> None:
    world = new_world(tmp_path)
    assert run(world, tmp_path / "j") is None
    if lost:
        world.files = {p: c for p, c in world.files.items() if p not in contents(OLD_SET)}
    journal = Journal(tmp_path / "j")
    runner = Runner(journal, stages(world), load_kinds(), world.context(), Quiet(), Options())
    outcome = runner.backward(runner.own_items(), "test")
    assert outcome.name == "rolled-back" and not world.unrouted
    end(world, outcome)
    assert is_old(world)


def test_a_service_that_does_not_come_up_is_taken_back(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    world.broken = "pool"
    outcome = run(world, tmp_path / "j")
    assert outcome is not None and outcome.name == "rolled-back" and "pool" in outcome.reason
    assert is_old(world) and "up db" not in world.effects


@pytest.mark.parametrize(("code", "ended"), [(0, None), (3, "rolled-back")])
def test_a_job_has_to_end_well(tmp_path: Path, code: int, ended: str | None) -> None:
    world = new_world(tmp_path)
    world.job, world.exit_code = True, code
    outcome = run(world, tmp_path / "j")
    assert (outcome.name if outcome else None) == ended
    assert is_old(world) if ended else world.running_value == "512MB"


def test_a_container_that_was_there_is_not_removed(tmp_path: Path) -> None:
    """Somebody's own, under the same label, that did not run."""
    world = new_world(tmp_path)
    theirs = container("pool", 99, "exited")
    kind, step, ctx = load_kinds().of(stages(world)[0].steps[2]), stages(world)[0].steps[2], world.context()
    world.others["pool"] = theirs
    before = kind.read(step, ctx)
    world.others["pool"] = replace(theirs, state="running")
    kind.undo(step, before, ctx)
    assert world.others["pool"].state == "exited" and world.effects == ["stop pool99"]


def counted(tmp_path: Path) -> tuple[int, int]:
    tmp_path.mkdir()
    world = new_world(tmp_path)
    run(world, tmp_path / "count")
    return len(read_journal(tmp_path / "count")), len(world.effects)


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.parametrize("where", ["line before", "line after", "effect before", "effect after"])
def test_every_crash_point_ends_old_or_new(tmp_path: Path, where: str, turn: bool) -> None:
    lines, effects = counted(tmp_path / "c")
    for point in range(1, (lines if where.startswith("line") else effects) + 1):
        base = tmp_path / str(point)
        base.mkdir()
        world = new_world(base)

        def make(path: Path, point: int = point) -> Journal:
            journal = MortalJournal(path)
            if where.startswith("line"):
                journal.kill_at, journal.after = point, where.endswith("after")
            return journal

        world.kill_at = point if where.startswith("effect") else None
        world.kill_after = where.endswith("after")
        with pytest.raises(Killed):
            run(world, base / "j", make)
        world.kill_at = None
        outcome = run(world, base / "j", turn=turn)
        assert (outcome is None) != turn or where.startswith("effect"), (point, outcome)
        assert is_new(world) if outcome is None else is_old(world), (where, point, world.effects, world.others)
        assert not world.unrouted, (where, point, world.unrouted)


@pytest.mark.parametrize(("source", "stays"), [
    ("/p/nftui/pool/NEW", True), ("/p/nftui/pool/NEW/private", True), ("/p", False), ("/p/nftui/pool", False),
    ("/p/nftui/pool/NEWER", False),
])  # fmt: skip
def test_what_a_container_still_mounts_stays(tmp_path: Path, source: str, stays: bool) -> None:
    world = new_world(tmp_path)
    world.files |= contents(NEW_SET)
    mounts = [source.replace("NEW", NEW_SET.digest)]
    steps = [mounted(NEW_SET, goes=False)]
    assert sweep(steps, set(), world, lambda: mounts) == ([NEW_SET.directory("/p")] if stays else [])
    assert (set(contents(NEW_SET)) <= set(world.files)) == stays


def test_nobody_is_asked_for_mounts_where_nothing_goes(tmp_path: Path) -> None:
    def asked() -> list[str]:
        raise AssertionError

    steps = [mounted(NEW_SET, goes=False), StepSpec("env", "env", ENV, {}, msg("step"))]
    assert sweep(steps, {(NEW_SET.name, NEW_SET.digest)}, new_world(tmp_path), asked) == []


def test_what_a_cut_off_write_left_goes_with_its_directory(tmp_path: Path) -> None:
    step = mounted(FileSet("pool", {"conf": MountedFile.of("new")}), goes=False)
    params = {"files": {f"{tmp_path}/nftui/pool/{'0' * 16}/conf": {"digest": digest(b"new")}}}
    half = tmp_path / "nftui" / "pool" / ("0" * 16) / ".nftui-conf.0123abcd.tmp"
    half.parent.mkdir(parents=True)
    half.touch()
    sweep([replace(step, target=str(half.parent), params=params)], set(), FileWriter(LocalFiles()))
    assert not list(tmp_path.iterdir())
