"""The step kinds of Ollama: crash points, what they refuse, and what their way back leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nftui.clients.ollama import FOREVER, Answer, Shown
from nftui.engine.journal import Journal, Phase, RunView, read_journal
from nftui.engine.runner import Options, Outcome, Runner
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.steps import load_kinds
from nftui.steps.kind import Found, StepFailed
from nftui.steps.ollama import OllamaPreloadKind
from nftui.steps.ollama_config import keep_alive_s, same, server_config
from tests.engine.mortal import die_at
from tests.engine.test_runner import Quiet
from tests.engine.world import ENV
from tests.ollama.world import STORED, ModelWorld, new_world, stages

OLD = {ENV: b"A=1\n"}
BOTH = {"chat:1b": FOREVER, "embed:latest": FOREVER}


def run(
    world: ModelWorld, path: Path, make: Callable[[Path], Journal] = Journal, *, turn: bool = False
) -> Outcome | None:
    journal = make(path)
    runner = Runner(journal, stages(world), load_kinds(), world.context(), Quiet(), Options())
    if turn and not runner.view.turned:
        journal.write(Phase.TURN, reason="recovery")
    try:
        return runner.forward()
    finally:
        journal.close()


def spec(models: dict[str, dict[str, int]]) -> StepSpec:
    """A step that loads those, alone."""
    return StepSpec("preload", "ollama-preload", "db", {"models": models}, msg("load"), "db", stall_s=2.0)


def test_a_run_loads_and_verifies(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    assert run(world, tmp_path / "j") is None
    assert world.held == BOTH
    view = RunView(read_journal(tmp_path / "j"))
    lines = {e.step: e.data for e in view.entries if e.phase is Phase.VERIFIED}
    assert lines["settings"]["settings"] == {"OLLAMA_KEEP_ALIVE": "24h0m0s"}
    models = lines["preload"]["models"]
    assert isinstance(models, dict)
    for name in BOTH:
        seen = models[name]
        assert (seen["load_s"], seen["cold_s"], seen["first_token_s"], seen["n"]) == (0.5, 0.6, 0.1, 20), name
    assert models["embed:latest"]["embeds"] and "tokens_per_s" not in models["embed:latest"]
    assert "embeds" not in models["chat:1b"] and models["chat:1b"]["tokens_per_s"] == 80.0


@pytest.mark.parametrize(
    ("answers_in", "n", "p50", "p95"),
    [((0.1,), 20, 0.1, 0.1), ((*(0.2,) * 18, 3.0, 4.0), 20, 0.2, 3.0), ((4.0,), 4, 4.0, 4.0), ((20.0,), 3, 20.0, 20.0)],
)
def test_a_model_that_answers_fast_is_timed_twenty_times_and_a_slow_one_tells_how_often(
    tmp_path: Path, answers_in: tuple[float, ...], n: int, p50: float, p95: float
) -> None:
    world = new_world(tmp_path)
    world.answers_in = answers_in
    assert run(world, tmp_path / "j") is None
    told = [e.data for e in RunView(read_journal(tmp_path / "j")).entries if e.phase is Phase.VERIFIED]
    (models,) = [d["models"] for d in told if "models" in d]
    assert isinstance(models, dict)
    seen = models["chat:1b"]
    assert (seen["n"], seen["first_token_s"], seen["first_token_p95_s"]) == (n, p50, p95)
    assert seen["answer_p95_s"] == pytest.approx(p95 + 0.1)
    # The slow end of a rate is its low one.
    assert (seen["tokens_per_s"], seen["tokens_per_s_least_p95"]) == (round(8 / p50, 1), round(8 / p95, 1))
    assert models["embed:latest"]["first_token_p95_s"] == p95


def points(tmp_path: Path) -> tuple[int, int]:
    tmp_path.mkdir()
    world = new_world(tmp_path)
    run(world, tmp_path / "count")
    return len(read_journal(tmp_path / "count")), len(world.effects)


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("where", ["journal-before", "journal-after", "effect-before", "effect-after"])
def test_every_crash_point_ends_old_or_new(tmp_path: Path, where: str, resume: bool) -> None:
    lines, effects = points(tmp_path / "c")
    assert effects == 4  # two files' worth and two loads: what is timed changes nothing
    for point in range(1, (lines if where.startswith("journal") else effects) + 1):
        base = tmp_path / f"{where}{point}{resume}"
        base.mkdir()
        world = new_world(base)
        _die(world, base, where, point)
        outcome = run(world, base / "j", turn=not resume)
        assert outcome is None or outcome.name == "rolled-back", outcome
        if resume:
            assert world.held == BOTH, (where, point)
        else:
            assert world.files == OLD and world.held == {}, (where, point, world.held)


def _die(world: ModelWorld, base: Path, where: str, point: int) -> None:
    die_at(world, where, point, lambda make: run(world, base / "j", make))
    if world.container is None:
        world.container = world._new()


def test_a_model_that_does_not_fit_takes_everything_back(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    world.refuse = "load embed:latest"
    outcome = run(world, tmp_path / "j")
    assert outcome is not None and outcome.name == "rolled-back" and "more system memory" in outcome.reason
    assert world.files == OLD and world.held == {}


def test_a_setting_that_became_something_else_takes_everything_back(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    world.logs = lambda container_id, lines: 'msg="server config" env="map[OLLAMA_KEEP_ALIVE:5m0s]"'  # type: ignore[method-assign]
    outcome = run(world, tmp_path / "j")
    assert outcome is not None and "OLLAMA_KEEP_ALIVE=24h became 5m0s" in outcome.reason
    assert world.files == OLD


def test_a_model_that_the_server_did_not_keep_is_named(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    world.forgets = True
    outcome = run(world, tmp_path / "j")
    assert (
        outcome is not None
        and "chat:1b, embed:latest did not stay in the memory of db: it holds none" in outcome.reason
    )


def test_a_model_that_is_listed_and_dead_is_found_out(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    world.dead = ("chat:1b",)
    outcome = run(world, tmp_path / "j")
    assert outcome is not None and "chat:1b was not in the memory of db any more" in outcome.reason
    assert world.files == OLD and world.held == {}


def told(world: ModelWorld, path: Path) -> list[str]:
    """What a run says beside its steps."""
    assert run(world, path) is None
    return [str(e.data["text"]) for e in read_journal(path) if e.phase is Phase.NOTE]


def test_each_model_is_told_with_what_was_measured_beside_the_targets(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    world.answers_in = (*(0.1,) * 18, 0.4, 0.4)
    assert told(world, tmp_path / "j") == [
        "chat:1b, first token: 0.6 s cold (target 2 s); warm 0.1 s, and 95 of 100 within 0.4 s (target 0.5 s). "
        "80.0 tokens/s, and in 95 of 100 answers at least 20.0.",
        "embed:latest embeds a text: 0.6 s cold (target 2 s); warm 0.1 s, and 95 of 100 within 0.4 s (target 0.5 s).",
    ]


@pytest.mark.parametrize(
    ("load_s", "answers_in", "more"),
    [
        (1.9, (0.1,), []),
        (4.0, (0.1,), ["chat:1b took 4.0 s to load. Read as fast as that, models up to 18.1 MiB answer within 2 s.",
                       "embed:latest took 4.0 s to load. Read as fast as that, models up to 4.5 MiB answer within"]),
        (0.1, (0.6,), ["chat:1b is slow although", "embed:latest is slow although"]),
        (0.1, (*(0.4,) * 18, 0.6, 0.6), ["chat:1b is slow at times", "embed:latest is slow at times"]),
        (0.1, (*(0.4,) * 19, 0.6), []),
        (3.0, (2.5,), ["chat:1b is slow although", "embed:latest is slow although"]),
    ],
)  # fmt: skip
def test_what_misses_the_targets_is_told_with_what_the_disk_allows(
    tmp_path: Path, load_s: float, answers_in: tuple[float, ...], more: list[str]
) -> None:
    """By the 95th percentile; no disk helps a model whose first token alone takes too long."""
    world = new_world(tmp_path)
    world.slow, world.answers_in = load_s, answers_in
    said = [text for text in told(world, tmp_path / "j") if "(target" not in text]
    assert len(said) == len(more) and all(text.startswith(start) for text, start in zip(said, more, strict=True)), said


def test_a_model_that_somebody_has_in_memory_is_not_unloaded_to_be_timed(tmp_path: Path) -> None:
    world, kind, notes = new_world(tmp_path), OllamaPreloadKind(), list[str]()
    world.held = {"chat:1b": FOREVER}
    step, ctx = spec({"chat:1b": {}, "embed:latest": {}}), world.context(note=notes.append)
    before = kind.read(step, ctx)
    kind.do(step, before, ctx)
    kind.verify(step, before, ctx)
    assert notes[0].startswith("chat:1b, first token: cold not measured, for it was in memory already; warm 0.1 s")
    assert notes[1].startswith("embed:latest embeds a text: 0.6 s cold")
    assert world.effects == ["load embed:latest -1"]


def test_a_model_of_which_the_server_does_not_say_that_it_embeds_is_timed_all_the_same(tmp_path: Path) -> None:
    """Servers before 0.6.4 tell nothing, and their refusal does."""
    world, kind = new_world(tmp_path), OllamaPreloadKind()
    world.show = lambda name: Shown()  # type: ignore[method-assign]
    world.stored = lambda: [replace(m, capabilities=()) for m in STORED.values()]  # type: ignore[method-assign]
    step, ctx = spec({"embed:latest": {}}), world.context()
    kind.do(step, {}, ctx)
    models = kind.verify(step, {"loaded": {}, "oom_kills": 0}, ctx)["models"]
    assert isinstance(models, dict) and models["embed:latest"]["embeds"] and models["embed:latest"]["cold_s"] == 0.6


def test_a_process_that_the_kernel_killed_takes_everything_back(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    journal = Journal(tmp_path / "j")
    ctx = world.context(oom_kills=lambda container: len(world.held) // 2)
    outcome = Runner(journal, stages(world), load_kinds(), ctx, Quiet(), Options()).forward()
    assert outcome is not None and "the kernel killed 1 of its processes" in outcome.reason
    assert world.files == OLD and world.held == {}


def test_a_model_that_is_gone_from_the_disk_is_named(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    world.stored_names = ("chat:1b",)
    outcome = run(world, tmp_path / "j")
    assert outcome is not None and "embed:latest is not stored in db any more" in outcome.reason


def test_the_way_back_keeps_what_was_loaded_before(tmp_path: Path) -> None:
    """Somebody else's model is not touched; one that was there stays as long as any, one that was pinned stays so."""
    world, kind = new_world(tmp_path), OllamaPreloadKind()
    world.held = {"other:2b": None, "chat:1b": None}
    step, ctx = spec({"chat:1b": {}, "embed:latest": {}}), world.context()
    before = kind.read(step, ctx)
    assert kind.classify(step, before, ctx) is Found.BEFORE
    kind.do(step, before, ctx)
    assert kind.classify(step, before, ctx) is Found.AFTER
    assert world.held == {"other:2b": None, **BOTH}
    kind.undo(step, before, ctx)
    assert world.held == {"other:2b": None, "chat:1b": "5m"}
    kind.undo(step, before, ctx)
    assert world.held == {"other:2b": None, "chat:1b": "5m"}


