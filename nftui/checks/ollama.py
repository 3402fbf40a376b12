"""Findings about Ollama: names it does not read, models that unload, models that do not fit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nftui.catalog import is_inert
from nftui.catalog.addresses import find_address
from nftui.catalog.names import Names
from nftui.catalog.programs import argv_of
from nftui.checks._common import at_argument, is_handed_on, starts_with
from nftui.checks._reach import limit_key
from nftui.engine.evidence import at
from nftui.engine.given import may_be_set
from nftui.model.ai import OllamaFacts
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import Message, msg
from nftui.model.patterns import regex
from nftui.model.stack import Role
from nftui.model.units import human_size, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nftui.model.facts import Facts
    from nftui.model.stack import Service

_KEEP = "OLLAMA_KEEP_ALIVE"
_DEFAULT_KEEP_S = 300.0
_CLIENT_SIDE = ("OLLAMA_API_KEY",)
_MODEL = r"([\w.-]+(?:/[\w.-]+)*(?::[\w.-]+)?)"
_HUBS = ("hf.co/", "huggingface.co/", "modelscope.cn/")
"""There the model's own name tells its size, and what stands behind the colon its quantization (hf.co/docs, Ollama)."""
_PARAMETERS = regex(r"(?i)(?<![a-z0-9.])((?:\d+x)?\d+(?:\.\d+)?)b(?![a-z0-9])")
"""Billions of them; `A3B` are those that one token uses."""
_SIZED = regex(rf"\bollama\s+(?:pull|run)\s+(?:--?\S+\s+)*['\"]?{_MODEL}")
_ALONE = regex(rf"^(?:\S*/?ollama\s+)?(?:pull|run)\s+(?:--?\S+\s+)*['\"]?{_MODEL}")
"""The arguments of the image's own entrypoint."""
_ASKED = regex(rf"[\"'](?:name|model)\\?[\"']\s*:\s*\\?[\"']{_MODEL}")
"""The same asked for over HTTP."""
_API = regex(r"//([\w.-]+(?::\d+)?)/api/(?:pull|generate|chat|embed)\b")
_HOST = regex(r"\bOLLAMA_HOST=[\"']?([^\s\"';]+)")
"""A client is told in its script, too, which server it speaks to."""
_FOR_EVER = regex(r"keep_alive[\"'\\]*\s*:\s*[\"'\\]*-\d|--keepalive[ =][\"']?-\d")
_KEPT = regex(rf"{_KEEP}=|{_FOR_EVER.pattern}")
"""What a start script says of how long models stay."""
_EACH = regex(r"\bfor\s+(\w+)\s+in\s+([^;\n]+).*?\bollama\s+(?:pull|run)\s+[\"']?\$\{?\1\b", re.DOTALL)
"""A loop over the models to load."""
_COMMENT = regex(r"(?m)(?:^|\s)#\s.*$")
_BYTES_PER_PARAMETER = (
    (regex(r"(?<![a-z0-9])(?:fp|f|bf)16\b"), 2.0), (regex(r"(?<![a-z0-9])q8_"), 1.06),
    (regex(r"(?<![a-z0-9])q6_"), 0.8), (regex(r"(?<![a-z0-9])q5_"), 0.66),
    (regex(r"(?<![a-z0-9])(?:q[23]_|iq3)"), 0.3), (regex(r"(?<![a-z0-9])iq2"), 0.25),
    (regex(r"(?<![a-z0-9])[it]q1"), 0.19),
)  # fmt: skip
_USUAL_BYTES = 0.5
"""Four bits, which a name without a quantization means; real files are larger."""
_SHARED = 0.8
"""Experts of a mixture share a part of their parameters: 8x7b has 46.7 billion."""


def find(facts: Facts) -> Iterable[Finding]:
    """Every finding of every Ollama server of the files."""
    for service in facts.stack.services:
        if service.role is Role.OLLAMA:
            for check in _CHECKS:
                found = check(facts, service)
                if found is not None:
                    yield found


