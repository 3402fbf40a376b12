"""plan, apply, rollback, recover, confirm, attach: consent, saved plans, signals, exit codes."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nftui.cli import render
from nftui.cli.context import Context
from nftui.cli.planfile import seal
from nftui.engine.consent import Consent
from nftui.model.advice import Advice, Effort, Grant, Risk
from nftui.model.choices import Choices, Selection
from nftui.model.errors import CutOffError, DriftError, LockedError, UsageError
from nftui.model.message import msg
from nftui.model.plan import OptimizationPlan, Precondition, Stage, Undo
from nftui.model.run import Drift, ProjectStatus, StepState
from nftui.presets import build_choices
from tests.cli.conftest import Nftui
from tests.cli.fakes import MASK, RUN, SECRET, FakeSession, run_status, step, way_back


class Typed(io.StringIO):
    """A terminal on which someone types."""

    def isatty(self) -> bool:
        """It is one."""
        return True


Terminal = Callable[[str], None]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Someone is there and types this."""

    def attach(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", Typed(text))
        monkeypatch.setattr("nftui.cli.context.is_terminal", lambda stream: True)

    return attach


# -- plan -------------------------------------------------------------------------------------------------------
def test_plan_has_the_promised_keys(nftui: Nftui) -> None:
    result = nftui("plan", "--json")
    data = result.json
    keys = {"schema", "id", "changes", "preconditions", "optimizations", "files", "stages", "effort_days",
            "downtime_seconds", "memory", "warnings"}  # fmt: skip
    assert keys <= set(data)
    (first, _second) = data["optimizations"]
    assert {"id", "selection", "applicable", "reason", "effort_days", "downtime_seconds", "risk", "knobs"} <= set(first)
    knob = {"name", "service", "value", "current", "recommended", "unit", "why", "source"}
    assert knob <= set(first["knobs"][0]) and first["knobs"][0]["name"] == "buffers"
    (stage,) = data["stages"]
    assert {"id", "kind", "service", "summary", "undo", "downtime_seconds"} <= set(stage["steps"][0])
    (file,) = data["files"]
    assert (file["action"], "+a: 1\n" in file["diff"], MASK in file["diff"]) == ("create", True, True)
    assert (data["downtime_seconds"], data["effort_days"]) == (12.0, {"low": 0.5, "high": 1})
    assert set(data["memory"]) == {"host_bytes", "reserved_bytes", "services"}
    assert data["warnings"] == ["unverified: tool"]
    assert SECRET not in result.out + result.err + nftui("plan").out


def test_a_note_is_told_once_with_the_knobs_that_it_is_about() -> None:
    note = msg("not asked")
    lines = [Advice(k, "db", "1", "0", "1", "u", msg("why"), "source", True, notes=(note,)) for k in ("one", "two")]
    item = OptimizationPlan("alpha", Selection.ON, True, msg("reason"), Effort(1, 1), 0.0, Risk.LOW, tuple(lines))
    told = [str(line) for line in render._optimization(item, False) if "not asked" in str(line)]
    assert told == ["    db: one, two: not asked"]


def test_plan_in_words(nftui: Nftui) -> None:
    text = nftui("plan").out
    for part in (
        "db: buffers",
        "128MB",
        "512MB",
        "a quarter",
        "create /srv/app",
        "1. recreate db",
        "12 s",
        "! unverified",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("changes", "words", "code"), [(True, [], 0), (True, ["--exit-code"], 10), (False, ["--exit-code"], 0)]
)
def test_exit_code_of_plan(nftui: Nftui, session: FakeSession, changes: bool, words: list[str], code: int) -> None:
    session.changes = changes
    assert nftui("plan", *words).code == code
    assert nftui("plan", "--json", *words).json["changes"] is changes


@pytest.mark.parametrize(
    ("words", "begins"), [((), True), (("--plan", "plan.json"), False), (("--resume",), False)]
)  # fmt: skip
def test_an_apply_of_this_project_begins_to_read_at_once(
    nftui: Nftui, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], begins: bool
) -> None:
    begun: list[bool] = []
    monkeypatch.setattr(Context, "begin", lambda self: begun.append(True))
    nftui("apply", "--yes", *words)
    assert bool(begun) is begins


