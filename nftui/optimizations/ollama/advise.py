"""One server's advice: the operator's words, what fits, and the rules for the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nftui.model.message import Message, msg
from nftui.model.units import MIB, format_size, human_size, parse_size
from nftui.optimizations.ollama.decision import Decision, Origin, baseline, is_off, own, refusal
from nftui.optimizations.ollama.estimate import context
from nftui.optimizations.ollama.eviction import keeping_decisions
from nftui.optimizations.ollama.fit import AT_ONCE, NO_GPU, Fit, Fixed, loaded_with, solve, worst
from nftui.optimizations.ollama.keeper import no_keeper
from nftui.optimizations.ollama.knobs import BY_NAME, VARIABLES
from nftui.optimizations.ollama.reasons import (
    BACK_BY_USE,
    EVICTION,
    FLASH_CPU,
    FLASH_GPU,
    HANDED_ON,
    PAGES,
    cache_why,
    context_why,
    exact_all_the_same,
    keep_why,
    loaded_why,
    once_only,
    other_names,
    parallel_why,
    places,
    replaced,
    sizes,
    slow_to_load,
    too_large,
)
from nftui.optimizations.ollama.versions import SINCE, has_option, has_prompt_cache, reads
from nftui.optimizations.ollama.wishes import NONE, BadList, Wish, parse_wishes, show_wishes
from nftui.steps.ollama_config import keep_alive_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nftui.model.ai import Model
    from nftui.model.choices import Choices
    from nftui.optimizations.ollama.estimate import Setting
    from nftui.optimizations.ollama.server import Server

ID = "ollama"
PROMPT_CACHE = 512 * MIB
"""Of each loaded model, in the host's memory: llama-server's own 8 GiB has killed containers (AI reference 1.1)."""
_MANY_CPUS = 8
_NUMBERS = ("max_loaded_models", "num_parallel", "context_length")


class Adviser:
    """Works one server out. `fit` is None where its models or its memory are not known."""

    def __init__(self, server: Server, choices: Choices) -> None:
        self.server, self.choices = server, choices
        measured = server.estimator()
        self.estimator = replace(measured, smaller={})
        self.listed = self._listed()
        wishes = self.listed if self.listed is not None else automatic(server)
        self.replaced: tuple[str, ...] = ()
        """The operator's own values that do not fit."""
        self.ideal: Fit | None = None
        self.fit: Fit | None = None
        if server.stored and server.room is not None:
            self._work_out(wishes)
            # What is loaded now may be what this run's plan loaded: only the operator's list may go by it.
            if self.fit is not None and measured.smaller and _left_out(self, self.fit):
                self.estimator = measured
                self._work_out(wishes)
        if self.fit is not None:
            _refuse(self, self.fit)

    def _work_out(self, wishes: Sequence[Wish]) -> None:
        self.replaced = ()
        self.ideal = self._solve(wishes, Fixed())
        self.fit = self._fit(wishes)

    # -- what the operator says
    def chosen(self, name: str) -> str | None:
        """The operator's value for that knob."""
        return self.choices.value(ID, self.server.name, name)

    def _listed(self) -> tuple[Wish, ...] | None:
        text = self.chosen("models")
        if text is None:
            return () if is_off(self.choices, self.server, "models") else None
        try:
            found = parse_wishes(text)
        except BadList as error:
            raise refusal(self.server, "models", text, error.reason) from None
        names = {m.name for m in self.server.stored}
        absent = [w.name for w in found if w.name not in names]
        if absent and self.server.live is not None:
            raise refusal(self.server, "models", text, msg(
                "it does not store {models}; pull it first, or choose among {stored}", models=", ".join(absent),
                stored=", ".join(sorted(names))))  # fmt: skip
        unread = sorted({o for w in found for o in w.options if not has_option(self.server.version, o)})
        if unread:
            raise refusal(self.server, "models", text, msg(
                "version {running} has no {options}", running=".".join(map(str, self.server.version or ())),
                options=", ".join(unread)))  # fmt: skip
        return self._one_of_each_file(found, text)

    def _one_of_each_file(self, wishes: Sequence[Wish], text: str) -> tuple[Wish, ...]:
        """The first of several names of one file, which is in memory once and with one set of options."""
        kept: dict[str, Wish] = {}
        for wish in wishes:
            names = self.server.same_file(wish.name)
            first = kept.setdefault(names[0].file if names else wish.name, wish)
            if self._options(first) != self._options(wish):
                raise refusal(self.server, "models", text, msg(
                    "{first} and {second} are names of one file, which is in memory once: give both the same options, "
                    "or leave one out", first=first.name, second=wish.name))  # fmt: skip
        return tuple(kept.values())

    def _options(self, wish: Wish) -> dict[str, int]:
        """What it is loaded with: its own parameters, and what is asked for beside them."""
        own_context = next((m.own_context for m in self.server.same_file(wish.name)[:1]), None)
        return ({"num_ctx": own_context} if own_context else {}) | wish.options

    def decided(self, name: str, *, also_own: bool = True) -> str | None:
        """Chosen, else the operator's own (unless its part is nftui's to replace)."""
        value = self.chosen(name)
        if value is None and also_own and name not in self.replaced:
            value = own(self.server, name)
        return value

    def _fixed(self, *, also_own: bool) -> Fixed:
        numbers = {n: int(v) if (v := self.decided(n, also_own=also_own)) is not None else None for n in _NUMBERS}
        cache = self.decided("kv_cache_type", also_own=also_own)
        prompts = self.decided("prompt_cache", also_own=also_own)
        size = None if prompts is None else parse_size(prompts)
        return Fixed(
            numbers["context_length"], numbers["num_parallel"], self._believed(cache),
            size if has_prompt_cache(self.server.version) else 0, numbers["max_loaded_models"],
        )  # fmt: skip

    def _believed(self, cache: str | None) -> str | None:
        """Without a GPU older servers silently keep the exact cache: it is counted as exact."""
        return "f16" if cache is not None and not self.server.on_gpu else cache

    # -- what fits
    def start(self) -> Setting:
        """The most that is advised; lowered until it fits."""
        plain, many = self.server.defaults(), self.server.cpus >= _MANY_CPUS
        slots = 4 if self.server.on_gpu else 2 if many else 1
        flash = self.decided("flash_attention") or ("on" if self.server.on_gpu else None)
        return replace(
            plain, parallel=slots, prompt_cache=min(plain.prompt_cache, PROMPT_CACHE),
            flash=None if flash is None else flash == "on",
        )  # fmt: skip

    def _solve(self, wishes: Sequence[Wish], fixed: Fixed) -> Fit:
        room = self.server.room
        assert room is not None
        quantize = self.server.on_gpu and reads(self.server.version, "OLLAMA_KV_CACHE_TYPE")
        return solve(
            _apart(self.server, wishes), wishes, room, self.start(), fixed, self.estimator,
            listed=bool(self.listed), quantize=quantize, gpus=self.server.gpus or NO_GPU,
        )  # fmt: skip

    def _fit(self, wishes: Sequence[Wish]) -> Fit:
        """With the operator's own values; without them where nothing would fit under them."""
        found = self._solve(wishes, self._fixed(also_own=True))
        if self.is_sound(found):
            return found
        self.replaced = tuple(n for n in VARIABLES if own(self.server, n) is not None and self.chosen(n) is None)
        self.replaced = tuple(n for n in self.replaced if n in (*_NUMBERS, "kv_cache_type", "prompt_cache"))
        return self._solve(wishes, self._fixed(also_own=False))

    def is_sound(self, fit: Fit) -> bool:
        """True where what may be in memory at once fits, and no model is too large that could be had otherwise."""
        ideal = self.ideal or fit
        lost = set(fit.too_large) - set(ideal.too_large)
        return not lost and bool(fit.pinned) >= bool(ideal.pinned) and self.at_worst(fit) <= (self.server.room or 0)

    def at_worst(self, fit: Fit) -> int:
        """Bytes that the models let in at once can take; on a GPU the server itself evicts before it is too much."""
        if self.server.on_gpu:
            return sum(fit.needs[w.name] for w in fit.pinned)
        return worst(fit.loaded, fit.pinned, fit.needs, self.server.room or 0, bool(self.listed))

    # -- decisions
    def decide(self) -> dict[str, Decision]:
        """Every knob of that server. Raises UsageError for a chosen value that it must not get."""
        rules = {"models": self._models_rule(), **self._rules(self.ideal)}
        found = {name: self._decision(name, value, why) for name, (value, why) in rules.items()}
        self._keep_together(found)
        found["preload"] = self._preload(found["models"])
        return found | keeping_decisions(self, found)

    def _decision(self, name: str, value: str | None, why: Message) -> Decision:
        source = BY_NAME[name].source
        if name in VARIABLES and not reads(self.server.version, VARIABLES[name]):
            return self._unread(name, source)
        said = self.chosen(name)
        if name == "models" and self.listed:
            return Decision(name, Origin.CHOSEN, show_wishes(self.listed), value, why, source)
        if said is not None and name != "models":
            return Decision(name, Origin.CHOSEN, self._canonical(name, said), value, why, source)
        if is_off(self.choices, self.server, name):
            present = baseline(self.server, name) if name in VARIABLES else NONE if name == "models" else None
            return Decision(name, Origin.OFF, present, value, why, source)
        if name in VARIABLES and self.server.handed_on(name):
            return Decision(name, Origin.OWN, None, value, why, source, [HANDED_ON])
        mine = own(self.server, name) if name in VARIABLES else None
        if mine is None or name in self.replaced:
            notes = [replaced(name, mine)] if mine is not None and mine != value else []
            return Decision(name, Origin.AUTO, value, value, why, source, notes)
        return Decision(name, Origin.OWN, mine, value, why, source)

    def _unread(self, name: str, source: str) -> Decision:
        since = ".".join(str(n) for n in SINCE[VARIABLES[name]])
        running = ".".join(str(n) for n in self.server.version or ())
        why = msg("Version {running} does not read {variable}; {since} and newer do.", running=running,
                  variable=VARIABLES[name], since=since)  # fmt: skip
        return Decision(name, Origin.OFF, None, None, why, source)

    def _canonical(self, name: str, value: str) -> str:
        if name == "keep_alive" and keep_alive_s(value) is None:
            reason = msg("the server cannot read it and would take 5m; write 24h, 30m, seconds or -1")
            raise refusal(self.server, name, value, reason)
        if name == "prompt_cache" and (parse_size(value) or 0) % MIB:
            raise refusal(self.server, name, value, msg("the server counts it in whole MB"))
        return value

    def _models_rule(self) -> tuple[str | None, Message]:
        if self.server.live is None:
            return None, msg("The server could not be asked which models it stores.")
        if self.ideal is None:
            return "none", msg("The memory of its GPUs is not known, so nothing is kept in it for good.")
        if self.server.named:
            why = msg("Services of this stack name {models}.", models=", ".join(self.server.named))
        else:
            why = msg("No service of this stack names a model: those in use, then the smallest.")
        return show_wishes(self.ideal.pinned), why

    def _rules(self, fit: Fit | None) -> dict[str, tuple[str | None, Message]]:
        """Knob to recommendation and why, as far as they follow from what fits."""
        room = human_size(self.server.room)
        start = self.start()
        setting = fit.setting if fit else start
        gpu = self.server.on_gpu
        return {
            "keep_alive": ("24h" if fit is None or fit.pinned else "30m", keep_why(fit)),
            "max_loaded_models": (str(fit.loaded if fit else 1), loaded_why(self.server, fit, room)),
            "flash_attention": ("on" if gpu else None, FLASH_GPU if gpu else FLASH_CPU),
            "num_parallel": (str(setting.parallel if fit else 1), parallel_why(self.server, fit)),
            "context_length": (str(setting.context), context_why(fit)),
            "kv_cache_type": (setting.cache, cache_why(fit)),
            "max_queue": ("512", msg("The server's own: a refused request is lost, a waiting one is not.")),
            "prompt_cache": (
                format_size(setting.prompt_cache) if setting.prompt_cache else None,
                msg("Each loaded model would keep up to 8 GiB of old prompts in the host's memory."),
            ),
        }

    def _keep_together(self, found: dict[str, Decision]) -> None:
        """What was worked out under the operator's own values; a quantized cache has flash attention beside it."""
        if self.fit is not None:
            pairs = {"max_loaded_models": self.fit.loaded, "num_parallel": self.fit.setting.parallel,
                     "context_length": self.fit.setting.context, "kv_cache_type": self.fit.setting.cache,
                     "models": show_wishes(self.fit.pinned)}  # fmt: skip
            rules = self._rules(self.fit)
            for name, value in pairs.items():
                if found[name].origin is Origin.AUTO:
                    found[name].value = found[name].recommended = str(value)
                    found[name].why = rules[name][1] if name in rules else found[name].why
        cache, flash = found["kv_cache_type"], found["flash_attention"]
        if cache.value in ("q8_0", "q4_0"):
            if flash.origin is Origin.CHOSEN and flash.value == "off":
                raise refusal(self.server, "kv_cache_type", cache.value, msg("it needs flash attention, which is off"))
            if flash.origin is Origin.AUTO:
                flash.value = "on"
        self._notes(found)

    def _preload(self, models: Decision) -> Decision:
        said, off = self.chosen("preload"), is_off(self.choices, self.server, "preload")
        wanted, reason = models.value not in (None, "none"), no_keeper(self.server.service, self.server.live)
        by_use = self.chosen("eviction") == "lru" and not self.listed
        best = "off" if not wanted else "once" if by_use or reason is not None else "always"
        value = said or ("off" if off else best)
        refused = no_keeper(self.server.service, self.server.live, asked=True)
        if value == "always" and refused is not None:
            raise refusal(self.server, "preload", value, refused)
        origin = Origin.CHOSEN if said else Origin.OFF if off else Origin.AUTO
        why = msg("The first request after each restart would wait until its model is read from disk.")
        notes = [BACK_BY_USE if reason is None else once_only(reason)] if "once" == value == best else []
        return Decision("preload", origin, value if wanted else "off", best, why, BY_NAME["preload"].source, notes)

    def _notes(self, found: dict[str, Decision]) -> None:
        """What an operator must read beside the values."""
        fit, models = self.fit, found["models"]
        if fit is None:
            return
        room = human_size(self.server.room)
        models.notes += [too_large(self.server, name, fit.needs[name]) for name in fit.too_large]
        if fit.dropped:
            models.notes.append(msg("Not kept in memory, because together they do not fit in {room}: {models}.",
                                    room=room, models=", ".join(fit.dropped)))  # fmt: skip
        models.notes += [sizes(fit), *places(self.server, fit), EVICTION] if fit.pinned else []
        models.notes += [note for wish in fit.pinned for note in other_names(self.server, wish.name)]
        models.notes += [PAGES] if self.server.counts_pages else []
        for name in fit.lowered:
            found[name].notes.append(msg("Lowered so that the models fit in {room}.", room=room))
        if found["kv_cache_type"].value in ("q8_0", "q4_0"):
            found["kv_cache_type"].notes += exact_all_the_same(self.server)
        models.notes += _other_context(self)
        late = slow_to_load(self.server)
        models.notes += [late] if late else []


