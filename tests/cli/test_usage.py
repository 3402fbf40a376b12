"""The parser's table, and usage that is judged before the stack is read."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from nftui.cli.dispatch import VERBS
from nftui.cli.parser import ACTIONS, EXIT_CODES, GROUPS, BadUsage, parse
from nftui.cli.parser import VERBS as PARSED
from nftui.model.errors import ExitCode
from tests.cli.conftest import Nftui
from tests.cli.fakes import FakeSession

EVERY_VERB = [name for name in VERBS if name != "wizard"]


def test_the_parser_and_the_dispatcher_know_the_same_verbs() -> None:
    assert {n for n in PARSED if n not in GROUPS} | set(ACTIONS) == set(EVERY_VERB)


@pytest.mark.parametrize("verb", EVERY_VERB)
@pytest.mark.parametrize("before", [True, False])
def test_common_options_stand_before_or_after_the_verb(verb: str, before: bool) -> None:
    extra = {"preset show": ["x"], "preset validate": ["x"], "artefacts delete": ["x"]}.get(verb, [])
    options = ["--json", "--lang", "vi", "--no-color", "--plain", "-v", "--state-dir", "/s"]
    words = [*options, *verb.split(), *extra] if before else [*verb.split(), *extra, *options]
    args = parse(words)
    assert " ".join(filter(None, (args.verb, args.action))) == verb
    assert (args.json, args.lang, args.no_color, args.plain, args.verbose) == (True, "vi", True, True, True)
    assert args.state_dir == "/s"


def test_options_may_stand_between_a_group_and_its_action() -> None:
    args = parse(["snapshots", "--json", "show", ".", "ID"])
    assert (args.action, args.words, args.json) == ("show", [".", "ID"], True)


def test_the_value_of_an_option_is_not_the_verb() -> None:
    args = parse(["-p", "plan", "--profile", "apply", "status"])
    assert (args.verb, args.project_name, args.profile) == ("status", "plan", ["apply"])


def test_a_word_that_is_no_verb_is_the_wizards_project() -> None:
    assert parse(["./plan"]).verb == "wizard"
    assert parse(["./plan"]).project == "./plan"
    assert parse([]).verb == "wizard"


def test_positionals_and_options_mix() -> None:
    args = parse(["rollback", ".", "--yes", "ID", "--force"])
    assert (args.words, args.yes, args.force) == ([".", "ID"], True, True)


def test_options_of_plan_and_apply() -> None:
    args = parse(["apply", ".", "--set", "a.b=1", "--set", "a.c=2", "--only", "a,b", "--only", "c", "--settle", "0"])
    assert (args.sets, args.only, args.settle, args.wait_quiet) == (["a.b=1", "a.c=2"], ["a,b", "c"], 0.0, None)


@pytest.mark.parametrize(
    "words",
    [
        ["plan", "--bogus"], ["plan", "a", "b"], ["plan", "--js"], ["check", "--fail-on", "info"],
        ["check", "--format", "xml"], ["apply", "--confirm-within", "0"], ["apply", "--confirm-within", "-5"],
        ["apply", "--confirm-within", "soon"], ["apply", "--confirm-within", "nan"], ["apply", "--settle", "inf"],
        ["apply", "--wait-quiet", "-1"], ["plan", "--lang", "xx"], ["plan", "-f"], ["preset"], ["preset", "make"],
        ["snapshots"], ["snapshots", "drop"], ["artefacts"], ["artefacts", "delete"],
        ["preset", "validate"], ["measure"], ["report"], ["export"],
    ],
)  # fmt: skip
def test_bad_usage_exits_2_and_reads_nothing(nftui: Nftui, session: FakeSession, words: list[str]) -> None:
    result = nftui(*words)
    assert (result.code, result.out, session.asked) == (2, "", [])
    assert result.err.startswith("nftui: ")
    document = nftui("--json", *words)
    assert document.code == 2
    assert document.json["schema"] == f"nftui/{words[0]}/1"
    assert document.json["error"]["code"] == 2


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["plan", "--only", "alpa"], "Did you mean 'alpha'?"),
        (["plan", "--skip", "zzz"], "Known: alpha, beta"),
        (["plan", "--only", "alpa"], "Known: alpha, beta"),
        (["plan", "--off", "alpa"], "Did you mean 'alpha'?"),
        (["plan", "--set", "alpha.bufers=1MB"], "Did you mean 'alpha.buffers'?"),
        (["plan", "--set", "alpha.buffers=lots"], "is not a size"),
        (["plan", "--set", "alpha.buffers=2GB"], "out of bounds"),
        (["plan", "--set", "alpha=1"], "ID.KNOB=VALUE"),
        (["plan", "--only", "alpha,,beta"], "none of them empty"),
        (["plan", "--only", "alpha", "--skip", "alpha"], "contradict"),
        (["plan", "--preset", "smal"], "preset 'smal'"),
        (["plan", "--preset", "./none.yaml"], "no preset file"),
        (["apply", "--yes", "--plan", "p", "--set", "alpha.cost=1"], "--plan excludes --set"),
        (["apply", "--yes", "--plan", "p", "--preset", "x", "--only", "alpha"], "--preset, --only"),
        (["apply", "--yes", "--resume", "--off", "alpa"], "Did you mean 'alpha'?"),
        (["apply", "--yes", "--resume", "--plan", "none.plan"], "cannot be read"),
        (["plan", "--out", ""], "no file is named"),
        (["apply", "--yes", "--measure"], "later version"),
        (["apply", "--yes", "--files-only", "--confirm-within", "9"], "exclude each other"),
        (["apply", "--yes", "--set", "alpha.nope=1"], "alpha.nope"),
        (["rollback", "--yes", "a", "b", "c"], "Too many words"),
        (["apply"], "needs --yes"),
        (["rollback"], "needs --yes"),
        (["apply", "--resume"], "needs --yes"),
        (["plan", "no/such/dir"], "no project at no/such/dir"),
        (["snapshots", "show"], "Name a snapshot"),
    ],
)
def test_usage_is_judged_before_the_stack_is_read(
    nftui: Nftui, session: FakeSession, words: list[str], text: str
) -> None:
    result = nftui(*words)
    assert (result.code, result.out) == (2, "")
    assert text in result.err
    assert result.err.startswith("nftui: ")
    assert not {"facts", "prove", "findings", "start_apply", "start_rollback"} & set(session.names)


def test_the_wizard_needs_a_terminal(nftui: Nftui, session: FakeSession, tmp_path: Path) -> None:
    for words in ([], [str(tmp_path)], ["demo"]):
        result = nftui(*words)
        assert result.code == 2
        assert "apply --yes" in result.err
        assert session.asked == []
    assert not list(tmp_path.iterdir())


def test_a_mistyped_verb_is_told_apart_from_a_project(nftui: Nftui) -> None:
    assert "Did you mean 'status'?" in nftui("statsu").err
    assert nftui("nothing-like-it").code == 2


def test_the_exit_code_table_is_whole() -> None:
    assert {code for code, _text in EXIT_CODES} == {int(c) for c in ExitCode}


@pytest.mark.parametrize("words", [[], *([*v.split()] for v in EVERY_VERB), ["preset"], ["snapshots"]])
def test_help_shows_the_exit_codes(nftui: Nftui, words: list[str]) -> None:
    result = nftui(*words, "--help")
    assert result.code == 0
    assert all(str(code) in result.out for code, _text in EXIT_CODES)
    assert result.err == ""


def test_help_names_every_verb(nftui: Nftui) -> None:
    text = nftui("--help").out
    assert all(verb in text for verb in EVERY_VERB)


def test_no_abbreviations_so_that_new_options_break_no_script() -> None:
    for name in ("--pres", "--confirm", "--accept"):
        with pytest.raises(BadUsage):
            parse(["apply", name, "x"])


def test_project_options_reach_the_session(nftui: Nftui, session: FakeSession, tmp_path: Path) -> None:
    words = ["-f", "a.yaml", "-f", "b.yaml", "--env-file", "e", "--profile", "x,y", "--profile", "z", "-p", "n"]
    nftui("status", str(tmp_path), *words, "--project-directory", "d", "--context", "c", "--state-dir", "/s")
    request = session.request_
    assert request is not None
    assert (request.path, request.files, request.env_files) == (str(tmp_path), ("a.yaml", "b.yaml"), ("e",))
    assert (request.profiles, request.name) == (("x", "y", "z"), "n")
    assert (request.project_directory, request.context) == ("d", "c")
    assert session.asked[0] == ("session", Path("/s"))


def test_the_state_directory_is_absolute(
    nftui: Nftui, session: FakeSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's own process stands elsewhere."""
    nftui("status", "--state-dir", "state")
    monkeypatch.setenv("NFTUI_STATE_DIR", "other")
    nftui("status")
    found = [detail for name, detail in session.asked if name == "session"]
    assert found == [tmp_path / "state", tmp_path / "other"]


@pytest.mark.parametrize("order", list(itertools.permutations(["--json", "status", "-v"])))
def test_any_order(nftui: Nftui, order: tuple[str, ...]) -> None:
    result = nftui(*order)
    assert result.code == 0
    assert json.loads(result.out)["state"] == "idle"