def test_a_keep_alive_that_the_server_cannot_read_is_its_own_on_the_way_back(tmp_path: Path) -> None:
    world, kind = new_world(tmp_path), OllamaPreloadKind()
    assert world.container is not None
    world.container = replace(world.container, environment={"OLLAMA_KEEP_ALIVE": "forever"})
    world.held = {"chat:1b": FOREVER}
    kind.undo(spec({"chat:1b": {}}), {"loaded": {"chat:1b": False}}, world.context())
    assert world.held == {"chat:1b": "5m"}


def test_what_was_pinned_before_stays_pinned(tmp_path: Path) -> None:
    world, kind = new_world(tmp_path), OllamaPreloadKind()
    world.held = {"chat:1b": FOREVER}
    step, ctx = spec({"chat:1b": {}}), world.context()
    before = kind.read(step, ctx)
    assert kind.classify(step, before, ctx) is Found.AFTER
    kind.undo(step, before, ctx)
    assert world.held == {"chat:1b": FOREVER}


def test_a_model_that_somebody_uses_tells_later_that_it_stays(tmp_path: Path) -> None:
    """The server sets its time anew when the last request to it has ended (server/sched.go, processCompleted)."""
    world, kind = new_world(tmp_path), OllamaPreloadKind()
    world.held = dict(BOTH)
    world.in_use = 6
    step, ctx = spec({"chat:1b": {}, "embed:latest": {}}), world.context()
    assert "chat:1b" in kind.verify(step, {"loaded": {}, "oom_kills": 0}, ctx)["models"]  # type: ignore[operator]
    assert world.clock > 0