def automatic(server: Server) -> tuple[Wish, ...]:
    """Models to keep where the operator names none: those that services name, those in use, then the smallest."""
    held = {m.name for m in server.stored if server.live and server.live.held(m.name)}
    named = list(server.named)

    def rank(name: str, size: int) -> tuple[int, int, str]:
        return (named.index(name) if name in named else len(named) + (name not in held), size, name)

    files: dict[str, Wish] = {}
    for model in sorted((m for m in server.stored if m.answers), key=lambda m: rank(m.name, m.size)):
        files.setdefault(model.file, Wish(model.name))
    return tuple(files.values())[:AT_ONCE]


def _apart(server: Server, wishes: Sequence[Wish]) -> tuple[Model, ...]:
    """Stored models that can be in memory beside each other: of several names for the same, the wished or the first."""
    wished = {w.name for w in wishes}
    ordered = sorted(server.stored, key=lambda m: m.name not in wished)
    found: dict[tuple[str, int | None], str] = {}
    for model in ordered:
        found.setdefault((model.file, model.own_context), model.name)
    return tuple(m for m in server.stored if m.name in found.values())


def _left_out(adviser: Adviser, fit: Fit) -> list[Wish]:
    """Of the operator's list what is not kept."""
    kept = {w.name for w in fit.pinned}
    return [w for w in adviser.listed or () if w.name not in kept]


