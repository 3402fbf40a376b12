"""The wizard from welcome to result, at the sizes that operators have."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from textual.events import Key

from nftui.model.advice import Advice, Effort
from nftui.model.choices import Choices, Selection
from nftui.model.errors import LockedError, NftuiError, UsageError
from nftui.model.message import msg
from nftui.model.plan import Backup, DataSwitch, Draft
from nftui.model.run import ProjectStatus
from nftui.model.units import GIB
from nftui.tui.glyphs import ASCII
from nftui.tui.knobrows import KnobRow
from nftui.tui.screens.optimization import OptimizationScreen
from nftui.tui.screens.welcome import WelcomeScreen
from nftui.tui.widgets.knoblist import KnobList
from nftui.tui.widgets.lines import Lines
from tests.tui.driver import Driver, wizard
from tests.tui.fakes import APPLIED, AWAITING, ROLLED_BACK, RUNNING, TOO_MUCH, FakeOptimization, FakeSession

SIZES = [(80, 24), (120, 40), (160, 45), (60, 18)]


def preview(driver: Driver) -> str:
    """The preview pane's lines, also those out of sight."""
    return driver.app.screen.query_one("#preview", Lines).text()


def row(driver: Driver) -> KnobRow:
    """The knob under the cursor."""
    screen = driver.app.screen
    assert isinstance(screen, OptimizationScreen)
    assert screen.row is not None
    return screen.row


# -- welcome -----------------------------------------------------------------------------------------------------
async def test_welcome_says_what_is_awaited_then_what_was_found(session: FakeSession) -> None:
    session.gate.clear()
    async with wizard(session) as driver:
        await driver.sees("Reading this machine")
        session.gate.set()
        text = await driver.sees("2 optimizations apply here")
        for word in ("23.5 GiB", "8 cores", "NVMe 1.8 TiB", "2 high, 2 low", "old.env is not there", "compose.yaml:7"):
            assert word in text
        assert "Gamma pooling" in text and "no service here speaks its protocol" in text
        assert "db-archive" in text and "absent" in text


async def test_welcome_shows_why_facts_could_not_be_read(session: FakeSession) -> None:
    session.facts_error = NftuiError(msg("compose.yaml line 3: not YAML. Repair it."))
    async with wizard(session) as driver:
        await driver.sees("compose.yaml line 3: not YAML. Repair it.")
        await driver.press("enter")
        assert isinstance(driver.app.screen, WelcomeScreen)
        session.facts_error = None
        await driver.press("t")
        await driver.sees("2 optimizations apply here")


