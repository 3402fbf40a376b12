"""What an Ollama server runs with: read from its log line "server config", compared by meaning.

The server prints what it made of each variable (envconfig.Values): "24h" becomes 24h0m0s, "1" becomes true.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nftui.model.units import parse_duration

_LINE = re.compile(r'msg="server config" env="(map\[.*\])"')
_NAME = re.compile(r"(?:^|(?<= ))([A-Z][A-Z0-9_]*|[a-z]+_proxy):")
"""Not `http:`: a list of origins holds that."""
_KEEP_ALIVE = "OLLAMA_KEEP_ALIVE"
_SWITCHES = ("OLLAMA_FLASH_ATTENTION",)
_FOR_EVER_S = 290 * 365 * 86400.0
"""Go's longest duration is 292 years: what a negative keep-alive becomes."""
_GO_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+")


def server_config(log: str) -> dict[str, str]:
    """Variable to value as the newest start in that log printed it; {} where no such line is in it."""
    found = _LINE.findall(log)
    if not found:
        return {}
    text = found[-1].replace('\\"', '"')[len("map[") : -1]
    places = list(_NAME.finditer(text))
    ends = [p.start() for p in places[1:]] + [len(text)]
    return {p[1]: text[p.end() : end].strip() for p, end in zip(places, ends, strict=True)}


def same(name: str, asked: str, shown: str) -> bool:
    """True where the server's own print of a variable means what was asked for."""
    if name == _KEEP_ALIVE:
        return keep_alive_s(asked) == keep_alive_s(shown)
    if name in _SWITCHES:
        return _switch(asked) == _switch(shown)
    return asked == shown


def keep_alive_s(text: str) -> float | None:
    """Seconds of OLLAMA_KEEP_ALIVE, infinite for a negative one; None for what the server cannot read (it takes 5m)."""
    text = text.strip().strip("\"'")
    negative, plain = text.startswith("-"), text[1:] if text[:1] in ("+", "-") else text
    if not plain.isdigit() and not _GO_DURATION.fullmatch(plain):
        return None
    seconds = parse_duration(plain)
    if seconds is None:
        return None
    return float("inf") if (negative and seconds) or seconds > _FOR_EVER_S else seconds


def _switch(text: str) -> bool:
    """Go's ParseBool; what does not parse counts as on (envconfig.Bool)."""
    return text.strip().lower() not in ("", "0", "f", "false")


def differences(expected: Mapping[str, str], environment: Mapping[str, str], config: Mapping[str, str]) -> list[str]:
    """One line for each variable that the container was not given, or that the server made something else of.

    `config` is empty where the log was out of reach; LLAMA_ARG_* are never in it: the server only hands them on.
    """
    wrong = [f"{n}={v} is not in its environment" for n, v in expected.items() if environment.get(n) != v]
    for name, value in expected.items():
        if not config or not name.startswith("OLLAMA_") or environment.get(name) != value:
            continue
        if name not in config:
            wrong.append(f"{name} is not known to this server")
        elif not same(name, value, config[name]):
            wrong.append(f"{name}={value} became {config[name]}")
    return wrong
