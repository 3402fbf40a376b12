"""From a request to the function that answers it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Route = tuple[str, str, Callable[..., Any]]
"""Method, pattern of the path, function: it takes the pattern's groups, then the body where the method has one."""


class NoRoute(Exception):
    """What the real server answers with 404 and nothing else."""


def dispatch(table: Sequence[Route], method: str, url: str, content: Any) -> Any:
    """What answers that request. Raises NoRoute, Refused."""
    path = urlsplit(url).path
    for known, pattern, function in table:
        found = re.fullmatch(pattern, path)
        if found and known == method:
            groups = [unquote(g) for g in found.groups()]
            more = [content] if method in ("PUT", "PATCH", "POST") else []
            if path == "/telemetry":
                more = [int(parse_qs(urlsplit(url).query).get("details_level", ["0"])[0])]
            return function(*groups, *more)
    raise NoRoute