@pytest.mark.parametrize(("state", "said"), [("interrupted", "was cut off"), ("running", "going on")])
async def test_welcome_offers_the_run_that_is_there(session: FakeSession, state: str, said: str) -> None:
    session.project = ProjectStatus(state, "0007-apply", 1)
    session.play(RUNNING, APPLIED)
    async with wizard(session) as driver:
        await driver.sees(said)
        await driver.press("a")
        await driver.sees("The run has ended")
        assert session.recovers == (state == "interrupted")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_what_is_waited_for_is_said_first(
    session: FakeSession, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    """An image that is not here is no "nothing to change": what to do stands whole, also at 80 cells."""
    made = session.draft

    def waiting(choices: Choices) -> Draft:
        lacks = msg("Its image is not here: docker pull example/pooler:v1.25.2-p0, then plan again.")
        quiet = [
            replace(i, lacks=lacks, advice=tuple(replace(a, changes=False) for a in i.advice)) if i.id == "alpha" else i
            for i in made(choices).optimizations
        ]
        return replace(made(choices), optimizations=tuple(quiet))

    monkeypatch.setattr(session, "draft", waiting)
    async with wizard(session, size=size) as driver:
        text = " ".join((await driver.sees("optimizations apply here")).split())
        assert "docker pull example/pooler:v1.25.2-p0, then plan again." in text
        await driver.press("enter")
        assert "docker pull example/pooler:v1.25.2-p0" in await driver.sees("Its image is not here")


async def test_everything_that_applies_is_on_without_values(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.sees("optimizations apply here")
        assert driver.desk.choices.selections == {"alpha": Selection.ON, "beta": Selection.ON}
        assert not driver.desk.choices.values


# -- one optimization --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", SIZES)
async def test_a_knob_moves_the_preview_and_the_memory(session: FakeSession, size: tuple[int, int]) -> None:
    async with wizard(session, size=size) as driver:
        await driver.to_knobs()
        text = driver.text
        for word in ("1 of 2", "cache_size", "128 MB", "1536 MB", "Preview", "Memory", "next"):
            assert word in text, word
        await driver.press("right")
        assert "cache_size=3GB" in preview(driver)
        assert "14.0 of 21.5 GiB" in driver.static("#memory")
        await driver.press("left", "left")
        assert "cache_size=768MB" in preview(driver)
        assert all(len(line) <= size[0] for line in driver.text.splitlines())


async def test_steps_cycle_enums_and_booleans_and_pace_numbers(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        seen = {}
        for _ in range(6):
            name = row(driver).advice.knob
            await driver.press("right")
            seen[name] = row(driver).advice.value
            await driver.press("down")
        assert seen["policy"] == "hard"
        assert seen["compile"] == "on"
        assert seen["page_cost"] == "1.2"
        await driver.press("m")
        await driver.press("home", *["down"] * 6)
        assert row(driver).advice.knob == "clients"
        await driver.press("left")
        assert row(driver).advice.value == "90"
        await driver.press("right")
        assert row(driver).advice.value == "91"


async def test_a_bad_value_keeps_the_preview_and_says_why(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        before, choices = preview(driver), driver.desk.choices
        await driver.press("e", "x")
        await driver.sees("'1536MBx' is not a size")
        await driver.press("enter")
        assert preview(driver) == before and driver.desk.choices == choices
        await driver.press(*["backspace"] * 7, *TOO_MUCH, "enter")
        await driver.sees("db has a limit of 6 GiB")
        assert preview(driver) == before
        await driver.press(*["backspace"] * 4, *"1GB")
        await driver.until(lambda: "cache_size=1GB" in preview(driver))
        await driver.press("enter")
        assert driver.app.focused is driver.app.screen.query_one(KnobList)
        assert driver.desk.choices.value("alpha", "db", "cache_size") == "1GB"


async def test_escape_in_the_input_takes_back_what_was_typed(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        await driver.press("e", *["backspace"] * 6, *"5GB")
        await driver.until(lambda: "cache_size=5GB" in preview(driver))
        await driver.press("escape")
        assert "cache_size=1536MB" in preview(driver)
        assert isinstance(driver.app.screen, OptimizationScreen)


async def test_a_step_out_of_bounds_stays_within(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        await driver.press("down", "down", *["right"] * 12)
        assert row(driver).advice.value == "2GB"
        assert row(driver).advice.knob == "sort_memory"


async def test_where_twice_as_much_is_refused_a_step_goes_a_quarter_up(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        await driver.press("e", *["backspace"] * 7, *"32GB", "enter")
        assert row(driver).advice.value == "32GB"
        await driver.press("right")
        assert row(driver).advice.value == "40GB" and "cache_size=40GB" in preview(driver)
        assert "has a limit" not in driver.text


async def test_recommended_takes_the_operators_value_out(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        await driver.press("right")
        assert driver.desk.choices.values
        await driver.press("r")
        assert not driver.desk.choices.values
        assert "cache_size=1536MB" in preview(driver)


async def test_recommended_replaces_a_kept_value() -> None:
    session = FakeSession(kept=["cache_size"])
    async with wizard(session) as driver:
        await driver.to_knobs()
        assert row(driver).mark(driver.desk.glyphs) == "=" and row(driver).advice.value == "128MB"
        await driver.press("r")
        assert row(driver).advice.value == "1536MB"


async def test_space_goes_through_on_off_and_untouched(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        assert "# alpha" in preview(driver)
        await driver.press("space")
        await driver.sees("[off]", "is taken out")
        assert "# alpha" not in preview(driver) and "# beta" in preview(driver)
        assert "1536 MB" not in driver.text
        await driver.press("space")
        await driver.sees("[untouched]", "stays as it is")
        await driver.press("space")
        await driver.sees("[on]", "1536 MB")


async def test_services_of_one_role_have_their_own_values(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        await driver.press("s")
        await driver.sees("2/2 (s) db-archive")
        await driver.press("right")
        assert dict(driver.desk.choices.values) == {("alpha", "db-archive", "cache_size"): "3GB"}
        await driver.press("S")
        await driver.sees("1/2 (s) db ")
        assert row(driver).advice.value == "1536MB"


async def test_more_unfolds_what_stays(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        assert "route.web" not in driver.text and "3 more (m)" in driver.text
        await driver.press("m")
        await driver.press("end", "up")
        await driver.sees("clients", "patience", "route.web", "m  fold 3 away")


async def test_what_the_knobs_do_not_need_is_the_previews(session: FakeSession) -> None:
    async with wizard(session, size=(80, 30)) as driver:
        screen = await driver.to_knobs()
        height, knobs = screen.query_one("#right").size.height, screen.query_one(KnobList)
        assert height > 5 and knobs.size.height == len(knobs.lines)
        await driver.press("e")
        # The input stands where the why stood: nothing else moves.
        assert screen.query_one("#right").size.height == height and not screen.query_one("#detail").display
        await driver.press("escape", "m")
        assert screen.query_one("#detail").display and knobs.size.height == len(knobs.lines) == 10
        assert 5 <= screen.query_one("#right").size.height < height


async def test_a_secret_of_the_env_file_is_never_shown(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        await driver.press("p")
        await driver.sees("COMPOSE_FILE=compose.yaml:compose.nftui.yaml")
        assert "hunter2" not in preview(driver) and "SECRET" not in preview(driver)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("w", "25 % of the 6 GiB limit"),
        ("f", "environment.CACHE = 512MB"),
        ("question_mark", "halve, double"),
        ("d", "create /srv"),
    ],
)
async def test_pages_to_read_open_and_close(session: FakeSession, key: str, said: str) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        await driver.press(key)
        await driver.sees(said)
        await driver.press("escape")
        assert isinstance(driver.app.screen, OptimizationScreen)


async def test_next_and_back_keep_what_was_chosen(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        await driver.press("right", "enter")
        await driver.sees("2. Beta cache tuning")
        await driver.press("escape")
        await driver.sees("1. Alpha server tuning", "3 GB")
        await driver.press("escape")
        await driver.sees("optimizations apply here")


async def test_wide_screens_show_all_steps_and_the_whole_diff(session: FakeSession) -> None:
    async with wizard(session, size=(160, 46)) as driver:
        await driver.to_knobs()
        await driver.sees("! Gamma pooling", "create /srv/crm/compose.nftui.yaml", "update /srv/crm/.env")
        await driver.press("right")
        assert f"{driver.desk.glyphs.changed} Alpha server tuning" in driver.text


async def test_the_switch_of_a_part_says_its_days(session: FakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = FakeOptimization._advice

    def advice(self: FakeOptimization, service: str, name: str, choices: Choices) -> Advice:
        found = plain(self, service, name, choices)
        return replace(found, effort=Effort(0.25, 0.5)) if name == "compile" else found

    monkeypatch.setattr(FakeOptimization, "_advice", advice)
    async with wizard(session, size=(80, 26)) as driver:
        await driver.to_knobs()
        assert "compile, 0.25–0.5 days: sh" in driver.text and driver.text.count("0.25–0.5") == 1
        await driver.press(*["down"] * 5)
        await driver.sees("   compile, 0.25–0.5 days: short queries")
        await driver.press("w")
        await driver.sees("It switches a part of the work: compile, 0.25–0.5 days.")


# -- review ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", SIZES)
async def test_review_tells_steps_totals_and_what_the_button_does(session: FakeSession, size: tuple[int, int]) -> None:
    async with wizard(session, size=size) as driver:
        await driver.to_review()
        text = await driver.sees("Apply 21 changes to 3 services, about 36 s of downtime")
        assert "recreate db-" in text and "by restart" in text and "36 s down" in text


async def test_enter_never_applies(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_review()
        await driver.press("enter", "enter", "enter")
        await driver.sees("Press a to apply")
        assert not session.applied


async def test_refusals_are_shown_and_block(session: FakeSession) -> None:
    session.refusals = (msg("db does not run what your files say."),)
    async with wizard(session) as driver:
        await driver.to_review()
        await driver.press("a")
        await driver.sees("! db does not run what your files say.", "Not now: what is refused")
        assert not session.applied


async def test_nothing_to_do_is_said(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        await driver.press("space", "enter")
        await driver.sees("2. Beta")
        await driver.press("space", "enter")
        await driver.sees("There is nothing to do")
        await driver.press("a")
        assert not session.applied


async def test_what_cannot_be_undone_must_be_typed(session: FakeSession) -> None:
    session.one_way = True
    async with wizard(session) as driver:
        await driver.to_review()
        await driver.sees('Type "crm" to accept', "Cannot be taken back whole")
        await driver.press("a")
        assert not session.applied
        await driver.press("t", *"crm", "enter", "a")
        await driver.sees("so no time limit: press c")
        assert not session.applied, "nobody can take it back within the time"
        session.play(APPLIED)
        await driver.press("c", "a")
        await driver.sees("The run has ended")
        assert len(session.applied) == 1


def moved(**more: object) -> DataSwitch:
    places = {"type": "volume", "name": "slow"}, {"type": "directory", "path": "/nvme/db"}
    fence = {"path": "control", "block": "absent"}
    found = DataSwitch("db-data", "db", *places, fence, ("web",), 24.0, size_bytes=3 * GIB)
    return replace(found, **more)  # type: ignore[arg-type]


async def test_moved_data_is_told_with_its_figures_and_its_missing_backup_is_typed(session: FakeSession) -> None:
    session.one_way, session.moved = True, moved()
    async with wizard(session, size=(120, 60)) as driver:
        await driver.to_review()
        await driver.sees("db-data: 3 GiB copied from slow to /nvme/db; db, web down for about 36",
                          "No backup of it was proven", "stays stopped until you keep it", "Rows are lost.",
                          "3 GiB copied", 'Type "crm without backup" to accept')  # fmt: skip
        await driver.press("t", *"crm", "enter", "a")
        assert not session.applied
        await driver.press("t", *"crm", "space", *"without", "space", *"backup", "enter")
        session.play(APPLIED)
        await driver.press("a")
        await driver.sees("The run has ended")
        assert len(session.applied) == 1


async def test_a_proven_backup_is_shown_and_need_not_be_typed(session: FakeSession) -> None:
    session.one_way, session.moved = True, moved(backup=Backup("/hdd/backups/db.dump", "restored"), size_bytes=None)
    async with wizard(session, size=(120, 60)) as driver:
        await driver.to_review()
        text = await driver.sees("/hdd/backups/db.dump (restored)", "its data is copied from", 'Type "crm" to accept')
        assert "0 B copied" not in text
        await driver.press("t", *"crm", "enter")
        session.play(APPLIED)
        await driver.press("a")
        await driver.sees("The run has ended")


async def test_data_whose_writers_run_on_cannot_have_a_time_limit() -> None:
    session = FakeSession()
    session.one_way, session.moved, session.held = True, moved(backup=Backup("/b", "restored"), writers=None), False
    async with wizard(session, ssh=True) as driver:
        await driver.to_review()
        await driver.press("t", *"crm", "enter", "a")
        await driver.sees("runs on, so no time limit: press c")
        assert not session.applied
        session.play(APPLIED)
        await driver.press("c", "a")
        await driver.sees("The run has ended")
        assert session.applied[0][1] is None


@pytest.mark.parametrize(
    ("ssh", "keys", "limit"), [(True, "", 300.0), (True, "c", None), (False, "", None), (False, "c", 300.0)]
)
async def test_the_time_limit_is_the_default_over_ssh(ssh: bool, keys: str, limit: float | None) -> None:
    session = FakeSession()
    async with wizard(session, ssh=ssh) as driver:
        await driver.to_review()
        await driver.press(*keys)
        session.play(APPLIED)
        await driver.press("a")
        await driver.sees("The run has ended")
        assert session.applied[0][1] == limit


async def test_a_run_that_does_not_start_goes_back_to_review(session: FakeSession) -> None:
    session.start_error = LockedError(msg("Another run holds this project."))
    async with wizard(session) as driver:
        await driver.to_review()
        await driver.press("a")
        await driver.sees("Another run holds this project.", "Review: nothing has been changed yet")


async def test_what_no_consent_can_mend_is_said_before_it_is_asked_for(session: FakeSession) -> None:
    session.barrier = UsageError(msg("The engine is on another machine; apply there."))
    async with wizard(session) as driver:
        await driver.to_review()
        await driver.sees("! The engine is on another machine; apply there.", "Not now: what stands in the way is told")
        await driver.press("a")
        await driver.sees("Review: nothing has been changed yet")
    assert not session.applied


# -- apply and result --------------------------------------------------------------------------------------------
async def test_apply_keep_and_leave(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_review()
        session.script.put(RUNNING)
        await driver.press("a")
        await driver.sees("1 of 2 steps done", "waiting for health", "This goes on if you lose the connection")
        await driver.press("enter", "k")
        await driver.sees("Nothing is waiting to be kept now")
        session.script.put(AWAITING)
        await driver.sees("Back to before in 4:52")
        await driver.press("k")
        await driver.sees("The run has ended")
        assert session.requests == ["confirm"]
        await driver.press("enter")
        text = await driver.sees("2 of 21 values read back")
        assert "not read back" in text and "tells of drift" in text
        await driver.press("enter")
        await driver.until(lambda: not driver.app.is_running)
        assert driver.app.return_value == 0


async def test_roll_back_while_it_waits(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_review()
        session.script.put(AWAITING)
        await driver.press("a")
        await driver.sees("Back to before in")
        await driver.press("R")
        await driver.sees("Taken back; everything is as it was before", "taken back by request")
        await driver.press("enter")
        await driver.sees("Nothing of this run is in force")
        await driver.press("R")
        assert session.rollbacks == 0
        await driver.press("enter")
        await driver.until(lambda: not driver.app.is_running)
        assert driver.app.return_value == 1


async def test_roll_back_from_the_result_asks_first(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_review()
        session.play(APPLIED)
        await driver.press("a")
        await driver.sees("The run has ended")
        await driver.press("enter", "R", "enter")
        await driver.sees("Applied, verified and kept")
        assert session.rollbacks == 0
        session.play(ROLLED_BACK)
        session.way_losses = (msg("db: a file would be lost"),)
        await driver.press("R")
        await driver.sees("1 run, about 12 s of downtime (db)", "! db: a file would be lost")
        await driver.press("y")
        await driver.sees("This is lost on the way back. Lose it?", "db: a file would be lost")
        await driver.press("escape")
        await driver.sees("Applied, verified and kept")
        assert session.rollbacks == 0
        await driver.press("R")
        await driver.sees("1 run, about 12 s of downtime (db)")
        await driver.press("y")
        await driver.sees("This is lost on the way back. Lose it?", "db: a file would be lost")
        await driver.press("y")
        await driver.sees("The run has ended")
        assert session.rollbacks == 1 and session.forced
        await driver.press("enter")
        await driver.sees("The state before that run is back.")


async def test_a_way_back_that_applies_pending_changes_asks_for_them_too(session: FakeSession) -> None:
    """What the command line does with --force only, the wizard does after a question of its own."""
    async with wizard(session) as driver:
        await driver.to_review()
        session.play(APPLIED)
        await driver.press("a")
        await driver.sees("The run has ended")
        await driver.press("enter")
        session.play(ROLLED_BACK)
        session.way_pending = (msg("db does not run what your files say (its image)."),)
        session.way_losses = (msg("db: a file would be lost"),)
        for answers in ("escape",), ("y", "escape"):
            await driver.press("R")
            await driver.sees("1 run, about 12 s of downtime (db)", "! db does not run what your files say")
            await driver.press("y")
            await driver.sees("Going back would apply that as well.", "db does not run what your files say")
            if len(answers) > 1:
                await driver.press("y")
                await driver.sees("This is lost on the way back. Lose it?", "db: a file would be lost")
            await driver.press(answers[-1])
            await driver.sees("Applied, verified and kept")
            assert session.rollbacks == 0
        session.way_losses = ()
        await driver.press("R")
        await driver.sees("1 run, about 12 s of downtime (db)")
        await driver.press("y")
        await driver.sees("Going back would apply that as well.")
        await driver.press("y")
        await driver.sees("The run has ended")
        assert session.rollbacks == 1 and session.forced


async def test_what_an_earlier_day_applied_is_taken_back_from_the_welcome(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.sees("optimizations apply here")
        await driver.press("R")
        await driver.sees("Nothing of nftui is in force; there is nothing to take back.")
    session.project = ProjectStatus("idle", None, 1)
    async with wizard(session) as driver:
        await driver.sees("optimizations apply here")
        await driver.press("R")
        await driver.sees("1 run, about 12 s of downtime (db)")
        await driver.press("enter")
        await driver.sees("optimizations apply here")
        assert session.rollbacks == 0
        session.play(ROLLED_BACK)
        await driver.press("R")
        await driver.sees("1 run, about 12 s of downtime (db)")
        await driver.press("y")
        await driver.sees("The run has ended")
        assert session.rollbacks == 1 and session.forced is False
        await driver.press("enter")
        await driver.sees("The state before that run is back.")
        await driver.press("enter")
        await driver.until(lambda: not driver.app.is_running)
        assert driver.app.return_value == 0


async def test_leaving_a_live_run_asks_and_leaves_it_alone(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_review()
        session.script.put(AWAITING)
        await driver.press("a")
        await driver.sees("Back to before in")
        await driver.press("q")
        await driver.sees("The run goes on without this window")
        await driver.press("enter")
        await driver.sees("Back to before in")
        await driver.press("q", "y")
        await driver.until(lambda: not driver.app.is_running)
        assert driver.app.return_value == 12 and session.requests == []
        session.script.put(None)


# -- sizes, alphabets, leaving -----------------------------------------------------------------------------------
async def test_too_small_a_terminal_is_told(session: FakeSession) -> None:
    async with wizard(session, size=(59, 17)) as driver:
        await driver.sees("enlarge the terminal")
        await driver.pilot.resize_terminal(80, 24)
        await driver.sees("2 optimizations apply here")
        await driver.pilot.resize_terminal(80, 17)
        await driver.sees("enlarge the terminal")


async def test_too_small_a_terminal_does_not_take_the_focus_away(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        focused = driver.app.focused
        assert focused is not None
        await driver.pilot.resize_terminal(40, 10)
        text = await driver.sees("enlarge the terminal")
        assert "Alpha" not in text and "next" not in text
        await driver.pilot.resize_terminal(80, 24)
        await driver.sees("1. Alpha server tuning")
        assert driver.app.focused is focused


async def test_ascii_has_no_other_sign(session: FakeSession) -> None:
    async with wizard(session, glyphs=ASCII) as driver:
        await driver.to_knobs()
        await driver.press("right")
        assert driver.text.isascii(), [c for c in driver.text if not c.isascii()]
        await driver.press("question_mark")
        assert driver.text.isascii()
        await driver.press("escape", "enter", "enter")
        text = await driver.sees("Review: nothing")
        assert text.isascii()
        session.script.put(RUNNING)
        await driver.press("a")
        assert (await driver.sees("waiting for health")).isascii()
        session.script.put(None)
        await driver.sees("has ended")


async def test_leaving_asks_only_where_choices_would_be_lost(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        await driver.press("right", "q")
        await driver.sees("what you chose is forgotten")
        await driver.press("escape", "r", "q")
        await driver.until(lambda: not driver.app.is_running)
        assert driver.app.return_value == 0


def test_no_optimization_is_named_in_the_wizard() -> None:
    ids = ("postgres", "pgbouncer", "ollama", "qdrant", "redis", "storage", "images", "limits", "monitoring")
    root = Path(__file__).parents[2] / "nftui" / "tui"
    for path in [*root.rglob("*.py"), *root.rglob("*.tcss")]:
        text = path.read_text().lower()
        assert not [name for name in ids if name in text], path


def test_threads_of_the_wizard_do_not_hold_up_its_end() -> None:
    from nftui.tui.background import spawn

    gate = threading.Event()
    spawn(gate.wait)
    assert all(t.daemon for t in threading.enumerate() if t.name == "nftui-wizard")
    gate.set()


# -- what a slow connection does ---------------------------------------------------------------------------------
async def test_keys_of_one_packet_are_taken_in_their_order(session: FakeSession) -> None:
    async with wizard(session) as driver:
        await driver.to_knobs()
        await driver.press("e")
        for key, letter in (("ctrl+u", None), ("4", "4"), ("5", "5"), ("backspace", None), ("M", "M"), ("B", "B")):
            driver.app.post_message(Key(key, letter))
        await driver.sees("cache_size = 4MB")


async def test_the_head_leaves_out_whole_parts(session: FakeSession) -> None:
    async with wizard(session, size=(60, 18)) as driver:
        await driver.to_knobs()
        head = driver.text.splitlines()[0]
        assert "crm" in head and head.split("  ")[1].strip().split(" · ")[-1] in ("crm", "23.5 GiB", "8 cores")
