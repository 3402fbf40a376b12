"""Step kinds of Ollama: read its settings back, and bring the pinned models into memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from nftui.clients.ollama import FOREVER, Answer
from nftui.model.ai import Model, OllamaFacts
from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.stack import Container
from nftui.steps import gate
from nftui.steps.calls import Data, ModelCalls
from nftui.steps.gate import POLL_S, containers_of
from nftui.steps.kind import Context, Found, StepFailed
from nftui.steps.ollama_config import differences, keep_alive_s, server_config
from nftui.steps.ollama_measure import LOOKUP_S, ask_once, ask_warm, figures_of, measured, too_slow
from nftui.steps.ollama_memory import capable, coming, has_context, held_of, is_pinned, names_of
from nftui.steps.reading import Reading

_LOG_LINES = 2000
"""The line is among the first of a start: enough to find it behind what a new container logged since."""
_SHORT_S = 30.0
"""For calls that load nothing."""
_SLOWEST = 20_000_000
"""Bytes a second of the slowest disk that is waited for."""


def _texts(found: object) -> dict[str, str]:
    assert isinstance(found, Mapping)
    return {str(k): str(v) for k, v in found.items()}


def _container(service: str, ctx: Context) -> Container:
    running = [c for c in containers_of(service, ctx) if c.running]
    if not running:
        raise StepFailed(msg("{service} does not run.", service=service))
    return running[0]


def _wait(step: StepSpec, why_not: Callable[[], str | None], ctx: Context) -> None:
    """Poll until `why_not` is None; StepFailed with its last word after the step's stall timeout."""
    deadline = ctx.now() + step.stall_s
    while (reason := why_not()) is not None:
        if ctx.now() >= deadline:
            raise StepFailed(msg("{service}: {reason}", service=step.target, reason=reason))
        ctx.progress(reason, None)
        ctx.sleep(POLL_S)


def _answers(service: str, ctx: Context) -> str | None:
    try:
        ctx.models(service).version()
    except NftuiError as error:
        return str(error.message)
    return None


class OllamaSettingsKind(Reading):
    """Compares what the server made of its variables with what was asked; on the way back with what it had before."""

    name = "ollama-settings"
    version = 1
    reads_files = True

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Nothing changes here: what stood before the recreate, and what comes `back` by the files, is in the plan."""
        previous, back = step.params["previous"], step.params.get("back") or {}
        assert isinstance(previous, Mapping) and isinstance(back, Mapping)
        return {"previous": {**previous, **back}}

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed naming each variable that did not take."""
        _wait(step, lambda: _answers(step.target, ctx), ctx)
        if step.params.get("healthcheck"):
            _wait(step, lambda: _unhealthy(step.target, ctx), ctx)
        expected, container = _texts(step.params["expected"]), _container(step.target, ctx)
        config = server_config(ctx.engine.logs(container.id, _LOG_LINES))
        wrong = differences(expected, container.environment, config)
        if wrong:
            raise StepFailed(
                msg("{service} does not run what was asked: {list}", service=step.target, list="; ".join(wrong))
            )
        shown = {n: config.get(n, container.environment[n]) for n in expected}
        return {"settings": shown, "read_from": "server log" if config else "container"}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """The variables from before must be those of the container that runs now."""
        previous = before["previous"]
        assert isinstance(previous, Mapping)
        given = _container(step.target, ctx).environment
        wrong = [f"{n}={given.get(n)}" for n, value in sorted(previous.items()) if given.get(n) != value]
        if wrong:
            raise StepFailed(
                msg("{service} does not run its former values: {list}", service=step.target, list="; ".join(wrong))
            )


def _unhealthy(service: str, ctx: Context) -> str | None:
    health = _container(service, ctx).health
    return None if health in (None, "healthy") else f"waiting for the health of {service}"


