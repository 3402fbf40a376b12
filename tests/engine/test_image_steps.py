"""Images and PostgreSQL majors under fault: old or new, never between, and nothing of a helper or an image is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.engine.journal import Journal, Phase, read_journal
from nftui.engine.runner import Options, Outcome, Runner
from nftui.model.plan import Stage
from nftui.model.postgres import ClusterFacts, DatabaseFacts
from nftui.steps import load_kinds
from nftui.steps.pg_upgrade import why_not
from tests.engine.data_world import contents
from tests.engine.images_world import KEPT, NEW, ImagesWorld, image_stage, new_images_world, try_stage
from tests.engine.mortal import die_at
from tests.engine.test_data_switch import NEW as AS_NEW
from tests.engine.test_data_switch import OLD as AS_OLD
from tests.engine.test_data_switch import WHERE, run, whole
from tests.engine.test_runner import Quiet

OLD_IMAGES, NEW_IMAGES = {"pg:13": "sha"}, {"pg:13": "sha", NEW: "new-sha", f"{KEPT}-run": "sha"}


def begin(base: Path) -> tuple[ImagesWorld, dict[str, bytes], tuple[Stage, ...]]:
    """A world, what its old volume holds, and the plan."""
    base.mkdir(exist_ok=True)
    world = new_images_world(base)
    return world, contents(world.root / "old"), (image_stage(world),)


def must_be_old(world: ImagesWorld, original: dict[str, bytes]) -> None:
    assert world.now() == AS_OLD and world.stored == OLD_IMAGES
    assert contents(world.root / "old") == original and not (world.root / "new").exists()
    assert not world.mounts, "helpers were left"


def test_a_major_goes_over(tmp_path: Path) -> None:
    world, original, plan = begin(tmp_path)
    assert run(world, tmp_path / "j", plan) is None
    assert world.now() == AS_NEW and world.stored == NEW_IMAGES and not world.mounts
    assert contents(world.root / "new") == original
    whole(world, original)
    made = {a.name: (a.kind, a.checksum) for a in world.context().artefacts.list()}
    assert made["new"][0] == "volume" and "equal" in str(made["new"][1])
    assert made[f"{KEPT}-run"] == ("image", "sha") and made["old"][0] == "volume"


@pytest.mark.parametrize(
    "script",
    ["trial", "prepare", "start-old", "size", "dump", "keep", "init", "start-new", "restore", "prove", "finish"],
)
def test_a_script_that_fails_leaves_everything_as_it_was(tmp_path: Path, script: str) -> None:
    world, original, plan = begin(tmp_path)
    world.fails = f"nftui-{script}"
    outcome = run(world, tmp_path / "j", plan)
    assert outcome is not None and outcome.name == "rolled-back" and f"nftui-{script} broke" in outcome.reason
    must_be_old(world, original)


def test_what_the_server_said_to_the_dump_is_told(tmp_path: Path) -> None:
    lines = (
        'pg_dump: error: Dumping the contents of table "torn" failed: PQgetResult() failed.',
        "pg_dump: detail: Error message from server: ERROR:  invalid page in block 3",
        "pg_dump: detail: Command was: COPY public.torn TO stdout;",
    )

    world, original, plan = begin(tmp_path)
    world.fails, world.says = "nftui-dump", "\n".join(lines)
    outcome = run(world, tmp_path / "j", plan)
    assert outcome is not None and outcome.reason.endswith(
        'table "torn" failed: PQgetResult() failed. (ERROR:  invalid page in block 3)'
    )
    must_be_old(world, original)


def test_a_difference_is_named_and_nothing_is_switched(tmp_path: Path) -> None:
    world, original, plan = begin(tmp_path)
    world.differs = "< shop: rows of public.a 5 17\n> shop: rows of public.a 4 16\n"
    outcome = run(world, tmp_path / "j", plan)
    assert outcome is not None and "rows of public.a 5 17" in outcome.reason
    must_be_old(world, original)


def _cluster(world: ImagesWorld, **more: object) -> ClusterFacts:
    return replace(world.cluster, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("has", "words"),
    [
        (("setting work_mem",), "lacks the extensions plpgsql"),
        (("extension plpgsql",), "does not know the settings work_mem"),
        (("extension plpgsql", "setting work_mem", "locale UTF8 de_DE.utf8: no"), "cannot make a database"),
        (("extension plpgsql", "setting work_mem", "linked /data"), "has a link at /data, where the data of db is"),
    ],
)
def test_what_the_new_image_lacks_is_told_before_anything_stops(
    tmp_path: Path, has: tuple[str, ...], words: str
) -> None:
    world, original, plan = begin(tmp_path)
    world.has = has
    outcome = run(world, tmp_path / "j", plan)
    assert outcome is not None and words in outcome.reason
    assert not [e for e in world.effects if e.startswith("stop")]
    must_be_old(world, original)


def test_a_wal_that_lies_elsewhere_is_told_before_anything_stops(tmp_path: Path) -> None:
    world, _, plan = begin(tmp_path)
    (tmp_path / "wal").mkdir()
    (world.root / "old" / "pg_wal").symlink_to(tmp_path / "wal")
    outcome = run(world, tmp_path / "j", plan)
    assert outcome is not None and "pg_wal is a link that leads out of it. Put its WAL back" in outcome.reason
    assert not [e for e in world.effects if e.startswith("stop")]


@pytest.mark.parametrize(
    ("options", "has", "goes"),
    [
        (("pg_attver",), (), False), (("n_distinct", "pg_attver"), ("option pg_attver",), True),
        (("n_distinct", "n_distinct_inherited"), (), True), (("pg_attver",), ("option other",), False),
    ],
)  # fmt: skip
def test_a_dump_that_an_older_minor_could_not_restore_is_not_begun(
    tmp_path: Path, options: tuple[str, ...], has: tuple[str, ...], goes: bool
) -> None:
    world, original, plan = begin(tmp_path)
    world.cluster = _cluster(world, databases=(replace(world.cluster.databases[0], column_options=options),))
    world.has = (*world.has, *has)
    outcome = run(world, tmp_path / "j", plan)
    if goes:
        assert outcome is None
        return
    assert outcome is not None and "a dump would hold pg_attver, which it does not know" in outcome.reason
    assert not [e for e in world.effects if e.startswith("stop")]
    must_be_old(world, original)


def test_what_a_dump_would_lose_is_told_before_anything_stops(tmp_path: Path) -> None:
    world, original, plan = begin(tmp_path)
    world.cluster = _cluster(world, prepared=2)
    outcome = run(world, tmp_path / "j", plan)
    assert outcome is not None and "prepared transactions" in outcome.reason
    assert not [e for e in world.effects if e.startswith("stop")]
    must_be_old(world, original)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"superuser": False}, "no superuser"), ({"in_recovery": True}, "standby"), ({"version_num": 90600}, "rows"),
        ({"tablespaces": ("fast",)}, "fast"), ({"slots": ("s1",)}, "s1"), ({"subscriptions": ("sub",)}, "sub"),
        ({"closed": ("shut",)}, "shut"), ({"unread": ("odd",)}, "odd"), ({"prepared": 1}, "prepared"), ({}, ""),
    ],
)  # fmt: skip
def test_what_cannot_be_dumped(more: dict[str, object], words: str, tmp_path: Path) -> None:
    said = [str(m) for m in why_not(_cluster(new_images_world(tmp_path), **more))]
    assert (len(said) == 1 and words in said[0]) if words else not said


def test_too_little_room_is_told_with_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.engine.images_world import UnwrappingTrees

    monkeypatch.setattr(UnwrappingTrees, "room", lambda self, path: (4096, 1000))
    world, original, plan = begin(tmp_path)
    outcome = run(world, tmp_path / "j", plan)
    assert outcome is not None and "4096 bytes" in outcome.reason and "the copy needs" in outcome.reason
    must_be_old(world, original)


def test_room_for_a_dump_is_looked_for_with_the_engines_volumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the old volume lies may be another disk, by its options."""
    from tests.engine.images_world import UnwrappingTrees

    world, original, plan = begin(tmp_path)
    root = str(tmp_path / "engine")
    monkeypatch.setattr(world, "volumes_root", lambda: root)
    monkeypatch.setattr(UnwrappingTrees, "room", lambda self, path: (4096, 1000) if path == root else (2**50, 2**40))
    outcome = run(world, tmp_path / "j", plan)
    assert outcome is not None and f"{root} has 4096 bytes" in outcome.reason
    must_be_old(world, original)


