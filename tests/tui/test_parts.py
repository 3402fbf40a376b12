"""What the wizard is made of, without a terminal: diffs, assets, steps of values, texts, environment."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from textual.app import App, ComposeResult

from nftui.engine.preview import MASK, FileDiff, diff_files
from nftui.model.advice import Advice
from nftui.model.errors import ExitCode, NftuiError
from nftui.model.knobs import Kind, Knob, knob_named
from nftui.model.message import msg
from nftui.model.plan import FileChange, MemoryUse
from nftui.model.run import RunStatus
from nftui.model.units import GIB
from nftui.system.assets import asset_path
from nftui.tui.background import in_thread
from nftui.tui.demo import prepare_demo
from nftui.tui.environment import calm_textual, wants_ascii
from nftui.tui.flow import exit_code
from nftui.tui.glyphs import ASCII, UNICODE
from nftui.tui.knobrows import KnobRow, step_value
from nftui.tui.texts import memory_line, shown_value
from nftui.tui.widgets.bars import Rule, Told
from nftui.tui.widgets.lines import Lines
from nftui.tui.widgets.preview import Preview, first_difference
from tests.tui.fakes import KNOBS

if TYPE_CHECKING:
    from nftui.tui.desk import Desk


# -- diffs -------------------------------------------------------------------------------------------------------
def test_an_env_file_shows_its_merged_key_and_nothing_around_it() -> None:
    before = b"DB_PASSWORD=hunter2\nCOMPOSE_FILE=compose.yaml\nTOKEN=abc\n"
    after = b"DB_PASSWORD=hunter2\nCOMPOSE_FILE=compose.yaml:compose.nftui.yaml\nTOKEN=abc\n"
    (diff,) = diff_files([FileChange("/p/.env", "update", before, after, 0o600, "env", ("COMPOSE_FILE",))])
    changed = ("-COMPOSE_FILE=compose.yaml", "+COMPOSE_FILE=compose.yaml:compose.nftui.yaml")
    assert diff.lines == ("@@ -2 +2 @@", *changed)


def test_other_changed_lines_of_an_env_file_are_masked() -> None:
    before, after = b"export TOKEN=abc\nnoise\n", b"COMPOSE_FILE=a\n"
    (diff,) = diff_files([FileChange("/p/.env", "update", before, after, 0o600, "env", ("COMPOSE_FILE",))])
    assert set(diff.lines) == {"@@ -1,2 +1 @@", f"-export TOKEN={MASK}", f"-{MASK}", "+COMPOSE_FILE=a"}


def test_a_mounted_file_that_others_cannot_read_is_not_shown() -> None:
    users = FileChange("/p/nftui/users", "create", None, b'"app" "SCRAM-SHA-256$..."\n', 0o640, "mounted")
    plain = FileChange("/p/nftui/conf", "create", None, b"port = 1\n", 0o644, "mounted")
    hidden, shown = diff_files([users, plain])
    assert "SCRAM" not in hidden.text and MASK in hidden.text
    assert "+port = 1" in shown.text


def test_a_diff_names_its_file_and_takes_a_redaction() -> None:
    change = FileChange("/p/compose.nftui.yaml", "create", None, b"a: 1\nurl: secret\n")
    (diff,) = diff_files([change], redact=lambda line: line.replace("secret", MASK))
    assert diff.text == f"--- /dev/null\n+++ /p/compose.nftui.yaml\n@@ -0,0 +1,2 @@\n+a: 1\n+url: {MASK}\n"
    assert diff.name == "compose.nftui.yaml"
    (gone,) = diff_files([FileChange("/p/x", "delete", b"a\n", None)])
    assert gone.text.splitlines()[1] == "+++ /dev/null" and gone.lines[-1] == "-a"


# -- demo --------------------------------------------------------------------------------------------------------
def test_the_demo_gets_a_fresh_directory_each_time(tmp_path: Path) -> None:
    first, second = prepare_demo(tmp_path), prepare_demo(tmp_path)
    assert first != second and first.stat().st_mode & 0o777 == 0o700
    assert (second / "compose.yaml").is_file() and (second / ".env").is_file()
    assert "POSTGRES_SHARED_BUFFERS" in (first / "compose.yaml").read_text()


def test_an_asset_that_is_missing_is_named() -> None:
    with pytest.raises(NftuiError, match="'nothing'"):
        asset_path("nothing")


# -- values ------------------------------------------------------------------------------------------------------
def _row(kind: Kind, value: str, **more: object) -> KnobRow:
    knob = Knob("k", kind, msg("k"), msg("why"), "source", **more)  # type: ignore[arg-type]
    return KnobRow(Advice("k", "s", value, value, value, "", msg("why"), "source"), knob, None)


@pytest.mark.parametrize(
    ("kind", "value", "up", "down"),
    [
        (Kind.SIZE, "512MB", "1GB", "256MB"),
        (Kind.SIZE, "25%", "30%", "20%"),
        (Kind.INTEGER, "8", "9", "7"),
        (Kind.INTEGER, "300", "310", "290"),
        (Kind.SECONDS, "90s", "91s", "89s"),
        (Kind.REAL, "1.1", "1.2", "1"),
        (Kind.BOOLEAN, "on", "off", "off"),
    ],
)
def test_steps_of_each_kind(kind: Kind, value: str, up: str, down: str) -> None:
    assert (step_value(_row(kind, value), True), step_value(_row(kind, value), False)) == (up, down)


def test_steps_stop_at_bounds_and_text_must_be_typed() -> None:
    assert step_value(_row(Kind.INTEGER, "1", minimum=1), False) == "1"
    assert step_value(_row(Kind.ENUM, "b", choices=("a", "b")), True) == "a"
    assert step_value(_row(Kind.ENUM, "?", choices=("a", "b")), True) == "a"
    assert step_value(_row(Kind.TEXT, "x"), True) is None


def test_a_knob_is_found_by_name_or_pattern() -> None:
    found = knob_named(KNOBS, "route.web")
    assert found is not None and found.name == "route.{service}"
    assert knob_named(KNOBS, "route.") is None and knob_named(KNOBS, "other") is None


@pytest.mark.parametrize(
    ("value", "kind", "unit", "shown"),
    [("128MB", Kind.SIZE, "bytes", "128 MB"), ("90s", Kind.SECONDS, "s", "90 s"), ("25%", Kind.SIZE, "bytes", "25%"),
     ("300", Kind.INTEGER, "ms", "300 ms"), ("3v", Kind.TEXT, "", "3v"), (None, Kind.SIZE, "", "unknown")],
)  # fmt: skip
def test_values_read_as_people_say_them(value: str | None, kind: Kind, unit: str, shown: str) -> None:
    assert shown_value(value, Knob("k", kind, msg("k"), msg("w"), "s"), unit) == shown


def test_the_memory_bar_says_when_it_is_too_much() -> None:
    use = MemoryUse(8 * GIB, GIB, (("a", 6 * GIB), ("b", 3 * GIB)))
    text = "".join(part for part, _ in memory_line(use, 78, ASCII))
    assert "9.0 of 7.0 GiB  ! too much" in text and text.isascii() and len(text) <= 78
    unknown = "".join(part for part, _ in memory_line(MemoryUse(None, 0, (("a", GIB),)), 78, UNICODE))
    assert "1.0 GiB promised" in unknown and "unknown" in unknown


# -- environment ---------------------------------------------------------------------------------------------------
def test_over_ssh_textual_is_calm_unless_told_otherwise() -> None:
    environ = {"TEXTUAL_FPS": "60"}
    calm_textual(environ, ssh=True)
    assert environ == {"TEXTUAL_FPS": "60", "TEXTUAL_ANIMATIONS": "none", "TEXTUAL_SMOOTH_SCROLL": "0"}
    local: dict[str, str] = {}
    calm_textual(local, ssh=False)
    assert not local


@pytest.mark.parametrize(
    ("environ", "encoding", "ascii_only"),
    [({}, "utf-8", False), ({}, "UTF8", False), ({}, "ascii", True), ({}, "latin-1", True), ({}, "no-such", True),
     ({"NFTUI_ASCII": "1"}, "utf-8", True), ({"NFTUI_ASCII": "0"}, "utf-8", False),
     ({"LC_ALL": "C", "LANG": "C.UTF-8"}, "utf-8", True), ({"LC_ALL": "", "LANG": "vi_VN.utf8"}, "utf-8", False),
     ({"LC_CTYPE": "en_US"}, "utf-8", True), ({"LC_CTYPE": "C.UTF-8", "LANG": "C"}, "utf-8", False),
     ({"TERM": "linux", "LANG": "C.UTF-8"}, "utf-8", True), ({"TERM": "linux-m"}, "utf-8", False)],
)  # fmt: skip
def test_ascii_where_the_terminal_has_nothing_else(environ: dict[str, str], encoding: str, ascii_only: bool) -> None:
    assert wants_ascii(environ, encoding) is ascii_only


@pytest.mark.parametrize(
    ("kind", "outcome", "more", "code"),
    [("apply", "applied", {}, ExitCode.DONE), ("apply", "rolled-back", {}, ExitCode.FAILED),
     ("rollback", "rolled-back", {}, ExitCode.DONE), ("apply", "partial", {}, ExitCode.PARTIAL),
     ("apply", "failed", {"standing": ("db",)}, ExitCode.CUT_OFF), ("apply", "applied", {"code": 3}, 3)],
)  # fmt: skip
def test_exit_codes_are_those_of_the_verbs(kind: str, outcome: str, more: dict[str, object], code: int) -> None:
    assert exit_code(RunStatus("1", kind, None, (), "ended", outcome, **more)) == code  # type: ignore[arg-type]


async def test_a_thread_hands_over_its_result_or_its_error() -> None:
    assert await in_thread(lambda: 7) == 7
    with pytest.raises(NftuiError, match="refused"):
        await in_thread(_refuse)


async def test_a_cancelled_wait_is_left_alone() -> None:
    loop, gate = asyncio.get_running_loop(), asyncio.Event()
    task = asyncio.create_task(in_thread(lambda: loop.call_soon_threadsafe(gate.set)))
    await asyncio.sleep(0)
    task.cancel()
    await gate.wait()
    with pytest.raises(asyncio.CancelledError):
        await task


def _refuse() -> None:
    raise NftuiError(msg("refused"))


def test_the_preview_goes_to_the_line_of_the_knob() -> None:
    old = [(("@@ -0,0 +1,2 @@", ""),), (("+- alpha=1", ""),), (("+- beta=1", ""),)]
    new = [(("@@ -0,0 +1,3 @@", ""),), (("+- alpha=2", ""),), (("+- beta=2", ""),)]
    assert first_difference(old, new) == 1
    assert first_difference(old, new, "beta") == 2
    assert first_difference(old, old, "beta") is None
    assert first_difference(new, new[:2]) == 1


class PreviewApp(App[None]):
    """A preview of a few rows, and nothing else."""

    CSS = "#p { height: 6; }"

    def compose(self) -> ComposeResult:
        desk = SimpleNamespace(glyphs=UNICODE, say=lambda message: message.render())
        yield Preview(cast("Desk", desk), "alpha", id="p")


def long_diff(value: str) -> tuple[FileDiff, ...]:
    """The owner's part begins in line 10, the knob stands in line 30."""
    lines = [f"+line {n}" for n in range(60)]
    lines[10], lines[30] = "+  db:  # alpha", f"+    knob={value}"
    return (FileDiff("/p/compose.nftui.yaml", "create", tuple(lines)),)


