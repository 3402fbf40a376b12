"""Around the server: disks, mounts, what it asks the budget for, drift, and loading again after a restart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.catalog import classify
from nftui.engine.planner import Standing, draft
from nftui.engine.state import InForce
from nftui.model.advice import Assertion
from nftui.model.ai import Model, OllamaFacts
from nftui.model.choices import Choices, Selection
from nftui.model.errors import UsageError
from nftui.model.facts import Live
from nftui.model.host import Medium, Mount
from nftui.model.stack import Container, MountSpec, Role
from nftui.model.units import GIB, MIB
from nftui.steps.comparators import COMPARATORS
from tests.ollama.build import BIG, LLAMA3, MISTRAL, NOMIC, REGISTRY, advice, facts, plan
from tests.optimizations.test_contract import standing


def said(found: object) -> str:
    return " ".join(str(n) for n in found)  # type: ignore[attr-defined]


# -- around the server --------------------------------------------------------------------------------------------
def running(stack, target: str = "/root/.ollama", host_path: str | None = None, copies: int = 1):  # type: ignore[no-untyped-def]
    """The same with the server running, its models on a mount below `host_path`."""
    mounts = (MountSpec("volume", "models", target, host_path=host_path),)
    container = Container("c", "c", "ollama", 1, "running", None, "i", "i", mounts=mounts)
    services = tuple(
        replace(s, containers=(container,), mounts=mounts, scale=copies) if s.name == "ollama" else s
        for s in stack.stack.services
    )
    return replace(stack, stack=replace(stack.stack, services=services))


def test_a_model_too_large_is_not_counted_among_those_that_fit_at_once(tmp_path: Path) -> None:
    assert advice(facts(tmp_path, BIG, LLAMA3, NOMIC))["max_loaded_models"].value == "2"


@pytest.mark.parametrize(
    ("kind", "path", "late"),
    [("hdd", "/hdd", "llama3:8b 33 s, mistral:7b 27 s"), ("nvme", "/nvme", "llama3:8b 2 s"), ("unknown", "/x", None)],
)
def test_what_the_disk_makes_impossible_is_told(tmp_path: Path, kind: str, path: str, late: str | None) -> None:
    stack = running(facts(tmp_path, LLAMA3, MISTRAL, NOMIC if kind == "hdd" else LLAMA3), host_path=f"{path}/models")
    mount = Mount(path, "ext4", None, None, None, Medium(kind))
    notes = said(advice(replace(stack, host=replace(stack.host, mounts=(mount,))))["models"].notes)
    assert (late is None) == ("take longer to read" not in notes) and (late or "") in notes


@pytest.mark.parametrize(
    ("target", "copies", "why"),
    [("/data", 1, "No mount holds /root/.ollama/models"), ("/root/.ollama", 2, "runs 2 times")],
)
def test_a_server_that_a_recreate_would_harm_is_refused(tmp_path: Path, target: str, copies: int, why: str) -> None:
    (mine,) = [
        o for o in plan(running(facts(tmp_path, LLAMA3), target, copies=copies)).optimizations if o.id == "ollama"
    ]
    assert not mine.applicable and why in str(mine.reason)


def test_without_a_limit_it_asks_for_what_its_models_take(tmp_path: Path) -> None:
    def demand(*models: Model) -> tuple[float, float]:
        found, _ = REGISTRY["ollama"].demand(facts(tmp_path, *models, limit=None), Choices())
        return found.floor / GIB, found.wanted / GIB

    nothing_yet = facts(tmp_path, limit=None)
    assert REGISTRY["ollama"].demand(nothing_yet, Choices()) == (), "what its role needs stands: models will come"
    assert demand(LLAMA3) == pytest.approx((7.3, 7.3), abs=0.2)
    assert demand(LLAMA3, MISTRAL) == pytest.approx((6.4, 13.2), abs=0.2)
    assert demand(BIG, NOMIC)[0] < 2


@pytest.mark.parametrize(
    ("values", "there"),
    [({}, True), ({"preload": "once"}, False), ({"preload": "off"}, False), ({"tune_hot": "off"}, False),
     ({"preload": "off", "eviction": "lru"}, True)],
)  # fmt: skip
def test_the_service_beside_it_is_part_of_the_budget_where_it_runs(
    tmp_path: Path, values: dict[str, str], there: bool
) -> None:
    choices = Choices({"ollama": Selection.ON})
    for knob, value in values.items():
        choices = choices.set("ollama", None, knob, value)
    stack = facts(tmp_path, LLAMA3, NOMIC, limit="24g")
    demands = {d.service: d.wanted for d in REGISTRY["ollama"].demand(stack, choices)}
    assert demands.get("ollama-keeper") == (64 * MIB if there else None)
    assert ("ollama-keeper" in fragment(stack, **values).own) is there


def test_what_it_asks_for_does_not_shrink_with_what_is_loaded_now(tmp_path: Path) -> None:
    """Else its limit, and a keeper's share of it, would be another after each load."""
    given = {"OLLAMA_CONTEXT_LENGTH": "32768"}
    held = replace(LLAMA3, size=6 * GIB, context=32768)
    stacks = [
        facts(tmp_path, LLAMA3, limit=None, loaded=loaded, given=given, environment="{OLLAMA_CONTEXT_LENGTH: '32768'}")
        for loaded in ((), (held,), (replace(held, size=14 * GIB),))
    ]
    cold, small, large = (REGISTRY["ollama"].demand(s, Choices())[0].wanted for s in stacks)
    assert cold == small < large