@pytest.mark.parametrize(
    ("unfinished", "keep", "found", "loads"),
    [
        ({"chat:1b"}, FOREVER, Found.PARTIAL, ["load chat:1b -1"]), (set(), FOREVER, Found.AFTER, []),
        (set(), None, Found.PARTIAL, ["load chat:1b -1"]), ({"other:2b"}, FOREVER, Found.AFTER, []),
    ],
)  # fmt: skip
def test_a_model_that_is_still_being_loaded_is_not_loaded_yet(
    tmp_path: Path, unfinished: set[str], keep: int | None, found: Found, loads: list[str]
) -> None:
    """Its listing says nothing: who asks waits for the load of somebody else, which is no cold answer of ours."""
    world, kind, notes = new_world(tmp_path), OllamaPreloadKind(), list[str]()
    world.held, world.unfinished = {**BOTH, "other:2b": None, "chat:1b": keep}, set(unfinished)
    step, ctx = spec({"chat:1b": {}, "embed:latest": {}}), world.context(note=notes.append)
    before = kind.read(step, ctx)
    assert kind.classify(step, before, ctx) is found
    kind.do(step, before, ctx)
    kind.verify(step, before, ctx)
    assert world.effects == loads and world.held["chat:1b"] == FOREVER
    assert all("cold not measured" in note for note in notes)