def test_refusals_are_warnings_of_plan_and_stop_apply(nftui: Nftui, session: FakeSession) -> None:
    session.draft_more = {"refusals": (msg("db is pending"),)}
    result = nftui("plan", "--json")
    assert (result.code, "db is pending" in result.json["warnings"]) == (0, True)
    assert nftui("apply", "--yes").code == 2
    assert "start_apply" not in session.names


def test_what_forbids_apply_is_said_before_anything_begins(nftui: Nftui, session: FakeSession) -> None:
    session.raises = {"must_be_applicable": UsageError(msg("the same files run as shop"))}
    result = nftui("apply", "--yes", "--json")
    assert (result.code, result.json["error"]["message"]) == (2, "the same files run as shop")
    assert "start_apply" not in session.names
    session.raises = {}
    nftui("apply", "--yes", "--force")
    assert ("must_be_applicable", True) in session.asked and "start_apply" in session.names


# -- saved plans ------------------------------------------------------------------------------------------------
@pytest.fixture
def saved(nftui: Nftui, tmp_path: Path) -> Path:
    """A plan with one value, saved."""
    path = tmp_path / "plan.json"
    assert nftui("plan", "--set", "alpha.buffers=64MB", "--only", "alpha", "--out", str(path)).code == 0
    return path


def test_a_saved_plan_is_private_whole_and_applied_as_it_is(
    nftui: Nftui, session: FakeSession, saved: Path, tmp_path: Path
) -> None:
    assert saved.stat().st_mode & 0o777 == 0o600
    data = json.loads(saved.read_text())
    assert data["schema"] == "nftui/plan/1"
    assert data["request"]["path"] == str(tmp_path)
    assert list(tmp_path.iterdir()) == [saved]
    session.asked.clear()
    assert nftui("apply", "--plan", str(saved), "--yes").code == 0
    choices = dict(session.asked)["prove"]
    assert choices.as_json() == data["choices"]  # type: ignore[attr-defined]
    assert session.request_ is not None and session.request_.path == str(tmp_path)


def test_a_saved_plan_that_no_longer_fits_is_drift(nftui: Nftui, session: FakeSession, saved: Path) -> None:
    session.draft_more = {"preconditions": (Precondition("host.memory", "=", "8"),)}
    result = nftui("apply", "--plan", str(saved), "--yes")
    assert result.code == 3
    assert "host.memory was 16, is 8" in result.err
    assert "start_apply" not in session.names


def _edit(data: dict[str, object], path: list[object], value: object) -> None:
    place: object = data
    for key in path[:-1]:
        place = place[key]  # type: ignore[index]
    place[path[-1]] = value  # type: ignore[index]


EDITS: list[tuple[list[object], object, int]] = [
    (["core", "stages", 0, "steps", 0, "target"], "/etc/passwd", 3),
    (["core", "stages", 0, "steps", 0, "params"], {"x": 1}, 3),
    (["core", "stages", 0, "files", 0, "digest"], "0" * 64, 3),
    (["core", "preconditions"], [], 3),
    (["choices", "values", 0, "value"], "128MB", 2),
    (["schema"], "nftui/plan/2", 2),
    (["schema"], "other/1", 2),
    (["choices"], 5, 2),
    (["core"], None, 2),
    (["request", "files"], "x", 2),
    (["request", "name"], 5, 2),
]