def _env_unknown(facts: Facts, service: Service) -> Finding | None:
    """ollama-env-unknown: what the server (of that version) does not read."""
    directory = facts.stack.invocation.directory
    dead = [n for n in sorted(service.environment)
            if n not in _CLIENT_SIDE and is_inert(service.config, n, directory)
            and not is_handed_on(facts, service, n)]  # fmt: skip
    if not dead:
        return None
    return Finding(
        "ollama-env-unknown", Level.MEDIUM, service.name, msg("Variables that Ollama does not read"),
        msg("Set here, but nothing reads them: {names}. Options such as num_ctx, num_gpu and num_thread belong to the "
            "request or the Modelfile.", names=", ".join(dead)),
        tuple(at(service, n, f"environment.{n}", service.environment[n]) for n in dead),
        "ollama envconfig/config.go (AI reference 1.1)",
    )  # fmt: skip


def keep_alive_s(text: str | None) -> float:
    """Seconds a model stays loaded: negative is for ever, a bare number seconds, what cannot be read five minutes."""
    text = (text or "").strip().strip("\"'")
    seconds = parse_duration(text.removeprefix("-")) if text else None
    if seconds is None:
        return _DEFAULT_KEEP_S
    return float("inf") if text.startswith("-") and seconds else seconds


def _cold(facts: Facts, service: Service) -> Finding | None:
    """ollama-cold: models leave memory between requests."""
    value = service.environment.get(_KEEP)
    if not value and may_be_set(facts.stack, service, _KEEP):
        return None
    if starts_with(facts, service, _KEPT):
        return None
    seconds = keep_alive_s(value)
    if seconds > _DEFAULT_KEEP_S or _pins(facts, service):
        return None
    live = facts.live_value(service.name, "ollama")
    if isinstance(live, OllamaFacts) and not live.stored:
        return None
    evidence = [at(service, _KEEP, f"environment.{_KEEP}" if value else "environment", value)]
    if isinstance(live, OllamaFacts):
        evidence.append(Evidence("/api/ps", f"{len(live.loaded)} of {len(live.stored)} models loaded"))
    detail = msg(
        "A model leaves memory {seconds} s after its last request, and the next one waits for it to load from disk.",
        seconds=int(seconds),
    )
    return Finding(
        "ollama-cold", Level.MEDIUM if seconds == 0 else Level.LOW, service.name,
        msg("Models unload between requests"), detail, tuple(evidence), "ollama envconfig, OLLAMA_KEEP_ALIVE (5m)",
        optimization="ollama",
    )  # fmt: skip


def _memory_exceeds(facts: Facts, service: Service) -> Finding | None:
    """ollama-memory-exceeds-limit: the models that shall stay loaded, against the container's memory."""
    limit = service.memory_limit_bytes
    if not limit:
        return None
    live = facts.live_value(service.name, "ollama")
    if isinstance(live, OllamaFacts):
        return _live_exceeds(service, live, limit)
    if _has_gpu(service):
        return None
    pulled = sorted(_pulled(facts, service), key=lambda i: -i[0])
    kept = _kept_together(service, pulled)
    if not pulled or sum(need for need, _ in kept) <= limit:
        return None
    if len(kept) > 1 and pulled[0][0] <= limit:
        need = sum(need for need, _ in kept)
        return _exceeds(service, limit, msg(
            "{models} stay loaded once they were asked, and need at least {need} for their weights; the limit is "
            "{limit}, and no GPU takes part.", models=", ".join(e.value or "" for _, e in kept), need=human_size(need),
            limit=human_size(limit)), tuple(e for _, e in kept))  # fmt: skip
    need, evidence = pulled[0]
    return _exceeds(service, limit, msg(
        "{model} needs at least {need} for its weights alone; the limit is {limit}, and no GPU takes part.",
        model=evidence.value, need=human_size(need), limit=human_size(limit)), (evidence,))  # fmt: skip


def _kept_together(service: Service, pulled: list[tuple[int, Evidence]]) -> list[tuple[int, Evidence]]:
    """The models, largest first, that are in memory at the same time: one, unless they are to stay for ever."""
    models = list({evidence.value: (need, evidence) for need, evidence in pulled}.values())
    forever = keep_alive_s(service.environment.get(_KEEP)) == float("inf")
    return models[: _at_once(service)] if forever else models[:1]


def _at_once(service: Service) -> int:
    """How many models the server holds without a GPU."""
    count = service.environment.get("OLLAMA_MAX_LOADED_MODELS") or "0"
    return int(count) if count.isdigit() and count != "0" else 3