def test_an_app_that_sends_a_time_of_its_own_is_told_of(tmp_path: Path) -> None:
    """It is in memory, which is proven; that it stays there is not nftui's to promise."""
    world, kind, notes = new_world(tmp_path), OllamaPreloadKind(), list[str]()
    world.in_use = 10_000
    world.held = dict(BOTH)
    step, ctx = spec({"chat:1b": {}, "embed:latest": {}}), world.context(note=notes.append)
    assert "chat:1b" in kind.verify(step, {"loaded": {}, "oom_kills": 0}, ctx)["models"]  # type: ignore[operator]
    assert "chat:1b, embed:latest is in the memory of db, but nothing says that it stays" in notes[0]
    world.held = {"chat:1b": FOREVER}
    with pytest.raises(StepFailed, match="embed:latest did not stay in the memory"):
        kind.verify(step, {"loaded": {}, "oom_kills": 0}, ctx)


def test_a_context_that_was_cut_to_what_the_model_was_made_for_is_the_one_asked_for(tmp_path: Path) -> None:
    world, kind = new_world(tmp_path), OllamaPreloadKind()
    world.held, world.trained = {"chat:1b": FOREVER}, 4096
    assert kind.classify(spec({"chat:1b": {"num_ctx": 200_000}}), {"loaded": {}}, world.context()) is Found.AFTER


@pytest.mark.parametrize(
    ("family", "sees", "asked", "held", "found"),
    [
        ("gptoss", (), 4096, 8192, Found.AFTER), ("gptoss", (), 4096, 4096, Found.AFTER),
        ("qwen3vl", ("vision",), 1024, 2048, Found.AFTER), ("gemma3", ("vision",), 1024, 2048, Found.AFTER),
        ("llama", (), 4096, 8192, Found.BEFORE), ("gptoss", (), 16384, 8192, Found.BEFORE),
        ("llama", (), 1024, 2048, Found.BEFORE),
    ],
)  # fmt: skip
def test_a_context_that_the_server_raises_to_its_least_is_the_one_asked_for(
    tmp_path: Path, family: str, sees: tuple[str, ...], asked: int, held: int, found: Found
) -> None:
    world, kind = new_world(tmp_path), OllamaPreloadKind()
    world.held, world.context_held, world.family, world.sees = {"chat:1b": FOREVER}, held, family, sees
    assert kind.classify(spec({"chat:1b": {"num_ctx": asked}}), {}, world.context()) is found


def test_options_go_to_the_server_as_they_are(tmp_path: Path) -> None:
    """A switch is no number for it."""
    world, kind, sent = new_world(tmp_path), OllamaPreloadKind(), list[object]()
    plain = world.ask

    def ask(name: str, prompt: str, tokens: int, options: Mapping[str, int], *more: Any) -> Answer:
        sent.append(dict(options))
        return plain(name, prompt, tokens, options, *more)

    world.ask = ask  # type: ignore[method-assign, assignment]
    kind.do(spec({"chat:1b": {"num_ctx": 2048, "use_mmap": False}}), {}, world.context())
    assert [json.dumps(o) for o in sent] == ['{"num_ctx": 2048, "use_mmap": false}']


def test_another_context_than_asked_for_is_loaded_again(tmp_path: Path) -> None:
    world, kind = new_world(tmp_path), OllamaPreloadKind()
    world.held = {"chat:1b": FOREVER}
    assert kind.classify(spec({"chat:1b": {"num_ctx": 8192}}), {"loaded": {}}, world.context()) is Found.BEFORE
    assert kind.classify(spec({"chat:1b": {"num_ctx": 4096}}), {"loaded": {}}, world.context()) is Found.AFTER