@pytest.mark.parametrize(("path", "value", "code"), [*EDITS, (["id"], "0" * 64, 0)])
@pytest.mark.parametrize("sealed", [False, True])
def test_an_edited_plan_is_refused(
    nftui: Nftui, session: FakeSession, saved: Path, path: list[object], value: object, code: int, sealed: bool
) -> None:
    """An edit by hand is seen at once; a forger who seals it anew can only ask for the plan that is made afresh."""
    data = json.loads(saved.read_text())
    _edit(data, path, value)
    if sealed:
        data["seal"] = seal(data)
    saved.write_text(json.dumps(data))
    result = nftui("apply", "--plan", str(saved), "--yes")
    assert result.code == (code if sealed else 2), result.err
    assert str(saved) in result.err or result.code == 0
    assert ("start_apply" in session.names) is (result.code == 0)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"optimization": "gamma", "service": None, "knob": "buffers", "value": "64MB"}, 2),
        ({"optimization": "alpha", "service": None, "knob": "nope", "value": "64MB"}, 2),
        ({"optimization": "alpha", "service": None, "knob": "buffers", "value": "9GB"}, 2),
        ({"optimization": "alpha", "service": None, "knob": "buffers", "value": "65536kB"}, 2),
    ],
)
def test_forged_choices_are_checked(
    nftui: Nftui, session: FakeSession, saved: Path, values: dict[str, object], code: int
) -> None:
    data = json.loads(saved.read_text())
    data["choices"]["values"] = [values]
    data["core"]["choices"] = data["choices"]
    data["seal"] = seal(data)
    saved.write_text(json.dumps(data))
    assert nftui("apply", "--plan", str(saved), "--yes").code == code
    assert "start_apply" not in session.names


def test_other_services_memory_does_not_make_a_plan_unfit(nftui: Nftui, session: FakeSession, saved: Path) -> None:
    session.draft_more = {"grants": (Grant("other", 5),)}
    assert nftui("apply", "--plan", str(saved), "--yes").code == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100000, b'{"schema": "nftui/plan/1"}'])
def test_what_is_no_plan_is_refused(nftui: Nftui, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(content)
    result = nftui("apply", "--plan", str(path), "--yes")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert nftui("apply", "--plan", str(tmp_path / "none"), "--yes").code == 2
    assert nftui("apply", "--plan", str(tmp_path), "--yes").code == 2


def test_the_output_of_plan_json_is_no_saved_plan(nftui: Nftui, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(nftui("plan", "--json").out)
    assert "--out" in nftui("apply", "--plan", str(path), "--yes").err


def test_a_plan_that_cannot_be_saved(nftui: Nftui, tmp_path: Path) -> None:
    result = nftui("plan", "--out", str(tmp_path / "no" / "p.json"))
    assert (result.code, result.out) == (2, "")


# -- apply ------------------------------------------------------------------------------------------------------
def test_apply_has_the_promised_keys(nftui: Nftui, session: FakeSession) -> None:
    words = ["--confirm-within", "60", "--wait-quiet", "5", "--settle", "1", "--force"]
    result = nftui("apply", "--yes", "--json", *words)
    data = result.json
    assert {"plan", "snapshot", "outcome", "steps", "not_applied", "reason", "standing"} <= set(data)
    assert data["steps"] == [
        {"id": "recreate:db", "state": "verified", "seconds": 4.2, "error": None},
        {"id": "recreate:tool", "state": "skipped", "seconds": 0.0, "error": None},
    ]
    assert (data["outcome"], data["snapshot"], data["not_applied"], result.code) == ("applied", RUN, [], 0)
    assert data["warnings"] == ["unverified: tool"]
    assert "recreate db  verified" in result.err
    assert dict(session.asked)["start_apply"] == {
        "confirm_within_s": 60.0, "wait_quiet_s": 5.0, "settle_s": 1.0, "force": True, "consent": Consent(),
        "asked": build_choices(session.registry)[0],
    }  # fmt: skip


def test_nothing_to_do_is_unchanged(nftui: Nftui, session: FakeSession) -> None:
    session.changes = False
    result = nftui("apply", "--yes", "--json")
    assert (result.code, result.json["outcome"], result.json["steps"]) == (0, "unchanged", [])
    assert "start_apply" not in session.names


_FAILED = StepState("s", msg("s"), "db", "failed", 1.0, f"no {SECRET}")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"outcome": "applied", "code": None}, 0),
        ({"outcome": "rolled-back", "code": None}, 1),
        ({"outcome": "failed", "code": None}, 1),
        ({"outcome": "failed", "code": None, "standing": ("db",)}, 5),
        ({"outcome": "partial", "code": None}, 6),
        ({"outcome": None, "code": None, "state": "interrupted"}, 5),
        ({"outcome": "failed", "code": 3}, 3),
        ({"outcome": "rolled-back", "code": 1, "turned": True, "reason": "not confirmed in time"}, 1),
    ],
)
def test_exit_codes_of_a_run(nftui: Nftui, session: FakeSession, more: dict[str, object], code: int) -> None:
    session.statuses = (run_status(**{"steps": (_FAILED,), **more}),)
    result = nftui("apply", "--yes", "--json")
    assert result.code == code
    assert result.json["outcome"] == more["outcome"]
    assert result.json["not_applied"] == [{"id": "s", "reason": f"no {MASK}"}]
    assert SECRET not in result.out + result.err


