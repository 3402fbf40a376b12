"""What is seen where there is little room: long questions, long names, short lists, narrow lines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nftui.model.advice import Advice, Applicability
from nftui.model.choices import Choices
from nftui.model.errors import UsageError
from nftui.model.message import msg
from nftui.model.plan import DataSwitch
from nftui.model.run import ProjectStatus
from nftui.model.units import GIB
from nftui.tui.glyphs import ASCII, UNICODE
from nftui.tui.knobrows import Columns, KnobRow, more_text
from nftui.tui.plantexts import _value_widths
from nftui.tui.texts import cut_middle, share
from nftui.tui.widgets.knoblist import KnobList
from nftui.tui.widgets.lines import Lines
from tests.tui import fakes
from tests.tui.driver import Driver, wizard
from tests.tui.fakes import FakeSession, registry

LONG = ("crm-postgres-primary", "crm-postgres-replica")


async def ask_way_back(driver: Driver) -> str:
    """The question before a rollback, with its details."""
    await driver.sees("optimizations apply here")
    await driver.press("R")
    return await driver.sees("Take this run back?", "about 12 s of downtime", "y    roll back", "esc  keep it")


# -- questions ---------------------------------------------------------------------------------------------------
async def test_a_long_question_scrolls_between_its_words() -> None:
    session = FakeSession()
    session.project = ProjectStatus("idle", None, 1)
    losses = [msg("row {n} is lost", n=n) for n in range(40)]
    session.way_losses = (*losses, msg("the last one: {words}", words="lost " * 30))
    async with wizard(session) as driver:
        text = await ask_way_back(driver)
        assert "row 39" not in text
        await driver.sees("↑↓   scrolls: 44 lines in all")
        await driver.press("pagedown", "end")
        text = await driver.sees("! row 39", "Take this run back?", "y    roll back", "esc  keep it")
        rows = text.splitlines()
        first = next(n for n, row in enumerate(rows) if "the last one" in row)
        assert all(row.startswith("   lost") for row in rows[first + 1 : first + 3])
        assert text.count("lost") - 1 >= 30, "lines are wrapped, not cut"


async def test_a_short_question_says_nothing_of_scrolling() -> None:
    session = FakeSession()
    session.project = ProjectStatus("idle", None, 1)
    async with wizard(session) as driver:
        assert "scroll" not in await ask_way_back(driver)


# -- names -------------------------------------------------------------------------------------------------------
def test_names_are_cut_in_their_middle() -> None:
    assert cut_middle(LONG[1], 15, UNICODE) == "crm-po…-replica"
    assert cut_middle(LONG[1], len(LONG[1]), UNICODE) == LONG[1]
    assert cut_middle(LONG[1], 15, ASCII).isascii()
    assert [len(cut_middle(LONG[1], n, UNICODE)) for n in range(8)] == list(range(8))


def test_columns_are_as_wide_as_their_contents_while_there_is_room() -> None:
    assert share((10, 30), (5, 5), 60) == [10, 30]
    assert share((10, 30), (5, 5), 25) == [10, 15]
    assert share((10, 30), (5, 8), 6) == [5, 8]


@pytest.mark.parametrize(("width", "name"), [(76, 31), (130, 31), (56, 24)])
def test_a_long_knob_keeps_its_name_where_there_is_room(width: int, name: int) -> None:
    long = Advice("max_parallel_workers_per_gather", "db", "2", "2", "2", "", msg("why"), "source")
    columns = Columns.of([KnobRow(long, None, None)], width)
    assert columns.name == name and columns.name + columns.now + columns.value + 9 + 10 <= width


@pytest.mark.parametrize("size", [(80, 24), (165, 45), (60, 18)])
async def test_services_with_long_names_can_be_told_apart(size: tuple[int, int]) -> None:
    session = FakeSession()
    session._registry["alpha"].services = LONG  # type: ignore[attr-defined]
    async with wizard(session, size=size) as driver:
        await driver.to_knobs()
        heads = []
        for number in ("1/2 (s) ", "2/2 (s) "):
            heads.append(next(row for row in driver.text.splitlines() if number in row).partition(number)[2].split()[0])
            await driver.press("s")
        assert heads[0] != heads[1]
        assert size[0] == 60 or tuple(heads) == LONG
        assert "s service" in driver.text.splitlines()[-1]
        await driver.press("enter")
        await driver.sees("2. Beta cache tuning")
        assert "s service" not in driver.text.splitlines()[-1] and "(s)" not in driver.text
        await driver.press("enter")
        text = await driver.sees("Review: nothing has been changed yet")
        assert size[0] == 60 or all(f"{name} " in text.split("Values")[-1] for name in LONG[:1])


# -- lists -------------------------------------------------------------------------------------------------------
async def test_the_cursor_is_seen_where_its_list_shrinks(session: FakeSession) -> None:
    async with wizard(session) as driver:
        screen = await driver.to_knobs()
        knobs = screen.query_one(KnobList)
        await driver.press("m", "end", "up")
        await driver.pilot.resize_terminal(80, 19)
        await driver.press("e")
        assert knobs.size.height < len(knobs.lines), "a list that shows everything proves nothing"
        assert knobs.scroll_offset.y <= knobs.cursor < knobs.scroll_offset.y + knobs.size.height
        await driver.sees("▸ route.web")


@pytest.mark.parametrize(
    ("current", "said"),
    [
        (("1", "2"), "2 more (m), unchanged within 5 %"),
        (("1", None), "2 more (m): 1 unchanged within 5 %, 1 not read"),
        ((None, None), "2 more (m), not read"),
    ],
)
def test_nothing_is_called_unchanged_that_was_not_read(current: tuple[str | None, ...], said: str) -> None:
    rows = [KnobRow(Advice("k", "db", now, now, now, "", msg("why"), "source"), None, None) for now in current]
    assert more_text(rows, opened=False).render() == said


async def test_where_nothing_applies_nothing_is_said_to_stand() -> None:
    session = FakeSession()
    session._registry = {"gamma": registry()["gamma"]}
    async with wizard(session) as driver:
        await driver.sees("Nothing applies here.")
        await driver.press("enter")
        text = await driver.sees("Nothing applies here; nothing would be written.")
        assert "stand already" not in text


async def test_what_is_off_applies_all_the_same() -> None:
    session = FakeSession()
    session._registry = {"beta": registry()["beta"]}
    async with wizard(session) as driver:
        await driver.sees("1 optimization applies here")
        await driver.press("enter", "space", "enter")
        text = await driver.sees("There is nothing to do", "All values that are on stand already.")
        assert "Nothing applies" not in text


async def test_a_narrow_welcome_is_wrapped_and_counts_well() -> None:
    changing = ("cache_size", "cache_estimate", "sort_memory", "page_cost", "policy", "compile")
    session = FakeSession(kept=changing)
    session._registry["alpha"].services = ("db",)  # type: ignore[attr-defined]
    async with wizard(session, size=(60, 30)) as driver:
        text = await driver.sees("2 optimizations apply here", "  1 change  ", "  7 changes  ")
        assert "variables are empty. (compose.yaml:7)" in " ".join(text.split())


async def test_what_is_read_on_a_narrow_screen_is_wrapped_and_not_cut(session: FakeSession) -> None:
    refusal = "db does not run what your files say: its image is server:15 while the file says server:16."
    session.refusals = (msg("{text}", text=refusal),)
    async with wizard(session, size=(60, 24)) as driver:
        await driver.to_knobs()
        await driver.press("f")
        text = await driver.sees("environment.CACHE")
        assert "Most reads go to the disk. CACHE in its environment is read by nobody." in " ".join(text.split())
        await driver.press("escape", "enter", "enter")
        text = await driver.sees("Review: nothing has been changed yet")
        assert refusal in " ".join(text.split())


# -- what is refused and what does not apply ---------------------------------------------------------------------
REFUSAL = " ".join(["db cannot have that much:", *(f"reason {n} of this refusal is told in full," for n in range(12)),
                    "so lower its limit first."])  # fmt: skip


@pytest.mark.parametrize("size", [(80, 24), (60, 18)])
async def test_a_refusal_that_is_cut_says_so_and_is_read_whole(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    plain = fakes.FakeOptimization._advice

    def advice(self: fakes.FakeOptimization, service: str, name: str, choices: Choices) -> Advice:
        if choices.value(self.id, service, name) == "3GB":
            raise UsageError(msg("{text}", text=REFUSAL))
        return plain(self, service, name, choices)

    monkeypatch.setattr(fakes.FakeOptimization, "_advice", advice)
    async with wizard(FakeSession(), size=size) as driver:
        await driver.to_knobs()
        await driver.press("e", "ctrl+u", *"3GB")
        await driver.sees("▸ cache_size", "cache_size = 3GB", "! db cannot have that much", "… esc, then w: why")
        await driver.press("escape", "w")
        await driver.sees("Why cache_size")
        assert REFUSAL in " ".join(driver.app.screen.query_one(Lines).text().split())
        await driver.press("escape", "down", "w")
        assert "cannot have that much" not in await driver.sees("Why cache_estimate")
        await driver.press("escape", "up", "e", "ctrl+u", *"2GB", "enter", "w")
        assert "cannot have that much" not in await driver.sees("Why cache_size")


async def test_a_refusal_of_a_few_rows_is_seen_whole_at_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = REFUSAL[:330].rpartition(",")[0]
    monkeypatch.setattr(fakes, "TOO_MUCH", "3GB")
    monkeypatch.setattr(fakes, "msg", lambda t, **a: msg("{t}", t=refusal) if "has a limit" in t else msg(t, **a))
    async with wizard(FakeSession()) as driver:
        await driver.to_knobs()
        await driver.press("e", "ctrl+u", *"3GB")
        text = await driver.sees("db cannot have that much")
        assert refusal in " ".join(text.split()) and "w: why" not in text


async def test_the_whole_reason_why_it_does_not_apply_is_on_the_welcome(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "no model is here that it could keep warm, and without one nothing is known: pull one, then plan again."
    no = Applicability(False, msg("{text}", text=reason))
    plain = fakes.FakeOptimization.applies
    monkeypatch.setattr(fakes.FakeOptimization, "applies", lambda s, f: plain(s, f) if s.services else no)
    async with wizard(FakeSession()) as driver:
        rows = (await driver.sees("then plan again.")).splitlines()
        first = next(n for n, row in enumerate(rows) if "Gamma pooling" in row)
        assert reason in " ".join(" ".join(row[34:] for row in rows[first : first + 4]).split())
        assert all(row.startswith(" " * 34) for row in rows[first + 1 : first + 3])


# -- the review --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [(80, 24), (60, 18)])
async def test_what_is_accepted_and_what_is_typed_are_seen_together(
    session: FakeSession, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    here = fakes.facts()
    named = replace(here, stack=replace(here.stack, name="nextflow-crm-production"))
    monkeypatch.setattr(fakes, "facts", lambda: named)
    places = {"type": "volume", "name": "slow"}, {"type": "directory", "path": "/nvme/db"}
    session.one_way, session.moved = True, DataSwitch("db-data", "db", *places, {}, ("web",), 24.0, size_bytes=3 * GIB)
    async with wizard(session, size=size) as driver:
        await driver.to_review()
        await driver.press("t", *"nextflow")
        text = await driver.sees(
            "▸ nextflow", "db-data: 3 GiB copied", "Not now: what cannot be undone is not accepted"
        )
        rows = text.splitlines()
        typed = next(n for n, row in enumerate(rows) if "▸ nextflow" in row)
        asked = " ".join(" ".join(rows[typed - 3 : typed]).split())
        assert 'Type "nextflow-crm-production without backup" to accept what cannot be undone:' in asked
        assert "press t" in rows[typed + 1]
        assert ("Rows are lost." in text) is (size[0] == 80) and ("more lines of this: w" in text) is (size[0] == 60)
        await driver.press("enter", "w")
        await driver.sees("The whole plan")
        assert "Rows are lost." in driver.app.screen.query_one(Lines).text()


async def test_a_step_that_the_table_cuts_is_read_whole() -> None:
    session, name = FakeSession(), "crm-postgres-primary-of-the-first-region"
    session._registry["alpha"].services = (name,)  # type: ignore[attr-defined]
    async with wizard(session) as driver:
        await driver.to_review()
        assert f"recreate {name}" not in driver.text and "w whole" in driver.text
        await driver.press("w")
        await driver.sees(f"2  recreate {name}", f"{name}: downtime 12 s, undo by restart")
        assert f"{name} cache_size\n     128 MB → 1536 MB" in driver.app.screen.query_one(Lines).text()


def test_one_long_value_does_not_take_the_names() -> None:
    rows = [("db", "collections.docs.quantization", "none", "scalar"), ("llm", "models", "unknown", "m" * 60)]
    service, knob, before, after = _value_widths(rows, 75)
    assert knob == 29 and service == 3 and before == 7 and 17 <= after == 68 - 29 - 3 - 7
    rows[0] = ("vectors", "collection.documents.quantization", "example/image:latest", "scalar")
    assert _value_widths(rows, 75)[1] == 33, "two long values take no name either"
