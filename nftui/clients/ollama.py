"""Ollama over its REST API: what it stores and holds loaded, loading, unloading, and how fast it answers.

Paths and fields: ollama docs/api.md, server/routes.go, api/types.go (AI reference 1.2).
"""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from nftui.clients.http import MAX_BYTES, TIMEOUT_S, HttpClient
from nftui.model.ai import Architecture, Model, Vision
from nftui.model.dataclass import dataclass
from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.model.stack import Service

PORT = 11434
_LAST_PORT = 65535
FOREVER = -1
"""keep_alive of a model that is to stay; a number: "-1" as a text is refused by the server."""
_BLOB = re.compile(r"^FROM \S*/blobs/(sha256-[0-9a-f]+)", re.MULTILINE)
"""The file of the weights; a projector's line follows it."""
_NUM_CTX = re.compile(r"^num_ctx\s+(\S+)$", re.MULTILINE)
_MOST_SHOWN = 64 * 1024 * 1024
"""Bytes of /api/show with everything: a vocabulary of 260,000 words and its merges take about 15 MB."""


class OllamaRefused(NftuiError):
    """The server answered with an error; one line, its own words."""

    no_route = False
    """The server is too old for that path, or too new."""
    embeds = False
    """The model only embeds, and was asked for text."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What /api/show adds to a stored model."""

    architecture: Architecture | None = None
    capabilities: tuple[str, ...] = ()
    blob: str = ""
    own_context: int | None = None

    def of(self, model: Model) -> Model:
        """The model with it."""
        return replace(
            model, architecture=self.architecture, capabilities=self.capabilities or model.capabilities,
            blob=self.blob, own_context=self.own_context,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer's times in seconds, as the client saw them (`first`, `total`) and as the server told them."""

    first: float
    """Until the first token; of an embedding, which comes whole, as `total`."""
    total: float
    load: float
    tokens: int
    generating: float

    @property
    def tokens_per_second(self) -> float | None:
        """Of the generation alone; None where it is too short to tell."""
        return self.tokens / self.generating if self.generating > 0 and self.tokens > 1 else None


def port_of(service: Service) -> int:
    """The port that OLLAMA_HOST names; a scheme alone changes the default (envconfig.Host)."""
    container = service.running
    host = (container.environment if container else {}).get("OLLAMA_HOST") or service.environment.get("OLLAMA_HOST")
    text = (host or "").strip().strip("\"'")
    scheme, found, rest = text.partition("://")
    match = re.search(r":(\d{1,5})$", (rest if found else text).partition("/")[0])
    if match and int(match[1]) <= _LAST_PORT:
        return int(match[1])
    return {"http": 80, "https": 443}.get(scheme, PORT) if found else PORT


class OllamaClient(HttpClient):
    """One server. Every call raises NftuiError (HttpUnreachable, OllamaRefused) with one line."""

    def __init__(self, service: Service) -> None:
        super().__init__(service, port_of(service))

    def version(self) -> str | None:
        """What the server calls itself ("0.5.7")."""
        found = self.json("/api/version")
        return str(found.get("version") or "") or None if isinstance(found, dict) else None

    def stored(self) -> tuple[Model, ...]:
        """Models on its disk; those that only name a model in a cloud are left out."""
        return tuple(_model(m) for m in _list(self.json("/api/tags")) if not m.get("remote_host"))

    def loaded(self) -> tuple[Model, ...]:
        """Models in memory."""
        return tuple(_model(m) for m in _list(self.json("/api/ps")))

    def show(self, name: str) -> Shown:
        """Shape, capabilities and file of a stored model; loads nothing.

        Lists (heads of each layer) are told only with everything else, which is long: asked for where there are any.
        """
        found = self.call("/api/show", {"model": name}, TIMEOUT_S)
        capabilities, info = found.get("capabilities"), found.get("model_info")
        if _lacks_lists(info):
            whole = self.call("/api/show", {"model": name, "verbose": True}, 10 * TIMEOUT_S, most=_MOST_SHOWN)
            info = whole.get("model_info")
        blob = _BLOB.search(str(found.get("modelfile") or ""))
        return Shown(
            architecture_of(info, found.get("tensors")), _texts(capabilities),
            blob[1] if blob else "", _own_context(found.get("parameters")),
        )  # fmt: skip

    def load(self, model: Model, keep_alive: int | str, options: Mapping[str, int], timeout: float) -> None:
        """Bring it into memory, or set anew how long it stays.

        A model that only embeds refuses /api/generate, so it gets a word to embed; where the server does not say which
        do, its refusal does.
        """
        request = _request(model.name, options, keep_alive)
        self._generate_or_embed(model.embeds, request, timeout)

    def _generate_or_embed(self, embeds: bool, request: Mapping[str, object], timeout: float) -> None:
        if not embeds:
            try:
                self.call("/api/generate", {**request, "stream": False}, timeout)
                return
            except OllamaRefused as error:
                if not error.embeds:
                    raise
        self._embed(request, "nftui", timeout)

    def _embed(self, request: Mapping[str, object], text: str, timeout: float) -> Mapping[str, Any]:
        """Servers before 0.2.6 have another route."""
        try:
            return self.call("/api/embed", {**request, "input": text}, timeout)
        except OllamaRefused as error:
            if not error.no_route:
                raise
            return self.call("/api/embeddings", {**request, "prompt": text}, timeout)

    def unload(self, model: Model, timeout: float) -> None:
        """Take it out of memory; requests that are at work are finished first.

        Without a prompt /api/generate lets go of any model, of what kind and with what options ever (expireRunner,
        since 0.3.11); an older server refuses that of a model that embeds, and lets go of it after one more word.
        """
        self._generate_or_embed(False, _request(model.name, {}, 0), timeout)

    def ask(
        self, name: str, prompt: str, tokens: int, options: Mapping[str, int], timeout: float,
        keep_alive: int | None = None,
    ) -> Answer:  # fmt: skip
        """A short answer, the same for the same prompt; without `keep_alive` the model stays as long as before."""
        fixed = {"num_predict": tokens, "seed": 1, "temperature": 0, **options}
        begin, first = time.monotonic(), 0.0
        last: Mapping[str, Any] = {}
        request = {**_request(name, fixed, keep_alive), "prompt": prompt}
        for part in self._stream("/api/generate", request, timeout):
            first = first or time.monotonic() - begin
            last = part
        return Answer(first, time.monotonic() - begin, _seconds(last.get("load_duration")),
                      int(last.get("eval_count") or 0), _seconds(last.get("eval_duration")))  # fmt: skip

    def embed(
        self, name: str, text: str, options: Mapping[str, int], timeout: float, keep_alive: int | None = None
    ) -> Answer:
        """The embedding of a text. Where the server tells no time of loading, the whole request counts as that."""
        begin = time.monotonic()
        found = self._embed(_request(name, options, keep_alive), text, timeout)
        seconds, told = time.monotonic() - begin, found.get("load_duration")
        return Answer(seconds, seconds, seconds if told is None else _seconds(told), 0, 0.0)

    def call(
        self, path: str, document: Mapping[str, object], timeout: float, *, most: int = MAX_BYTES
    ) -> Mapping[str, Any]:
        """POST, one JSON document of at most so many bytes back."""
        connection, answer = self._post(path, document, timeout)
        try:
            found = json.loads(answer.read(most))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise OllamaRefused(msg("{path}: {reason}", path=path, reason=type(error).__name__)) from None
        finally:
            connection.close()
        return found if isinstance(found, dict) else {}

    def _stream(self, path: str, document: Mapping[str, object], timeout: float) -> Iterator[Mapping[str, Any]]:
        connection, answer = self._post(path, document, timeout)
        try:
            while line := answer.readline():
                part = json.loads(line)
                if not isinstance(part, dict):
                    raise ValueError(part)
                if "error" in part:
                    raise OllamaRefused(msg("{path}: {reason}", path=path, reason=str(part["error"])[:200]))
                yield part
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise OllamaRefused(msg("{path}: {reason}", path=path, reason=type(error).__name__)) from None
        finally:
            connection.close()

    def _post(
        self, path: str, document: Mapping[str, object], timeout: float
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection, no_route = http.client.HTTPConnection(self.host, self.port, timeout=timeout), False
        try:
            body = json.dumps(document).encode()
            connection.request("POST", path, body, {**self.headers, "Content-Type": "application/json"})
            answer = connection.getresponse()
            if answer.status == 200:
                return connection, answer
            words = _error(answer.read(MAX_BYTES))
            reason, no_route = words or f"status {answer.status}", not words and answer.status in (404, 405)
        except (OSError, http.client.HTTPException) as error:
            reason = f"no answer within {timeout:.0f} s" if isinstance(error, TimeoutError) else type(error).__name__
        connection.close()
        refused = OllamaRefused(msg("{path}: {reason}", path=path, reason=reason))
        refused.no_route, refused.embeds = no_route, "support generate" in reason
        raise refused


def _request(name: str, options: Mapping[str, object], keep_alive: int | str | None) -> dict[str, object]:
    found: dict[str, object] = {"model": name}
    if options:
        found["options"] = dict(options)
    return found if keep_alive is None else {**found, "keep_alive": keep_alive}


def _error(body: bytes) -> str:
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    return str(found.get("error") or "")[:200] if isinstance(found, dict) else ""


def _seconds(nanoseconds: object) -> float:
    return float(nanoseconds) / 1e9 if isinstance(nanoseconds, (int, float)) else 0.0


def _list(answer: Any) -> list[Mapping[str, Any]]:
    models = answer.get("models") if isinstance(answer, dict) else None
    listed = models if isinstance(models, list) else []
    return [m for m in listed if isinstance(m, dict) and (m.get("name") or m.get("model"))]


def _texts(found: object) -> tuple[str, ...]:
    return tuple(str(text) for text in found) if isinstance(found, list) else ()


def _model(found: Mapping[str, Any]) -> Model:
    """`expires_at` stays a text: for ever is centuries ahead, past what a datetime can hold."""
    capabilities, details = found.get("capabilities"), found.get("details")
    context = found.get("context_length")
    return Model(
        name=str(found.get("name") or found.get("model") or ""),
        size=_int(found, "size"),
        vram=_int(found, "size_vram"),
        expires_at=str(found.get("expires_at") or "") or None,
        digest=str(found.get("digest") or ""),
        capabilities=_texts(capabilities),
        context=context if isinstance(context, int) and context > 0 else None,
        family=str(details.get("family") or "") if isinstance(details, dict) else "",
    )


_LISTS = ("attention.head_count", "attention.head_count_kv")
"""What is a number, or a list of one for each layer."""


def _lacks_lists(info: object) -> bool:
    """Whether it names a list and does not tell it: null, in some servers [], where not everything was asked for."""
    if not isinstance(info, Mapping):
        return False
    name = info.get("general.architecture")
    return any(f"{name}.{key}" in info and not info[f"{name}.{key}"] for key in _LISTS)


def architecture_of(info: object, tensors: object = None) -> Architecture | None:
    """The shape from `model_info`; None where it lacks what a cache is made of (AI reference 1.2)."""
    if not isinstance(info, Mapping) or _lacks_lists(info):
        return None
    name = str(info.get("general.architecture") or "")
    layers, heads = _int(info, f"{name}.block_count"), _int(info, f"{name}.attention.head_count")
    width, trained = _int(info, f"{name}.embedding_length"), _int(info, f"{name}.context_length")
    if not (name and layers and trained):
        return None
    each = width // heads if width and heads else 0
    key, value, near_key, near_value, window, chunk = (_int(info, f"{name}.attention.{part}") for part in _LENGTHS)
    kv_heads = _kv_heads(info, name, layers, heads)
    if not ((key or each) and (value or each) and any(kv_heads)):
        return None
    near = info.get(f"{name}.attention.sliding_window_pattern")
    return Architecture(
        name, kv_heads, key or each, value or each, trained, window or chunk or None, width,
        _int(info, f"{name}.vocab_size") or _vocabulary(tensors), _vision(info, f"{name}.vision."),
        f"{name}.pooling_type" in info, heads, _state(info, f"{name}.ssm."),
        tuple(map(bool, near)) if isinstance(near, list) and len(near) == layers else (), near_key + near_value,
    )  # fmt: skip


_LENGTHS = (
    "key_length", "value_length", "key_length_swa", "value_length_swa", "sliding_window", "chunk_size",
)  # fmt: skip


def _kv_heads(info: Mapping[str, Any], name: str, layers: int, heads: int) -> tuple[int, ...]:
    """KV heads of each layer: one number for all, or a list; as many as there are heads where nothing is said.

    None in layers that keep a state instead (qwen3next: all but each fourth), or use another layer's cache (gemma3n,
    gemma4: the last ones).
    """
    value = info.get(f"{name}.attention.head_count_kv")
    if isinstance(value, list):
        found = tuple(int(v) for v in value if isinstance(v, (int, float)))
    else:
        number = int(value) if isinstance(value, (int, float)) else heads
        interval = _int(info, f"{name}.full_attention_interval") or 1
        found = tuple(number if layer % interval == interval - 1 else 0 for layer in range(layers))
    shared = _int(info, f"{name}.attention.shared_kv_layers")
    return found[: len(found) - shared] + (0,) * shared if 0 < shared < len(found) else found


def _state(info: Mapping[str, Any], prefix: str) -> int:
    """Bytes of a recurrent layer's state, always exact (fs/ggml, GraphSize)."""
    kernel, inner, state, groups = (
        _int(info, prefix + key) for key in ("conv_kernel", "inner_size", "state_size", "group_count")
    )
    return 4 * (max(0, kernel - 1) * (inner + 2 * groups * state) + state * inner)


def _vocabulary(tensors: object) -> int:
    """Rows of the table of tokens: few files tell their number otherwise without telling every token."""
    for tensor in tensors if isinstance(tensors, list) else ():
        if isinstance(tensor, Mapping) and tensor.get("name") == "token_embd.weight":
            shape = tensor.get("shape")
            return int(shape[-1]) if isinstance(shape, list) and shape else 0
    return 0


def _vision(info: Mapping[str, Any], prefix: str) -> Vision | None:
    """The image encoder that is part of the model's own file."""
    patch, heads, width = (_int(info, prefix + key) for key in _VISION)
    if not (patch and heads and width and _int(info, f"{prefix}block_count")):
        return None
    image, channels, pixels = (_int(info, prefix + key) for key in ("image_size", "num_channels", "max_pixels"))
    return Vision(patch, heads, width, image, channels, _int(info, f"{prefix}max_num_tiles") or 1, pixels)


_VISION = ("patch_size", "attention.head_count", "embedding_length")


def _own_context(parameters: object) -> int | None:
    """num_ctx of the model's own parameters, as the server prints them: a line each, large numbers as 1e+06."""
    match = _NUM_CTX.search(str(parameters or ""))
    try:
        return (int(float(match[1])) or None) if match else None
    except ValueError:
        return None


def _int(info: Mapping[str, Any], key: str) -> int:
    """A list (heads per layer) counts with its largest."""
    value = info.get(key)
    if isinstance(value, list):
        value = max((v for v in value if isinstance(v, int)), default=0)
    return int(value) if isinstance(value, (int, float)) else 0