def test_a_refused_run_lists_its_steps_as_not_applied(nftui: Nftui, session: FakeSession) -> None:
    session.statuses = (run_status(steps=(), outcome="failed", reason="disk full", code=1),)
    result = nftui("apply", "--yes", "--json")
    assert (result.code, result.json["not_applied"]) == (1, [{"id": "recreate:db", "reason": "disk full"}])


def test_each_step_is_told_once(nftui: Nftui, session: FakeSession) -> None:
    running = StepState("recreate:db", msg("recreate db"), "db", "running")
    session.statuses = (run_status(steps=(running,), state="running", outcome=None, code=None),) * 3 + (run_status(),)
    err = nftui("apply", "--yes").err
    assert err.count("recreate db") == 1
    assert nftui("apply", "--yes", "-v").err.count("recreate db") == 2


def test_named_choices_that_act_on_nothing_are_not_applied(nftui: Nftui) -> None:
    data = nftui("apply", "--yes", "--json", "--set", "beta.route.app=direct").json
    assert data["not_applied"] == [{"id": "beta", "reason": "none here"}]


@pytest.mark.parametrize("undo", [Undo.LOSSY, Undo.IMPOSSIBLE])
def test_irreversible_steps_need_their_own_consent(nftui: Nftui, session: FakeSession, undo: Undo) -> None:
    session.draft_more = {"stages": (Stage("s", (step("move:db", undo_after_write=undo),)),)}
    result = nftui("apply", "--yes")
    assert (result.code, "move:db" in result.err, "--accept-irreversible" in result.err) == (2, True, True)
    assert "start_apply" not in session.names
    assert nftui("apply", "--yes", "--accept-irreversible").code == 0


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("yes\n", 0), ("n\n", 1), ("\n", 1), ("", 1), ("yep\n", 1)])
def test_on_a_terminal_apply_shows_the_plan_and_asks(
    nftui: Nftui, session: FakeSession, terminal: Terminal, typed: str, code: int
) -> None:
    terminal(typed)
    result = nftui("apply")
    assert result.code == code
    assert "Apply? [y/N]" in result.err and "12 s" in result.err
    assert ("start_apply" in session.names) is (code == 0)


def test_apply_resume_goes_on_with_what_was_cut_off(nftui: Nftui, session: FakeSession) -> None:
    assert nftui("apply", "--resume", "--yes").code == 0
    assert ("start_recover", True) in session.asked
    session.statuses = ()
    assert nftui("apply", "--resume", "--yes", "--json").json["outcome"] == "unchanged"