async def test_a_key_before_the_preview_has_its_place_is_followed_as_one_after_it() -> None:
    app = PreviewApp()
    async with app.run_test(size=(80, 24)) as pilot:
        shown, widget = app.query_one(Preview), app.query_one("#preview", Lines)

        def sees(number: int) -> bool:
            return widget.scroll_offset.y <= number < widget.scroll_offset.y + widget.size.height

        shown.show(long_diff("1"), whole=False)
        shown.show(long_diff("2"), whole=False, about="knob")
        await pilot.pause()
        assert sees(30) and not sees(10)
        shown.turn()
        shown.show(long_diff("2"), whole=False)
        await pilot.pause()
        assert sees(10) and not sees(30)
        shown.show(long_diff("3"), whole=False, about="knob")
        await pilot.pause()
        assert sees(30)


def pooled(digest: str, size: int, other: str = "1") -> list[FileDiff]:
    """Files in the order of writing: a knob changes the mounted one, and with it its directory's name."""
    override = ("+  db:", f"+    x: {other}", "+  db-pooler:  # alpha", f"+    source: /p/nftui/alpha/{digest}")
    return [
        FileDiff("/p/nftui/.gitignore", "create", ("+*",)),
        FileDiff(f"/p/nftui/alpha/{digest}/pooler.ini", "create", ("+[pooler]", f"+pool_size = {size}")),
        FileDiff("/p/compose.nftui.yaml", "create", override),
        FileDiff("/p/.env", "update", ("+COMPOSE_FILE=a",)),
    ]