def _refuse(adviser: Adviser, fit: Fit) -> None:
    """Chosen values under which what was chosen does not fit: never more than the budget holds."""
    server, room = adviser.server, human_size(adviser.server.room)
    if _left_out(adviser, fit):
        count = len(server.gpus.sizes) if server.gpus else 0
        raise refusal(server, "models", show_wishes(adviser.listed or ()), msg(
            "they need {need} together, at most {models} at once are let in, and {room} are there for models{gpus}; "
            "leave one out, choose a smaller quantization, or give the service more memory",
            need=human_size(fit.least), models=fit.loaded, room=room,
            gpus=msg(" on {count} GPUs, which are filled in the list's order", count=count) if count > 1 else ""),
        )  # fmt: skip
    said = next((n for n in ("max_loaded_models", "num_parallel", "context_length", "kv_cache_type", "prompt_cache")
                 if adviser.chosen(n) is not None), None)  # fmt: skip
    if said is not None and not adviser.is_sound(fit):
        raise refusal(server, said, str(adviser.chosen(said)), _unsound(adviser, fit, room))


def _unsound(adviser: Adviser, fit: Fit, room: str) -> Message:
    """What no longer fits: the model that would be wanted first, else all that are let in."""
    ideal = adviser.ideal or fit
    lost = [name for name in fit.too_large if name not in ideal.too_large]
    if not fit.pinned:
        lost += [w.name for w in ideal.pinned]
    if lost:
        first = next((w.name for w in ideal.pinned if w.name in lost), lost[0])
        return msg("{model} would need {need}, and {room} are there for models", model=first,
                   need=human_size(fit.needs[first]), room=room)  # fmt: skip
    return msg("models in memory at once could need {need}, and {room} are there for them",
               need=human_size(adviser.at_worst(fit)), room=room)  # fmt: skip


def _other_context(adviser: Adviser) -> list[Message]:
    """A model that is loaded with another context than it would be preloaded with was asked for so by an app."""
    fit, live = adviser.fit, adviser.server.live
    if fit is None or live is None:
        return []
    pairs = [(wish, live.held(wish.name)) for wish in fit.pinned]
    return [
        msg("An app loads {model} with num_ctx={context}: preloaded without it, it would be loaded again. Name it so "
            "in models: \"{model} num_ctx={context}\".", model=wish.name, context=held.context)
        for wish, held in pairs
        if held and held.context and held.context not in _explained(adviser.server, fit, wish)
    ]  # fmt: skip


def _explained(server: Server, fit: Fit, wish: Wish) -> set[int]:
    """Contexts that one of the model's names gets by a setting, its own parameters, or what the operator wishes."""
    return {
        context(model, loaded_with(setting, model, asked))
        for model in server.same_file(wish.name)
        for setting in (server.as_running(), fit.setting)
        for asked in (None, wish)
    }