def cut_off(session: FakeSession, tmp_path: Path, *words: str, **more: object) -> None:
    """A run of `alpha` alone that was cut off, told to be confirmed."""
    choices = build_choices(session.registry, only=words or ("alpha",))[0]
    options = {"confirm_within_s": 60.0, "wait_quiet_s": 60.0, "settle_s": 10.0, "files_only": False, "force": False}
    order = {"kind": "apply", "plan": "P", "options": options, "choices": Choices().as_json(),
             "asked": choices.as_json(), **more}  # fmt: skip
    session.cut = tmp_path / RUN
    session.cut.mkdir()
    (session.cut / "request.json").write_text(json.dumps(order))


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--accept-irreversible", "--without-backup"),
        ("--confirm-within", "60", "--wait-quiet", "60s", "--settle", "10"),
        ("--only", "alpha"),
        ("--only", "alpha", "--without-backup", "--confirm-within", "1m"),
    ],
)
def test_resume_takes_what_the_run_was_told_already(
    nftui: Nftui, session: FakeSession, tmp_path: Path, words: tuple[str, ...]
) -> None:
    cut_off(session, tmp_path)
    result = nftui("apply", "--resume", "--yes", *words)
    assert (result.code, ("start_recover", True) in session.asked) == (0, True), result.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--confirm-within", "61"), "--confirm-within"),
        (("--settle", "0"), "--settle"),
        (("--files-only",), "--files-only"),
        (("--force",), "--force"),
        (("--only", "beta"), "--only"),
        (("--set", "alpha.cost=1", "--wait-quiet", "1"), "--wait-quiet, --set"),
        (("--repair",), "--repair"),
    ],
)
def test_resume_refuses_what_the_run_was_not_told(
    nftui: Nftui, session: FakeSession, tmp_path: Path, words: tuple[str, ...], named: str
) -> None:
    cut_off(session, tmp_path)
    result = nftui("apply", "--resume", "--yes", *words)
    assert (result.code, f"when it began: {named}." in result.err) == (2, True), result.err
    assert "start_recover" not in session.names


def test_resume_with_the_plan_of_the_run_or_of_another(nftui: Nftui, session: FakeSession, tmp_path: Path) -> None:
    path = str(tmp_path / "saved.plan")
    assert nftui("plan", "--out", path).code == 0
    cut_off(session, tmp_path, plan=json.loads(Path(path).read_text())["id"])
    assert nftui("apply", "--resume", "--yes", "--plan", path, "/").code == 0
    (tmp_path / RUN / "request.json").write_text(json.dumps({"kind": "rollback", "options": {"force": False}}))
    for words in (("--plan", path), ("--only", "alpha"), ("--confirm-within", "60")):
        result = nftui("apply", "--resume", "--yes", *words, "/")
        assert (result.code, f"when it began: {words[0]}" in result.err) == (2, True), result.err


# -- rollback, recover, confirm, attach -------------------------------------------------------------------------
def test_rollback_tells_project_and_snapshot_apart(nftui: Nftui, session: FakeSession, tmp_path: Path) -> None:
    session.statuses = (run_status(kind="rollback", outcome="rolled-back"),)
    assert nftui("rollback", "--yes").code == 0
    assert nftui("rollback", RUN, "--yes", "--force").code == 0
    assert nftui("rollback", str(tmp_path), RUN, "--yes").code == 0
    assert nftui("rollback", str(tmp_path), "--yes").code == 0
    asked = [detail for name, detail in session.asked if name == "start_rollback"]
    assert asked == [(None, False), (RUN, True), (RUN, False), (None, False)]


def test_rollback_document(nftui: Nftui, session: FakeSession) -> None:
    undone = StepState("r/recreate:db", msg("recreate db"), "db", "undone", 3.0)
    session.statuses = (run_status(kind="rollback", outcome="rolled-back", plan=None, code=None, steps=(undone,)),)
    result = nftui("rollback", "--yes", "--json")
    assert (result.code, result.json["schema"], result.json["not_applied"]) == (0, "nftui/rollback/1", [])


def test_rollback_asks_on_a_terminal(nftui: Nftui, session: FakeSession, terminal: Terminal) -> None:
    terminal("n\n")
    assert nftui("rollback").code == 1
    assert "start_rollback" not in session.names