@pytest.mark.parametrize("before_this_run", [False, True])
def test_the_way_back_stops_a_keeper_of_this_run_and_leaves_one_of_a_former_run_to_the_files(
    tmp_path: Path, before_this_run: bool
) -> None:
    world, kind = new_world(tmp_path), OllamaPreloadKind()
    assert world.container is not None
    keeper = replace(world.container, id="keeper", name="db-keeper-1", service="db-keeper")
    plain, there = world.containers, before_this_run
    world.containers = lambda: (*plain(), *((keeper,) if there else ()))  # type: ignore[method-assign]
    step = replace(spec({"chat:1b": {}}), params={"models": {"chat:1b": {}}, "keeper": "db-keeper"})
    ctx = world.context()
    before = kind.read(step, ctx)
    kind.do(step, before, ctx)
    there = True
    kind.undo(step, before, ctx)
    assert ("stop keeper" in " ".join(world.effects)) is not before_this_run
    assert world.held == ({"chat:1b": FOREVER} if before_this_run else {})


def test_a_server_that_does_not_answer_any_more_is_emptied_by_a_restart(tmp_path: Path) -> None:
    world, kind = new_world(tmp_path), OllamaPreloadKind()
    step, ctx = spec({"chat:1b": {}}), world.context()
    before = kind.read(step, ctx)
    kind.do(step, before, ctx)
    world.deaf = True
    kind.undo(step, before, ctx)
    assert world.effects[-1].startswith("restart") and world.held == {}


def test_a_model_that_does_not_leave_memory_is_no_reason_to_fail_on_the_way_back(tmp_path: Path) -> None:
    """A server that is busy with it answers a look, and not the request to let go."""
    world, kind = new_world(tmp_path), OllamaPreloadKind()
    step, ctx = spec({"chat:1b": {}}), world.context()
    before = kind.read(step, ctx)
    kind.do(step, before, ctx)
    world.refuse = "unload chat:1b"
    kind.undo(step, before, ctx)
    assert world.effects[-1].startswith("restart") and world.held == {}


def test_a_server_that_never_answers_is_a_reason_and_no_endless_wait(tmp_path: Path) -> None:
    world = new_world(tmp_path)
    world.deaf = True
    with pytest.raises(StepFailed, match="db: no answer"):
        OllamaPreloadKind().read(spec({"chat:1b": {}}), world.context())


# -- what the server prints ---------------------------------------------------------------------------------------
LINE = (
    'time=2026-11-24T08:36:01.075Z level=INFO source=routes.go:1951 msg="server config" env="map[CUDA_VISIBLE_DEVICES: '
    "HTTPS_PROXY: OLLAMA_CONTEXT_LENGTH:4096 OLLAMA_HOST:http://0.0.0.0:11434 OLLAMA_KEEP_ALIVE:24h0m0s "
    "OLLAMA_ORIGINS:[http://localhost https://localhost:* app://* vscode-webview://*] OLLAMA_SCHED_SPREAD:false "
    'http_proxy: no_proxy:]"'
)


def test_the_servers_own_print_is_read() -> None:
    config = server_config(f"noise\n{LINE}\n[GIN] more")
    assert config["OLLAMA_KEEP_ALIVE"] == "24h0m0s" and config["OLLAMA_CONTEXT_LENGTH"] == "4096"
    assert config["OLLAMA_HOST"] == "http://0.0.0.0:11434" and config["CUDA_VISIBLE_DEVICES"] == ""
    assert config["OLLAMA_ORIGINS"].endswith("vscode-webview://*]") and config["no_proxy"] == ""
    assert server_config("nothing of the kind") == {}


def test_the_newest_start_counts() -> None:
    later = LINE.replace("24h0m0s", "5m0s")
    assert server_config(f"{LINE}\n{later}")["OLLAMA_KEEP_ALIVE"] == "5m0s"


@pytest.mark.parametrize(
    ("name", "asked", "shown", "equal"),
    [
        ("OLLAMA_KEEP_ALIVE", "24h", "24h0m0s", True),
        ("OLLAMA_KEEP_ALIVE", "1800", "30m0s", True),
        ("OLLAMA_KEEP_ALIVE", "-1", "2562047h47m16.854775807s", True),
        ("OLLAMA_KEEP_ALIVE", "24h", "5m0s", False),
        ("OLLAMA_KEEP_ALIVE", "-1", "5m0s", False),
        ("OLLAMA_FLASH_ATTENTION", "1", "true", True),
        ("OLLAMA_FLASH_ATTENTION", "0", "true", False),
        ("OLLAMA_NUM_PARALLEL", "2", "2", True),
        ("OLLAMA_NUM_PARALLEL", "2", "1", False),
    ],
)
def test_values_are_compared_by_meaning(name: str, asked: str, shown: str, equal: bool) -> None:
    assert same(name, asked, shown) is equal


@pytest.mark.parametrize("text", ["forever", "", "5 m", "1d", "-x", "--1"])
def test_what_the_server_cannot_read_is_no_duration(text: str) -> None:
    assert keep_alive_s(text) is None
