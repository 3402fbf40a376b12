"""Findings about a Redis's healthcheck."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from nftui.catalog.programs import SHELLS, base_name, split_words
from nftui.checks._common import at_argument
from nftui.checks._redis_server import Server
from nftui.engine.evidence import at
from nftui.model.findings import Finding, Level
from nftui.model.message import msg
from nftui.model.patterns import regex

if TYPE_CHECKING:
    from collections.abc import Mapping

_CALL = regex(r"(?:redis|valkey|keydb)-cli\b[^|&;\n]*")
_JUDGED = regex(r"\|\s*(?:e?grep|tr|awk|wc|xargs|sed)\b|\bgrep\b|PONG|\[\s|\btest\s|\$\(|`")
_WRITES = {
    *("set", "setex", "psetex", "setnx", "mset", "incr", "incrby", "decr", "append", "lpush", "rpush", "sadd", "zadd"),
    *("hset", "hmset", "del", "unlink", "getset", "getdel", "xadd", "publish", "flushall", "flushdb", "expire"),
} - {"publish"}
_WITH_VALUE = ("-h", "-p", "-a", "--pass", "--user", "-n", "-u", "-r", "-i", "-s", "-t", "--cacert", "--cert", "--key")


def health_text(config: Mapping[str, object]) -> str | None:
    """The healthcheck's command as one text; None where there is none or it is disabled."""
    check = config.get("healthcheck")
    if not isinstance(check, dict) or check.get("disable"):
        return None
    test = check.get("test")
    if isinstance(test, str):
        return test
    words = [str(word) for word in test] if isinstance(test, (list, tuple)) else []
    if not words or words[0] == "NONE":
        return None
    if words[0] == "CMD-SHELL":
        return " ".join(words[1:])
    return " ".join(f"'{w}'" if " " in w else w for w in words[1:])


def _command(call: str) -> list[str]:
    """The Redis command of one redis-cli call: what follows its options."""
    words = split_words(call)[1:]
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] in _WITH_VALUE else words[1:]
    return words


def _noauth(server: Server) -> Finding | None:
    """redis-healthcheck-noauth: redis-cli exits 0 also when it is refused."""
    text = health_text(server.service.config)
    if not text or not _asks(server) or _authenticates(server, text):
        return None
    calls = _CALL.findall(text)
    if not calls or _JUDGED.search(text) or any(re.search(r"\s-e\b", c) for c in calls):
        return None
    detail = msg(
        "The server asks for a password and the check gives none: redis-cli prints NOAUTH and exits 0, so the "
        "container counts as healthy whatever happens to the data. Give it the password and look at the answer.",
    )
    unfilled = _unfilled(server.service.config)
    if _logs_in_with_ping(text):
        detail = msg(
            "redis-cli sends one command: `AUTH` with `ping` as the password, which the server refuses. redis-cli "
            "prints WRONGPASS and exits 0, so the container counts as healthy whatever happens to the data. Give the "
            "password by REDISCLI_AUTH and look at the answer.",
        )
    elif unfilled is not None:
        detail = msg(
            "No shell fills in {word} in a check of the form CMD: the server refuses that password, and redis-cli "
            "prints NOAUTH and exits 0, so the container counts as healthy whatever happens to the data. Use CMD-SHELL "
            "and look at the answer.",
            word=unfilled,
        )
    return server.finding(
        "redis-healthcheck-noauth", Level.MEDIUM, msg("A healthcheck that is green whatever happens"), detail,
        "measured: redis-cli ping against requirepass prints NOAUTH, exit 0, with a wrong password too",
        at(server.service, "healthcheck.test", "healthcheck.test", text.strip()),
        at_argument(server.service, "--requirepass", "requirepass")
        if "requirepass" in server.settings.missing else server.evidence("requirepass"),
    )  # fmt: skip


def _asks(server: Server) -> bool:
    """Whether it has a password, be it one that only the place of deployment gives: `--requirepass ${VAR}`."""
    written = server.settings.values.get("requirepass")
    known = written is not None or "requirepass" in server.settings.missing
    later = (written is not None and "$" in written.text) or (known and server.is_given_elsewhere("requirepass"))
    return bool(server.value("requirepass")) or later


def _unfilled(config: Mapping[str, object]) -> str | None:
    """A password of the form CMD that a shell would have to fill in: `$REDIS_PASSWORD`, as it is."""
    check = config.get("healthcheck")
    test = check.get("test") if isinstance(check, dict) else None
    words = [str(word) for word in test] if isinstance(test, (list, tuple)) else []
    if len(words) < 2 or words[0] != "CMD" or base_name(words[1]) in SHELLS:
        return None
    return next((w for option, w in pairwise(words) if option in ("-a", "--pass") and w.startswith("$")), None)


def _logs_in_with_ping(text: str) -> bool:
    """`redis-cli auth PASSWORD ping` is AUTH with a user and a password."""
    commands = [[word.lower() for word in _command(call)] for call in _CALL.findall(text)]
    return any(c[:1] == ["auth"] and c[2:] == ["ping"] for c in commands)


def _authenticates(server: Server, text: str) -> bool:
    # A default user without a password, or a file of users, may let the check in.
    if "aclfile" in server.settings.values or "user" in server.settings.values:
        return True
    if _unfilled(server.service.config) is not None or _logs_in_with_ping(text):
        return False
    if re.search(
        r"(?:^|\s|'|\")(?:-a|--pass|--askpass|-u|--user)(?:\s|=|'|\"|$)|\s-a\S|REDISCLI_AUTH|\bAUTH\b|auth ", text
    ):
        return True
    given = server.service.environment
    return any(given.get(name) or name in given for name in ("REDISCLI_AUTH", "VALKEYCLI_AUTH"))


def _writes(server: Server) -> Finding | None:
    """redis-healthcheck-writes: each run changes data, fills the log and triggers saves."""
    text = health_text(server.service.config)
    commands = [_command(call) for call in _CALL.findall(text or "")]
    words = [c[0].lower() for c in commands if c and c[0].lower() in _WRITES]
    # One that is refused writes nothing.
    if not words or (_asks(server) and not _authenticates(server, text or "")):
        return None
    detail = msg("It runs {command} every time: the data set changes, and saves and the log follow.",
                 command=words[0].upper())  # fmt: skip
    return server.finding(
        "redis-healthcheck-writes", Level.LOW, msg("A healthcheck that writes"), detail, "redis.io, commands",
        at(server.service, "healthcheck.test", "healthcheck.test", (text or "").strip()),
    )  # fmt: skip


CHECKS = (_noauth, _writes)