def test_a_rollback_shows_what_it_takes_back_before_it_asks(
    nftui: Nftui, session: FakeSession, terminal: Terminal
) -> None:
    session.way = way_back(
        foreign=("/srv/app/compose.nftui.yaml",),
        merged=("/srv/app/.env",),
        losses=(msg("db: /x would be lost"),),
        pending=(msg("db does not run what your files say."),),
    )
    terminal("n\n")
    said = nftui("rollback").err
    words = [f"newest first: {RUN}", "delete /srv/app/compose.nftui.yaml", "12 s of downtime (db)", "nothing of nftui"]
    words += ["--force overwrites that edit", "/srv/app/.env was edited", "! db: /x would"]
    words += ["! db does not run what your files say. --force takes back"]
    assert [word for word in words if word not in said] == []
    assert "hunter2" not in said


def test_a_dry_run_of_a_rollback_starts_nothing(nftui: Nftui, session: FakeSession) -> None:
    session.way = way_back(losses=(msg("db: /x would be lost"),))
    shown = nftui("rollback", "--dry-run", "--json")
    assert (shown.code, shown.json["outcome"]) == (0, "unchanged")
    assert {k: shown.json["way_back"][k] for k in ("runs", "services", "downtime_seconds", "losses")} == {
        "runs": [RUN], "services": ["db"], "downtime_seconds": 12.0, "losses": ["db: /x would be lost"],
    }  # fmt: skip
    assert "hunter2" not in shown.out and "start_rollback" not in session.names


def test_a_rollback_that_loses_something_needs_force(nftui: Nftui, session: FakeSession) -> None:
    session.way = way_back(losses=(msg("db: /x would be lost"),))
    session.statuses = (run_status(kind="rollback", outcome="rolled-back"),)
    refused = nftui("rollback", "--yes")
    assert refused.code == 2 and "/x would be lost" in refused.err and "start_rollback" not in session.names
    assert nftui("rollback", "--yes", "--force").code == 0


def test_nothing_to_roll_back(nftui: Nftui, session: FakeSession) -> None:
    session.way = None
    assert nftui("rollback", "--yes", "--json").json["outcome"] == "unchanged"


def test_recover_never_asks(nftui: Nftui, session: FakeSession) -> None:
    assert nftui("recover", "--json").json["outcome"] == "applied"
    session.statuses = ()
    result = nftui("recover", "--json")
    assert (result.code, result.json["outcome"]) == (0, "unchanged")


@pytest.mark.parametrize(("answer", "code"), [((True, "kept"), 0), ((False, "the run has ended"), 1)])
def test_confirm(nftui: Nftui, session: FakeSession, answer: tuple[bool, str], code: int) -> None:
    assert nftui("confirm").code == 2
    session.project, session.answer = ProjectStatus("awaiting-confirm", RUN, 1), answer
    result = nftui("confirm", "--json")
    assert (result.code, result.json["accepted"], result.json["run"]) == (code, answer[0], RUN)


def test_a_run_that_was_cut_off_cannot_be_confirmed(nftui: Nftui, session: FakeSession) -> None:
    session.project = ProjectStatus("interrupted", RUN, 1)
    result = nftui("confirm")
    assert result.code == 2 and "nftui recover" in result.err and "request" not in session.names


def test_what_a_reboot_in_the_window_means_is_said_before(nftui: Nftui, session: FakeSession) -> None:
    session.reboot_hint = msg("a reboot takes it back")
    assert "a reboot takes it back" in nftui("apply", "--yes", "--confirm-within", "60", "--json").json["warnings"]
    assert "a reboot" not in nftui("apply", "--yes").err


def test_the_unit_for_recovery_at_boot_is_printed_and_nothing_else_is_done(
    nftui: Nftui, session: FakeSession, tmp_path: Path
) -> None:
    result = nftui("recover", "-f", str(tmp_path / "a b.yaml"), "--profile", "x", "--print-unit")
    line = next(ln for ln in result.out.splitlines() if ln.startswith("ExecStart="))
    for part in (f"{sys.executable} -I -m nftui recover", f'-f "{tmp_path}/a b.yaml"', "--profile x", "--state-dir "):
        assert part in line, line
    assert result.code == 0 and "start_recover" not in session.names
    assert nftui("recover", "--print-unit", "--json").json["name"] == "nftui-recover-app.service"