def test_an_image_that_cannot_be_had_touches_nothing(tmp_path: Path) -> None:
    world, original, plan = begin(tmp_path)
    world.refuse = "pull"
    outcome = run(world, tmp_path / "j", plan)
    assert outcome is not None and outcome.reason == f"{NEW} cannot be had: manifest unknown. Nothing was touched."
    assert [e for e in world.effects if not e.startswith("untag")] == [f"pull {NEW}"]
    must_be_old(world, original)
    assert world.context().artefacts.list() == []


def test_an_image_that_holds_another_major_than_its_tag_says_is_refused(tmp_path: Path) -> None:
    world, original, plan = begin(tmp_path)
    first = replace(plan[0].steps[0], params={"keep": KEPT, "major": "17"})
    outcome = run(world, tmp_path / "j", (replace(plan[0], steps=(first, *plan[0].steps[1:])),))
    assert outcome is not None and "holds PostgreSQL 15" in outcome.reason
    must_be_old(world, original)


def test_what_runs_another_image_in_the_end_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.engine.data_world import DataWorld

    monkeypatch.setattr(ImagesWorld, "_start_db", DataWorld._start_db)
    world, original, plan = begin(tmp_path)
    outcome = run(world, tmp_path / "j", plan)
    assert outcome is not None and outcome.name == "rolled-back" and "and not new-sha" in outcome.reason
    assert world.now() == AS_OLD and contents(world.root / "old") == original


