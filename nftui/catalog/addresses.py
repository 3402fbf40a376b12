"""Hosts inside texts: URLs, libpq and .NET connection strings, host:port; found, and replaced by another host.

A text may be a Compose source with `${…}` in it: such expressions are kept whole, so that no secret is copied, and an
expression that stands for the host is replaced by the new one.
"""

from __future__ import annotations

import re

from nftui.model.dataclass import dataclass
from nftui.model.patterns import regex

POSTGRES_SCHEMES = ("postgres", "postgresql", "pgsql", "pg", "ecto", "jdbc:postgresql")
REDIS_SCHEMES = ("redis", "rediss", "valkey", "valkeys", "keydb")
DEFAULT_PORTS = {"postgres": "5432", "redis": "6379"}

_EXPRESSION = regex(r"\$\$|\$\{(?:[^{}]|\{[^{}]*\})*\}|\$\w+")
_URL = regex(
    r"(?P<head>(?P<scheme>[A-Za-z][\w+.:-]*?)://(?:[^/?#\s]*@)?)"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^/?#:@\s,\[\]]+)(?::(?P<port>[^/?#@\s,]*))?(?P<tail>[/?#].*|$)",
    re.DOTALL,
)
_PAIR = regex(r"(?i)(?<![\w-])(host|server|addr|data source|port)(\s*=\s*)('[^']*'|[^\s;,']+)")


@dataclass(frozen=True, slots=True)
class Address:
    """A host with its port, as a text names them; `scheme` "" where the text is no URL."""

    host: str
    port: str | None = None
    scheme: str = ""

    @property
    def kind(self) -> str | None:
        """ "postgres" or "redis" as the scheme tells, None where it does not ("db+postgresql+psycopg2" does)."""
        words = set(re.split(r"[+.:]", self.scheme.lower()))
        if words & set(POSTGRES_SCHEMES) or "postgresql" in self.scheme.lower():
            return "postgres"
        return "redis" if words & set(REDIS_SCHEMES) else None


def find_address(text: str) -> Address | None:
    """The one host that a value names: of a URL, a connection string, "host:port" or "host". None where unsure.

    The port of a URL is a number, or an expression that was not interpolated.
    """
    text = text.strip()
    if "://" in text:
        match = _URL.search(text)
        if match is None or _is_torn(match):
            return None
        return Address(match["host"], match["port"] or None, match["scheme"])
    pairs = {m[1].lower(): m[3].strip("'") for m in _PAIR.finditer(text)}
    host = next((pairs[k] for k in ("host", "server", "addr", "data source") if k in pairs), None)
    if host is not None:
        host, _, port = host.removeprefix("tcp:").partition(":")
        return Address(host, port or pairs.get("port"))
    match = re.fullmatch(r"([\w.-]+)(?::(\d+))?", text)
    return Address(match[1], match[2]) if match else None


def _is_torn(match: re.Match[str]) -> bool:
    """Whether an unescaped `/`, `#` or `?` of a password ends what looks like the host: that is part of a secret."""
    port = match["port"]
    is_port = not port or port.isdecimal() or _EXPRESSION.fullmatch(port) is not None
    return not is_port or "@" in match["tail"].partition("?")[0]


def replace_address(source: str, host: str, port: int, *, default_port: int, with_port: bool = True) -> str | None:
    """The text with its host and port replaced; None where `source` does not show where they stand.

    A URL keeps everything else byte for byte. The port is left out where it is the default and was not written.
    `with_port` false: a bare host gets none, since another variable carries it.
    """
    masked, expressions = _mask(source)
    shown = _replace(masked, host, port, default_port, with_port)
    return None if shown is None else _unmask(shown, expressions)


def shape(source: str) -> str:
    """ "url", "pairs" or "bare": what a text is outside of its `${…}`."""
    masked, _ = _mask(source)
    return "url" if "://" in masked else "pairs" if _PAIR.search(masked) else "bare"


def _replace(masked: str, host: str, port: int, default_port: int, with_port: bool) -> str | None:
    if "://" in masked:
        match = _URL.search(masked)
        if match is None or set(",@") & set(match["tail"].partition("?")[0]):
            return None
        written = "" if match["port"] is None and port == default_port else f":{port}"
        return masked[: match.start()] + match["head"] + host + written + match["tail"]
    if _PAIR.search(masked):
        return _replace_pairs(masked, host, port, default_port)
    match = re.fullmatch(r"(\s*)([^\s:,;=/@]+)(?::([^\s:]+))?(\s*)", masked)
    if match is None:
        return None
    needed = match[3] is not None or (with_port and port != default_port)
    return f"{match[1]}{host}{f':{port}' if needed else ''}{match[4]}"


def _replace_pairs(masked: str, host: str, port: int, default_port: int) -> str | None:
    keys = [m[1].lower() for m in _PAIR.finditer(masked)]
    if len(set(keys)) != len(keys) or keys == ["port"]:
        return None
    inline = any(m[1].lower() != "port" and ":" in m[3].removeprefix("tcp:") for m in _PAIR.finditer(masked))

    def swap(match: re.Match[str]) -> str:
        if match[1].lower() == "port":
            return f"{match[1]}{match[2]}{port}"
        extra = ""
        if inline:
            extra = f":{port}"
        elif "port" not in keys and port != default_port:
            extra = f"{';' if ';' in masked else ' '}port={port}"
        return f"{match[1]}{match[2]}{host}{extra}"

    return _PAIR.sub(swap, masked)


def _mask(source: str) -> tuple[str, list[str]]:
    """`${…}` as single private characters, so that what they hold cannot be taken for part of the text."""
    expressions: list[str] = []

    def take(match: re.Match[str]) -> str:
        expressions.append(match[0])
        return chr(0xE000 + len(expressions) - 1)

    return _EXPRESSION.sub(take, source), expressions


def _unmask(text: str, expressions: list[str]) -> str:
    return "".join(expressions[ord(c) - 0xE000] if 0 <= ord(c) - 0xE000 < len(expressions) else c for c in text)