def test_attach(nftui: Nftui, session: FakeSession) -> None:
    assert nftui("attach").code == 2
    session.project = ProjectStatus("running", RUN, 1)
    assert nftui("attach", "--json").json["outcome"] == "applied"


# -- signals ----------------------------------------------------------------------------------------------------
def _going() -> object:
    return run_status(state="running", outcome=None, code=None)


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_the_first_ctrl_c_asks_for_cancel(nftui: Nftui, session: FakeSession) -> None:
    session.statuses = (_going(), run_status(outcome="rolled-back", code=1, turned=True))  # type: ignore[assignment]
    session.on_follow = [_interrupt]
    result = nftui("apply", "--yes")
    assert ("request", (RUN, "cancel")) in session.asked
    assert (result.code, "Taking everything back" in result.err) == (1, True)


def test_the_second_ctrl_c_detaches(nftui: Nftui, session: FakeSession) -> None:
    session.statuses = (_going(), _going())  # type: ignore[assignment]
    session.on_follow = [_interrupt, _interrupt]
    result = nftui("apply", "--yes", "--json")
    assert (result.code, result.json["error"]["code"]) == (130, 130)
    assert "goes on" in result.err
    assert session.names.count("request") == 1


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_lost_terminal_detaches_at_once(nftui: Nftui, session: FakeSession, number: int) -> None:
    before = signal.getsignal(number)
    session.statuses = (_going(), _going())  # type: ignore[assignment]
    session.on_follow = [lambda: os.kill(os.getpid(), number)]
    assert nftui("apply", "--yes").code == 130
    assert "request" not in session.names
    assert signal.getsignal(number) is before


# -- errors -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DriftError(msg("moved")), 3), (LockedError(msg("held")), 4), (CutOffError(msg("cut")), 5),
        (KeyboardInterrupt(), 130), (RuntimeError(f"broke {SECRET}"), 1),
    ],
)  # fmt: skip
def test_errors_are_one_line_and_a_document(
    nftui: Nftui, session: FakeSession, error: BaseException, code: int
) -> None:
    session.raises = {"prove": error}
    result = nftui("plan", "--json")
    assert (result.code, result.json["schema"]) == (code, "nftui/plan/1")
    assert result.json["error"]["code"] == code
    assert result.err.startswith("nftui: ") and result.err.count("\n") == 1
    assert SECRET not in result.out + result.err
    assert nftui("plan").out == ""


def test_a_traceback_only_with_v_and_without_secrets(nftui: Nftui, session: FakeSession) -> None:
    session.raises = {"prove": RuntimeError(f"broke {SECRET}")}
    assert "Traceback" not in nftui("plan").err
    err = nftui("plan", "-v").err
    assert "Traceback" in err and SECRET not in err


def test_credentials_of_urls_are_hidden_before_there_is_a_session(nftui: Nftui) -> None:
    result = nftui("plan", "--json", "--bogus=redis://u:pass@h")
    assert "pass" not in result.out + result.err


# -- repair -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("verb", ["plan", "apply"])
def test_repair_says_what_it_leaves(nftui: Nftui, session: FakeSession, verb: str) -> None:
    session.changes = False
    gone = Drift("db.work_mem", "4MB", "9MB", "medium", "nftui apply --repair")
    stays = Drift("db.memory", "1", "2", "medium", "docker update db")
    session.project = ProjectStatus("idle", RUN, 1, (gone, stays))
    result = nftui(verb, "--repair", "--json", *(["--yes"] if verb == "apply" else []))
    (warning,) = (w for w in result.json["warnings"] if "--repair" in w)
    assert result.code == 0 and "db.memory" in warning and "docker update db" in warning