def test_what_it_asks_for_holds_what_it_asked_for(tmp_path: Path) -> None:
    assert advice(facts(tmp_path, BIG, NOMIC, limit=None, memory=64 * GIB))["models"].value == (
        "nomic-embed-text:latest, llama3:70b"
    )


def test_a_variable_that_the_server_was_not_given_is_drift() -> None:
    def live(service: str, probe: str) -> Live:
        return Live(probe, service, OllamaFacts("0.12.3", given={"OLLAMA_KEEP_ALIVE": "24h"}))

    comparator = COMPARATORS["ollama-setting"]
    for name, value, same in (("KEEP_ALIVE", "24h", True), ("KEEP_ALIVE", "5m", False), ("NUM_PARALLEL", "2", False)):
        params = {"service": "ollama", "name": f"OLLAMA_{name}"}
        assert comparator.same(Assertion("ollama-setting", f"ollama.OLLAMA_{name}", value, params), live) is same


def test_a_model_that_stays_is_drift_while_it_is_not_in_memory() -> None:
    def live(service: str, probe: str) -> Live:
        value = OllamaFacts("0.12.3", loaded=(NOMIC,)) if service == "ollama" else None
        return Live(probe, service, value, None if value else "no answer")

    comparator = COMPARATORS["ollama-model"]

    def found(model: str, service: str = "ollama") -> tuple[str | None, bool]:
        assertion = Assertion("ollama-model", f"{service}.{model}", "in memory", {"service": service, "name": model})
        return comparator.read(assertion, live), comparator.same(assertion, live)

    assert found(NOMIC.name) == ("in memory", True)
    assert found(LLAMA3.name) == ("not in memory", False)
    assert found(NOMIC.name, "deaf")[0] is None  # unknown, and no drift


# -- loading again after a restart --------------------------------------------------------------------------------
def fragment(stack, **values: str):  # type: ignore[no-untyped-def]
    (found,) = [f for f in plan(stack, **values).fragments if f.optimization == "ollama"]
    return found


def test_a_small_service_loads_them_again_unless_that_is_refused(tmp_path: Path) -> None:
    stack = facts(tmp_path, LLAMA3, NOMIC, environment="{OLLAMA_HOST: '0.0.0.0:8080'}")
    assert fragment(stack, preload="once").own == fragment(stack, preload="off").own == {}
    found = fragment(stack, models="llama3:8b num_ctx=8192, nomic-embed-text")
    assert found.own == {"ollama-keeper": ("ollama",)}
    beside = found.services["ollama-keeper"]
    environment = beside["environment"]
    assert isinstance(environment, dict)
    assert (environment["NFTUI_HOST"], environment["NFTUI_PORT"]) == ("ollama", "8080")
    lines = [line.split(" ") for line in environment["NFTUI_MODELS"].split("\n")]
    assert [(name, options) for name, _, options in lines] == [
        ("llama3:8b", '{"num_ctx":8192}'), ("nomic-embed-text:latest", "{}"),
    ]  # fmt: skip
    # Together no more than the server's own share of its 16 GiB, and no more than it lets in.
    needs, room = sum(int(need) for _, need, _ in lines), int(environment["NFTUI_ROOM"])
    assert needs <= room <= 0.8 * 15.5 * GIB < room + GIB
    assert environment["NFTUI_ORDER"] == "server" and int(environment["NFTUI_PLACES"]) >= 2
    # Compose turns each $$ into the script's own $.
    assert "$" not in str(beside["entrypoint"]).replace("$$", "") and beside["image"] == "ollama/ollama"
    assert classify(beside, None).role is Role.CLIENT