class OllamaPreloadKind:
    """Loads models and keeps them; on the way back, what was not loaded before leaves memory again."""

    name = "ollama-preload"
    version = 1
    reads_files = False

    def __init__(self) -> None:
        self._cold: dict[str, Answer] = {}
        """Model to the answer that brought it into memory, in the run that this process drives."""

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Which models are in memory, and which of them for ever; of one file also by the name that is wanted.

        `kept`: a keeper of an earlier run is at work.
        """
        _wait(step, lambda: _answers(step.target, ctx), ctx)
        kills = gate.oom_kills(containers_of(step.target, ctx), ctx)
        server = ctx.models(step.target)
        names = {m.name: is_pinned(m) for m in server.loaded()}
        held = {name: is_pinned(m) for name, m in held_of(_wanted(step), server).items()}
        return {"loaded": {**names, **held}, "oom_kills": kills, "kept": bool(_keepers(step, ctx))}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """By what is in memory now: somebody else's model is no concern of ours."""
        missing = _missing(step, ctx.models(step.target))
        if not missing:
            return Found.AFTER
        return Found.BEFORE if len(missing) == len(_wanted(step)) else Found.PARTIAL

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """One after the other: two that load at once would each think the memory theirs."""
        server = ctx.models(step.target)
        stored, held = {m.name: m for m in server.stored()}, held_of(_wanted(step), server)
        for name in _missing(step, server):
            model = stored.get(name)
            if model is None:
                raise StepFailed(
                    msg("{model} is not stored in {service} any more: pull it, or leave it out of the models.",
                        model=name, service=step.target)
                )  # fmt: skip
            answer = self._load(step, server, capable(server, model), ctx)
            if not _is_held(name, step, server, held):
                self._cold[name] = answer

    def _load(self, step: StepSpec, server: ModelCalls, model: Model, ctx: Context) -> Answer:
        """By a short question as an app would ask it: what that takes is the cold answer."""
        patience = 120.0 + model.size / _SLOWEST
        options = _wanted(step)[model.name]
        return _in_thread(
            lambda: ask_once(server, model, 0, options, patience, FOREVER), f"loading {model.name} into memory", ctx
        )

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Each of them is in memory for good, and answers; returns how fast, cold and warm.

        /api/ps goes on listing a model whose process was killed: the kernel's count and the answers tell the truth.
        """
        server = ctx.models(step.target)
        _must_have_been_spared(step, before, ctx)
        _must_be_kept(step, server, ctx)
        found = held_of(_wanted(step), server)
        figures = {name: self._figures(step, server, found[name], ctx) for name in _wanted(step)}
        for name, seen in figures.items():
            for text in (measured(name, seen), *too_slow(name, seen)):
                ctx.note(str(text))
        return {"models": figures}

    def _figures(self, step: StepSpec, server: ModelCalls, model: Model, ctx: Context) -> dict[str, object]:
        stored = next((m.size for m in server.stored() if m.name == model.name), 0)
        figures: dict[str, object] = {
            "bytes": model.size, "vram_bytes": model.vram, "context": model.context, "stored_bytes": stored,
        }  # fmt: skip
        cold = self._cold.get(model.name)
        if cold is not None:
            figures |= {"load_s": round(cold.load, 3), "cold_s": round(cold.first, 3)}
        ctx.progress(f"timing {model.name}", None)
        answers = ask_warm(server, capable(server, model), _wanted(step)[model.name], ctx)
        _must_be_warm(step, model.name, max(a.load for a in answers))
        return figures | figures_of(answers)

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """What came is unloaded; what was there before stays as long as any model of that server.

        Where a keeper was at work before, it says what is in memory, and goes on by the files that are back.
        """
        loaded = before["loaded"]
        assert isinstance(loaded, Mapping)
        if before.get("kept"):
            return
        for keeper in _keepers(step, ctx):  # It would load them again now; its own step takes it away.
            ctx.engine.stop(keeper.id, 1)
        if not any(c.running for c in containers_of(step.target, ctx)):
            return  # what does not run holds nothing
        try:
            _take_out(step, loaded, ctx)
        except NftuiError:
            # It runs and does not answer, or holds on: a restart empties its memory for certain.
            ctx.engine.restart(_container(step.target, ctx).id, 10)


def _keepers(step: StepSpec, ctx: Context) -> list[Container]:
    """The running containers of the service that keeps them in memory."""
    name = step.params.get("keeper")
    return [c for c in containers_of(str(name), ctx) if c.running] if name else []


def _wanted(step: StepSpec) -> dict[str, dict[str, int]]:
    """Model to the options that it is loaded with: others would make the server load it again."""
    models = step.params["models"]
    assert isinstance(models, Mapping)
    return {str(n): {str(k): v for k, v in options.items()} for n, options in models.items()}


def _missing(step: StepSpec, server: ModelCalls) -> list[str]:
    """Those that are not in memory yet, or not for good, or with another context than asked for."""
    wanted, unfinished = _wanted(step), coming(server)
    held = held_of(wanted, server)
    return [n for n in wanted if n in unfinished or not (_is_held(n, step, server, held) and is_pinned(held[n]))]


def _is_held(name: str, step: StepSpec, server: ModelCalls, held: Mapping[str, Model]) -> bool:
    """Whether it is listed, as it is asked for."""
    return name in held and has_context(server, held[name], _wanted(step)[name])


def _must_be_kept(step: StepSpec, server: ModelCalls, ctx: Context) -> None:
    """How long a model stays is told anew when the last request to it has ended, so one in use is waited for.

    One that is in memory and never says so is told of: apps decide that with each request, now and later.
    """
    deadline = ctx.now() + _SHORT_S
    while missing := _missing(step, server):
        held = held_of(_wanted(step), server)
        used = [n for n in missing if _is_held(n, step, server, held)]
        if len(used) < len(missing):
            raise StepFailed(
                msg("{models} did not stay in the memory of {service}: {room}. A server that sees too little free "
                    "memory, by its own count, unloads one model for another: keep fewer of them, or give it more.",
                    models=", ".join(missing), service=step.target, room=names_of(server))
            )  # fmt: skip
        if ctx.now() >= deadline:
            ctx.note(str(msg("{models} is in the memory of {service}, but nothing says that it stays: it is in use all "
                             "the time, or an app sends a keep_alive of its own, which counts for all.",
                             models=", ".join(used), service=step.target)))  # fmt: skip
            return
        ctx.progress(f"waiting until nobody uses {', '.join(used)}", None)
        ctx.sleep(POLL_S)


def _take_out(step: StepSpec, loaded: Mapping[object, object], ctx: Context) -> None:
    """What was not in memory before (`loaded`) goes; what was there and not for ever stays as long as any other."""
    server = ctx.models(step.target)
    now = held_of(_wanted(step), server)
    for name in _wanted(step):
        if name in now and name not in loaded:
            _unload(step, server, capable(server, now[name]), ctx)
        elif name in now and not loaded[name]:
            _relax(step, server, capable(server, now[name]), ctx)


def _unload(step: StepSpec, server: ModelCalls, model: Model, ctx: Context) -> None:
    server.unload(model, _SHORT_S)
    held = f"{model.name} is still in memory"
    _wait(step, lambda: held if held_of({model.name}, server) else None, ctx)


def _relax(step: StepSpec, server: ModelCalls, model: Model, ctx: Context) -> None:
    """It was loaded before, and not for ever: from now on it goes when the server's own time is over."""
    value = ctx.probe(step.target, "ollama").value
    own = value.given.get("OLLAMA_KEEP_ALIVE", "") if isinstance(value, OllamaFacts) else ""
    text = own.strip().strip("\"'")
    text = text if keep_alive_s(text) is not None else "5m"  # as the server reads what it cannot read
    server.load(model, int(text) if text.lstrip("-").isdigit() else text, _wanted(step)[model.name], _SHORT_S)


def _must_have_been_spared(step: StepSpec, before: Data, ctx: Context) -> None:
    kills = gate.oom_kills(containers_of(step.target, ctx), ctx) - int(str(before.get("oom_kills") or 0))
    if kills > 0:
        raise StepFailed(
            msg("Loading the models took more memory than {service} has: the kernel killed {count} of its processes. "
                "Keep fewer of them, or give it more.", service=step.target, count=kills)
        )  # fmt: skip


def _must_be_warm(step: StepSpec, name: str, load_s: float) -> None:
    """A request that finds its model in memory says so: only a new load takes longer than looking it up."""
    if load_s > LOOKUP_S:
        raise StepFailed(
            msg("{model} was not in the memory of {service} any more: a request had to load it again.", model=name,
                service=step.target)
        )  # fmt: skip


def _in_thread(work: Callable[[], Answer], text: str, ctx: Context) -> Answer:
    """The call blocks until the model is loaded: meanwhile the run listens to its operator."""
    found: list[Answer] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(0.05)
    while thread.is_alive():
        ctx.progress(text, None)
        ctx.sleep(POLL_S)
    if failed:
        raise failed[0]
    return found[0]