async def test_the_preview_begins_with_what_the_optimization_writes_and_follows_what_changes() -> None:
    app = PreviewApp()
    async with app.run_test(size=(80, 24)) as pilot:
        shown, widget = app.query_one(Preview), app.query_one("#preview", Lines)
        title, one, two = app.query_one("#preview-title", Rule), "a" * 16, "b" * 16

        async def show(digest: str, size: int, about: str = "", other: str = "1") -> str:
            own = [f"/p/nftui/alpha/{digest}"]
            shown.show(pooled(digest, size, other), whole=False, about=about, own=own)
            await pilot.pause()
            return title.title

        assert "pooler.ini ─ file 1 of 4" in await show(one, 5) and "pool_size = 5" in widget.text()
        assert "pooler.ini" in await show(two, 6, "pool_size") and "pool_size = 6" in widget.text()
        assert "compose.nftui.yaml ─ file 2 of 4" in await show(two, 6, "x", "2"), "only that one changed"
        assert "pooler.ini" in await show(one, 7, "pool_size", "2"), "both changed, that one names the knob"
        seen = []
        for _ in range(4):
            shown.turn()
            seen.append((await show(one, 7, "pool_size", "2")).split(" ─ ")[1])
        assert seen == ["compose.nftui.yaml", ".env", ".gitignore", "pooler.ini"]
        shown.show([], whole=False)
        assert title.title == "Preview" and "No file changes." in widget.text()


async def test_what_stands_in_a_fixed_place_is_painted_only_where_it_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Alone(App[None]):
        CSS = "Told { height: 1; }"

        def compose(self) -> ComposeResult:
            yield Told(id="told")

    app = Alone()
    async with app.run_test() as pilot:
        told, asked = app.query_one(Told), []
        plain = Told.refresh

        def refresh(self: Told, *regions: Any, **how: Any) -> Told:
            asked.append(how.get("layout", False))
            return plain(self, *regions, **how)

        monkeypatch.setattr(Told, "refresh", refresh)
        for text in ("one", "one", "two"):
            told.tell([((text, "dim"),)])
            await pilot.pause()
        assert str(told.render()) == "two"
        assert asked == [False, False]


def test_what_is_kept_says_what_is_advised_instead() -> None:
    why = msg("Support of {what} ended.", what="PostgreSQL 13")
    kept = Advice("db", "db", "stay", "postgres:13", "postgres:15", "", why, "source", kept=True)
    assert not KnobRow(kept, None, None).quiet
    assert str(KnobRow(kept, None, None).reason) == "postgres:15 is advised (r): Support of PostgreSQL 13 ended."
    assert KnobRow(kept, None, "stay").reason == why