# -- another image of the same major -----------------------------------------------------------------------------------
GERMAN = (DatabaseFacts("shop", 1000, "UTF8", "de_DE.utf8", "de_DE.utf8", ("plpgsql",)),)
BY_ICU = (DatabaseFacts("shop", 1000, "UTF8", "C", "C", ("plpgsql",), True),)
HAS = ("extension plpgsql", "setting work_mem", "postgres (PostgreSQL) 15.4")


@pytest.mark.parametrize(
    ("has", "more", "words"),
    [
        (HAS, {}, ""), ((*HAS, "library 2.41"), {"library": "2.36"}, ""),
        ((*HAS, "library 2.36"), {"library": "2.36", "databases": GERMAN}, ""),
        ((*HAS, "library 2.41"), {"library": "2.36", "databases": GERMAN}, "another C library (2.41) than what db"),
        ((*HAS, "library "), {"library": "2.36", "databases": GERMAN}, "another C library (musl)"),
        ((*HAS, "library 2.36"), {"databases": GERMAN}, "runs now (musl)"),
        ((*HAS, "icu 153.121"), {"icu": "153.120"}, ""),
        ((*HAS, "icu 153.120"), {"icu": "153.120", "databases": BY_ICU}, ""),
        ((*HAS, "icu 153.121"), {"icu": "153.120", "databases": BY_ICU}, "another ICU (153.121) than what db"),
        ((*HAS, "icu "), {"icu": "153.120", "databases": BY_ICU}, "another ICU (none)"),
        (("setting work_mem",), {}, "lacks the extensions plpgsql"),
        (("extension plpgsql",), {}, "does not know the settings work_mem"),
        ((*HAS, "locale UTF8 de_DE.utf8: no"), {}, "cannot make a database"),
    ],
)  # fmt: skip
def test_another_image_of_the_same_major_is_tried_before_anything_is_touched(
    tmp_path: Path, has: tuple[str, ...], more: dict[str, object], words: str
) -> None:
    world, original, _ = begin(tmp_path)
    world.has, world.cluster = has, _cluster(world, **more)
    outcome = run(world, tmp_path / "j", (try_stage(),))
    assert (outcome is not None and words in outcome.reason) if words else outcome is None
    assert not [e for e in world.effects if e.startswith(("stop", "up", "policy"))]
    assert world.now() == AS_OLD and contents(world.root / "old") == original and not world.mounts
    assert world.stored == (OLD_IMAGES if words else NEW_IMAGES)