def _live_exceeds(service: Service, live: OllamaFacts, limit: int) -> Finding | None:
    """The loaded models, or those that would be loaded together; what lies on a GPU does not count."""
    held = sum(m.size - m.vram for m in live.loaded)
    on_gpu = any(m.vram for m in live.loaded) or _has_gpu(service)
    files = {m.file: m for m in live.stored}.values()
    together = sorted((m.size for m in files), reverse=True)[: _at_once(service)]
    forever = keep_alive_s(service.environment.get(_KEEP)) == float("inf")
    need = held if on_gpu or not forever else max(held, sum(together))
    if need <= limit:
        return None
    names = live.loaded if need == held else sorted(files, key=lambda m: -m.size)[: len(together)]
    evidence = tuple(Evidence(f"model {m.name}", human_size(m.size)) for m in names)
    return _exceeds(service, limit, msg("They need {need}; the limit is {limit}.",
                    need=human_size(need), limit=human_size(limit)), evidence)  # fmt: skip


def _exceeds(service: Service, limit: int, detail: Message, evidence: tuple[Evidence, ...]) -> Finding:
    shown = at(service, limit_key(service), limit_key(service), human_size(limit))
    return Finding(
        "ollama-memory-exceeds-limit", Level.HIGH, service.name, msg("The models kept loaded do not fit"), detail,
        (shown, *evidence), "AI reference 1.4", optimization="ollama",
    )  # fmt: skip


def _has_gpu(service: Service) -> bool:
    if service.config.get("runtime") == "nvidia" or service.config.get("gpus") or service.config.get("devices"):
        return True
    deploy = service.config.get("deploy")
    resources = deploy.get("resources") if isinstance(deploy, Mapping) else None
    reserved = resources.get("reservations") if isinstance(resources, Mapping) else None
    return bool(isinstance(reserved, Mapping) and reserved.get("devices"))


def _said_to(facts: Facts, server: Service) -> Iterator[tuple[Service, str, bool]]:
    """Services whose command speaks to this server, under whatever name of it: the command, and whether over HTTP."""
    names = Names(facts.stack)
    for other in facts.stack.services:
        text = _COMMENT.sub("", " ".join(w for part in argv_of(other.config) for w in part))
        hosts = [other.environment.get("OLLAMA_HOST") or "", *_HOST.findall(text)]
        asked = any(_is_meant(names, other, host, server) for host in _API.findall(text))
        if asked or other is server or any(_is_meant(names, other, host, server) for host in hosts):
            yield other, text, asked


def _is_meant(names: Names, other: Service, host: str, server: Service) -> bool:
    """Whether that address is this server's, where both can be there at once."""
    address = find_address(host)
    if address is None or (other.profiles and server.profiles and not set(other.profiles) & set(server.profiles)):
        return False
    return names.resolve(other, address.host, address.port) is server


def _pins(facts: Facts, server: Service) -> bool:
    """Whether a command loads a model that stays for ever: requests without a time of their own leave it so."""
    return any(_FOR_EVER.search(text) for _, text, _ in _said_to(facts, server))


def _pulled(facts: Facts, server: Service) -> Iterator[tuple[int, Evidence]]:
    """Models that a command loads into this server, with the bytes that their name's parameters need at least."""
    for other, text, asked in _said_to(facts, server):
        listed = [m for _, models in _EACH.findall(text) for m in re.findall(rf"(?<!\S)[\"']?{_MODEL}", models)]
        found = [*_SIZED.findall(text), *_ALONE.findall(text), *listed, *(_ASKED.findall(text) if asked else ())]
        for model in dict.fromkeys(found):
            need = _weights(model)
            if need is not None:
                yield need, at_argument(other, "command", model, model)


def _weights(model: str) -> int | None:
    """Bytes that the model's weights need at least, None where its name does not tell."""
    name, _, tag = model.partition(":")
    match = _PARAMETERS.search(name.rpartition("/")[2] if name.startswith(_HUBS) else tag)
    if match is None:
        return None
    experts, times, each = match[1].lower().rpartition("x")
    parameters = float(each) * (float(experts) * _SHARED if times else 1.0)
    per = next((b for pattern, b in _BYTES_PER_PARAMETER if pattern.search(model.lower())), _USUAL_BYTES)
    return int(parameters * 1e9 * per)


_CHECKS = (_env_unknown, _cold, _memory_exceeds)

CHECKS = (find,)
NEEDS = ("ollama",)