def test_by_last_use_is_off_where_nobody_asks_and_needs_two_places(tmp_path: Path) -> None:
    stack = facts(tmp_path, LLAMA3, MISTRAL, NOMIC, limit="24g")
    assert advice(stack)["eviction"].value == "server" and advice(stack)["unload_after"].value is None
    found = fragment(stack, eviction="lru", unload_after="60", preload="off")
    environment = found.services["ollama-keeper"]["environment"]
    assert isinstance(environment, dict) and environment["NFTUI_MODELS"] == ""
    assert (environment["NFTUI_ORDER"], environment["NFTUI_IDLE_S"]) == ("lru", "60")
    with pytest.raises(UsageError, match="it holds one model at a time"):
        advice(stack, eviction="lru", max_loaded_models="1")
    with pytest.raises(UsageError, match=r"models_memory = 64GB is refused .* are there for models"):
        advice(stack, eviction="lru", models_memory="64GB")


def test_what_a_keeper_cannot_do_is_told(tmp_path: Path) -> None:
    stack = facts(tmp_path, LLAMA3, MISTRAL, NOMIC, limit="24g")
    notes = said(advice(stack, eviction="lru")["eviction"].notes)
    assert "What is at work is never stopped" in notes
    full = advice(stack, eviction="lru", preload="always", models="llama3:8b, nomic-embed-text", max_loaded_models="2")
    assert "All 2 places are for models that stay" in said(full["eviction"].notes)


def test_a_network_that_no_other_service_reaches_refuses_it(tmp_path: Path) -> None:
    stack = facts(tmp_path, LLAMA3, more="    network_mode: none\n")
    with pytest.raises(UsageError, match="no service beside it reaches it"):
        advice(stack, preload="always")
    with pytest.raises(UsageError, match="no service beside it reaches it"):
        advice(stack, eviction="lru")
    on_host = fragment(facts(tmp_path, LLAMA3, more="    network_mode: host\n"), preload="always")
    assert on_host.services["ollama-keeper"]["network_mode"] == "host"


@pytest.mark.parametrize(
    ("more", "image", "why"),
    [
        ("    network_mode: none\n", "ollama/ollama", "no service beside it reaches it in its network mode"),
        ("    network_mode: 'service:vpn'\n", "ollama/ollama", "no service beside it reaches it"),
        ("", "alpine/ollama", "its image has no bash"), ("", "", "its image is built here"),
        ("    network_mode: host\n", "ollama/ollama", None), ("", "ollama/ollama:rocm", None),
    ],
)  # fmt: skip
def test_models_are_loaded_again_wherever_a_service_can_do_that(
    tmp_path: Path, more: str, image: str, why: str | None
) -> None:
    stack = facts(tmp_path, LLAMA3, NOMIC, more=more)
    services = tuple(replace(s, image=image or None) if s.name == "ollama" else s for s in stack.stack.services)
    stack = replace(stack, stack=replace(stack.stack, services=services))
    found = advice(stack)["preload"]
    assert found.value == found.recommended == ("always" if why is None else "once")
    assert (why or "") in said(found.notes) and ("--repair" in said(found.notes)) == (why is not None)
    if why is not None:
        with pytest.raises(UsageError, match=why):
            advice(stack, preload="always")
    # What the operator says stands, and there is nothing to explain.
    for value in ("once", "off"):
        chosen = advice(facts(tmp_path, LLAMA3, NOMIC), preload=value)["preload"]
        assert (chosen.value, chosen.recommended, chosen.notes) == (value, "always", ())


def test_by_last_use_nothing_stays_that_nobody_named(tmp_path: Path) -> None:
    stack = facts(tmp_path, LLAMA3, MISTRAL, NOMIC, limit="24g")
    found = advice(stack, eviction="lru")["preload"]
    assert found.value == "once" and "comes back after a restart of the server, the last used first" in said(
        found.notes
    )
    assert advice(stack, eviction="lru", models="nomic-embed-text")["preload"].value == "always"
    assert advice(stack, eviction="server")["preload"].value == "always"


# -- when it comes and goes ---------------------------------------------------------------------------------------
def order(stack, place: Standing, selection: Selection = Selection.ON) -> list[str]:  # type: ignore[no-untyped-def]
    """Steps of the plan that concern containers and models."""
    return [s.id for s in draft(stack, Choices({"ollama": selection}), REGISTRY, place).steps if s.service]


def test_it_comes_when_the_server_is_as_it_shall_be_and_goes_before_that_changes(tmp_path: Path) -> None:
    """Else it would fill the memory of a server that is about to go, or is not to hold these models any more."""
    stack = running(facts(tmp_path, LLAMA3, NOMIC))
    first = order(stack, standing(stack))
    assert first == ["recreate:ollama", "ollama-settings:ollama", "ollama-preload:ollama", "start:ollama-keeper"]
    in_force = InForce(1, "run", Choices({"ollama": Selection.ON}), plan(stack).fragments)
    there = replace(standing(stack, in_force), own={"ollama-keeper": True})
    assert order(stack, there, Selection.OFF) == ["remove:ollama-keeper", "recreate:ollama"]