@pytest.mark.parametrize("where", WHERE)
def test_a_try_that_is_cut_off_leaves_no_helper(tmp_path: Path, where: str) -> None:
    world, _, _ = begin(tmp_path / "c")
    run(world, tmp_path / "c" / "j", (try_stage(),))
    lines, effects = len(read_journal(tmp_path / "c" / "j")), len(world.effects)
    for point in range(1, (lines if where.startswith("journal") else effects) + 1):
        world, original, _ = begin(tmp_path / f"{point}")
        _die(world, tmp_path / f"{point}" / "j", (try_stage(),), where, point)
        _recover(world, tmp_path / f"{point}" / "j", (try_stage(),), resume=point % 2 == 0)
        assert world.now() == AS_OLD and not world.mounts and contents(world.root / "old") == original


# -- cut off anywhere ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("where", WHERE)
def test_every_crash_point_ends_old_or_new(tmp_path: Path, where: str, resume: bool) -> None:
    world, _, plan = begin(tmp_path / "c")
    run(world, tmp_path / "c" / "j", plan)
    lines, effects = len(read_journal(tmp_path / "c" / "j")), len(world.effects)
    for point in range(1, (lines if where.startswith("journal") else effects) + 1):
        _crash_and_recover(tmp_path / f"{point}", where, point, resume)


def _crash_and_recover(base: Path, where: str, point: int, resume: bool) -> None:
    world, original, plan = begin(base)
    _die(world, base / "j", plan, where, point)
    crossed = any(e.step == "data:old-new/release" and e.phase is Phase.INTENT for e in read_journal(base / "j"))
    outcome = _recover(world, base / "j", plan, resume)
    name = "applied" if outcome is None else outcome.name
    assert name == ("applied" if resume else "partial" if crossed else "rolled-back"), (where, point, outcome)
    new = resume or crossed
    assert world.now() == (AS_NEW if new else AS_OLD), (where, point, world.now())
    assert world.stored == (NEW_IMAGES if new else OLD_IMAGES), (where, point)
    assert not world.mounts, (where, point)
    whole(world, original)


def _die(world: ImagesWorld, path: Path, plan: tuple[Stage, ...], where: str, point: int) -> None:
    die_at(world, where, point, lambda make: run(world, path, plan, make))


def _recover(world: ImagesWorld, path: Path, plan: tuple[Stage, ...], resume: bool) -> Outcome | None:
    world.end_helpers()
    journal = Journal(path)
    runner = Runner(journal, plan, load_kinds(), world.context(), Quiet(), Options())
    if not resume and not runner.view.turned:
        runner.turn("recovery")
    try:
        return runner.forward()
    finally:
        journal.close()


def test_a_rollback_by_another_run_lets_the_kept_image_go(tmp_path: Path) -> None:
    """Its name was made by the run that is taken back, not by the one that takes it back."""
    world, original, plan = begin(tmp_path)
    assert run(world, tmp_path / "j", plan) is None
    journal = Journal(tmp_path / "j")
    runner = Runner(journal, plan, load_kinds(), world.context(run="later"), Quiet(), Options(lossy=True))
    assert runner.backward(runner.own_items(), "asked").name == "rolled-back"
    journal.close()
    assert world.stored == OLD_IMAGES and contents(world.root / "old") == original


class WhenDumping(Quiet):
    """Asks for the end of the run while the dump is at work."""

    def __init__(self, world: ImagesWorld) -> None:
        super().__init__()
        self.world = world

    def take(self) -> str | None:
        return "cancel" if self.world.endless and not self.answers else None


def test_a_cancel_in_a_long_dump_is_heard(tmp_path: Path) -> None:
    world, original, plan = begin(tmp_path)
    world.hangs = "nftui-dump"
    journal = Journal(tmp_path / "j")
    outcome = Runner(journal, plan, load_kinds(), world.context(), WhenDumping(world), Options()).forward()
    journal.close()
    assert outcome is not None and outcome.reason == "cancelled by request" and world.endless and world.endless.ended
    must_be_old(world, original)


def test_a_dump_that_stands_still_is_given_up(tmp_path: Path) -> None:
    world, original, plan = begin(tmp_path)
    world.hangs = "nftui-dump"
    outcome = run(world, tmp_path / "j", plan)
    assert outcome is not None and "made no progress in 3600 s" in outcome.reason
    must_be_old(world, original)
