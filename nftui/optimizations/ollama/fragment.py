"""What is written and what is read back: environment, healthcheck, the list of models, the steps that prove them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.catalog import healthchecks
from nftui.model.advice import Assertion, Fragment
from nftui.model.ai import OllamaFacts
from nftui.model.message import msg
from nftui.model.plan import StepSpec, Undo
from nftui.model.stack import Role
from nftui.optimizations.ollama.decision import given, is_written
from nftui.optimizations.ollama.eviction import keeping
from nftui.optimizations.ollama.keeper import keeper, keeper_name
from nftui.optimizations.ollama.knobs import ID, VARIABLES
from nftui.optimizations.ollama.server import Server, build_server
from nftui.optimizations.ollama.wishes import NONE, parse_wishes
from nftui.steps.comparators import IN_MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nftui.model.advice import Advice
    from nftui.model.facts import Facts
    from nftui.model.stack import Service

MODELS_LABEL = "nftui.models"
"""On the service: what is loaded ahead, for whoever looks at the container."""
_HEALTH = {"interval": "10s", "timeout": "10s", "retries": 6, "start_period": "60s"}
_NOT_IN_IMAGE = ("curl", "wget")


def build_fragment(facts: Facts, advice: Iterable[Advice]) -> Fragment:
    """Every value that differs from what the service would have without nftui; an empty fragment where none does."""
    services: dict[str, dict[str, object]] = {}
    values: dict[str, dict[str, str]] = {}
    own: dict[str, tuple[str, ...]] = {}
    lines = tuple(advice)
    health = not any(line.knob == "tune_health" and line.value == "off" for line in lines)
    for name in sorted({line.service for line in lines if line.service is not None}):
        service = facts.stack.service(name)
        if service is None:
            continue
        server = build_server(facts, service, {})
        said = {line.knob: line.value for line in lines if line.service == name}
        written = {k: str(v) for k, v in said.items() if is_written(server, k, v)}
        if said.get("preload") in ("once", "always") and said.get("models"):
            written["models"] = str(said["models"])
        keys = _keys(server, written, health=health)
        if keys:
            services[name], values[name] = keys, dict(sorted(written.items()))
        wanted = keeping(server, said)
        if wanted.wishes or wanted.by_use:
            beside = keeper_name(facts, service)
            services[beside], own[beside] = keeper(service, wanted), (name,)
    return Fragment(ID, services, values, own=own)


def _keys(server: Server, written: Mapping[str, str], *, health: bool) -> dict[str, object]:
    keys: dict[str, object] = {}
    environment = {VARIABLES[k]: given(k, v) for k, v in written.items() if k in VARIABLES}
    if environment:
        keys["environment"] = dict(sorted(environment.items()))
    if "models" in written:
        keys["labels"] = {MODELS_LABEL: written["models"]}
    check = _healthcheck(server.service) if health else None
    if check:
        keys["healthcheck"] = check
    return keys


def _healthcheck(service: Service) -> dict[str, object] | None:
    """One that works in that image, where there is none or one that calls what the image has not."""
    declared = service.config.get("healthcheck")
    text = str(declared.get("test") or "") if isinstance(declared, dict) else ""
    if declared and not any(tool in text for tool in _NOT_IN_IMAGE):
        return None
    known = healthchecks(Role.OLLAMA, service.image)
    test = list(known[0].test) if known else ["CMD", "ollama", "ls"]
    return {"test": test} if declared else {"test": test, **_HEALTH}


def environment_of(fragment: Fragment, service: str) -> dict[str, str]:
    """The variables that are written for that service."""
    found = fragment.services.get(service, {}).get("environment")
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def live_steps(facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
    """Read the settings back, then load the models."""
    found: list[StepSpec] = []
    for service in sorted(set(fragment.services) - set(fragment.own)):
        found.append(_read_back(facts, fragment, service))
        models = fragment.values.get(service, {}).get("models")
        if models and parse_wishes(models):
            beside = next((name for name, users in fragment.own.items() if service in users), None)
            found.append(_preload(facts, service, models, beside))
    return tuple(found)


def _read_back(facts: Facts, fragment: Fragment, service: str) -> StepSpec:
    expected = environment_of(fragment, service)
    value = facts.live_value(service, ID)
    given_now = value.given if isinstance(value, OllamaFacts) else {}
    return StepSpec(
        id=f"{ID}-settings:{service}",
        kind="ollama-settings",
        target=service,
        params={
            "expected": expected,
            "previous": {name: given_now.get(name) for name in sorted(expected)},
            "healthcheck": "healthcheck" in fragment.services[service],
        },
        summary=msg("read {count} settings back from {service}", count=len(expected), service=service),
        service=service,
        optimization=ID,
        undo=Undo.EXACT,
    )


def _preload(facts: Facts, service: str, models: str, beside: str | None) -> StepSpec:
    wishes, value = parse_wishes(models), facts.live_value(service, ID)
    known, held = facts.stack.service(service), _loaded(value)
    return StepSpec(
        id=f"{ID}-preload:{service}",
        kind="ollama-preload",
        target=service,
        params={"models": {w.name: dict(sorted(w.options.items())) for w in wishes}, "keeper": beside},
        summary=msg("load {models} into the memory of {service}", models=", ".join(w.name for w in wishes),
                    service=service),
        service=service,
        optimization=ID,
        undo=Undo.EXACT,
        live=bool(known and known.running) and held is not None and not held.issuperset(w.name for w in wishes),
    )  # fmt: skip


def _loaded(value: object) -> set[str] | None:
    """Names of what is in memory, with all names of the same files; None where the server could not be asked."""
    if not isinstance(value, OllamaFacts):
        return None
    return {m.name for m in value.loaded} | {m.name for m in value.stored if value.held(m.name)}


def assertions(fragment: Fragment) -> tuple[Assertion, ...]:
    """What shall hold from then on: each variable of the running server, and each model that stays in its memory."""
    found = []
    for service in sorted(set(fragment.services) - set(fragment.own)):
        for name, value in sorted(environment_of(fragment, service).items()):
            found.append(Assertion("ollama-setting", f"{service}.{name}", value, {"service": service, "name": name}))
        for wish in parse_wishes(fragment.values.get(service, {}).get("models") or NONE):
            params = {"service": service, "name": wish.name}
            found.append(Assertion("ollama-model", f"{service}.{wish.name}", IN_MEMORY, params, "low"))
    return tuple(found)
