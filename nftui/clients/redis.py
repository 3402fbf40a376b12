"""A Redis service: over its address, else redis-cli inside the container. One command at a time, bounded.

The password is the one that the running container's command or environment gives; it never stands on a command line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from nftui.clients.pglogin import file_content
from nftui.clients.resp import RespClient
from nftui.clients.routes import routes
from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.model.stack import Container, Service
from nftui.system.exec import Exec

TIMEOUT_S = 3.0
EXEC_TIMEOUT_S = 10.0
_PASSWORD_VARIABLES = ("REDISCLI_AUTH", "REDIS_PASSWORD", "VALKEY_PASSWORD", "REDIS_PASS", "REDIS_AUTH",
                       "REDIS_HOST_PASSWORD", "KEYDB_PASSWORD", "VALKEYCLI_AUTH")  # fmt: skip
_FILE_VARIABLES = ("REDIS_PASSWORD_FILE", "VALKEY_PASSWORD_FILE")
_REQUIRED = re.compile(r"--requirepass[= ]+[\"']?([$`]\(?(?:cat +|< *)[^\s\"'`)]+|[^\s\"']+)")
"""The word after it; of one that a shell reads from a file, up to the file's path."""
_SECRET = re.compile(r"/\S+")
_CONFIGURATION = re.compile(r"/\S+\.conf")
_IN_FILE = re.compile(
    r"^[ \t]*(?:requirepass[ \t]+(\S+)|user[ \t]+default[ \t](?:.*[ \t])?>(\S+))", re.MULTILINE | re.I
)
"""The password that its configuration asks for (redis.conf, "requirepass" and "user")."""
_CLIENTS = ("redis-cli", "valkey-cli", "keydb-cli")
_KNOWN = ("LOADING", "MISCONF", "BUSY", "MASTERDOWN")
"""What is answered only to one whose login is good: that is looked at first (redis, processCommand)."""
_LOCKED = ("NOAUTH", "WRONGPASS", "NOPERM", "ERR AUTH", "ERR Client sent AUTH", "ERR invalid password")
"""What is answered to a login that does not fit, or that is not asked for; the last two before version 6."""
_ERROR = re.compile(r"\(error\)|[A-Z]+ ")
"""How a refusal begins: INFO, CLIENT LIST and PING answer with none such."""


class RedisUnreachable(NftuiError):
    """No way to the server: one line, without any secret."""


class RedisLocked(RedisUnreachable):
    """It answers, and no password that is known fits."""


class RedisClient(Protocol):
    """Commands, one by one; None where the server refuses one."""

    via: str
    error: str
    """What the server said the last time that it refused something."""

    def ask(self, *words: str) -> Any:
        """The answer: text, or a flat list of texts; None for an error or no value."""
        ...

    def close(self) -> None:
        """End the session."""
        ...


def connect(service: Service, exec_port: Exec | None, environ: Mapping[str, str] | None = None) -> RedisClient:
    """A session on the first running container. Raises RedisUnreachable."""
    container = service.running
    if container is None:
        raise RedisUnreachable(msg("{service} is not running", service=service.name))
    passwords = candidates(service, container, exec_port, environ or {})
    reasons: list[str] = []
    failed: type[RedisUnreachable] = RedisUnreachable
    for host, port, via in routes(container, port_of(container)):
        try:
            return _network(host, port, via, passwords)
        except (OSError, RedisUnreachable) as error:
            reasons.append(f"{via}: {safe_line(error, passwords)}")
            failed = RedisLocked if isinstance(error, RedisLocked) else failed
    if exec_port is not None:
        try:
            return _exec(exec_port, container, passwords)
        except (OSError, NftuiError) as error:
            reasons.append(f"exec: {safe_line(error, passwords)}")
            failed = RedisLocked if isinstance(error, RedisLocked) else failed
    raise failed(msg("{service}: {reasons}", service=service.name, reasons="; ".join(reasons) or "no way in"))


def safe_line(error: Exception, passwords: Sequence[str]) -> str:
    """One line of an error, without any of the passwords."""
    text = " ".join(str(error).split())[:200] or type(error).__name__
    for password in passwords:
        text = text.replace(password, "••••••") if password else text
    return text


def candidates(
    service: Service, container: Container, exec_port: Exec | None, environ: Mapping[str, str]
) -> tuple[str, ...]:
    """Passwords to try, the likeliest first; "" (none) first where the command asks for none."""
    found: list[str] = []
    argv = [*container.entrypoint, *container.command, *(service.command or ())]
    for index, word in enumerate(argv):
        if word == "--requirepass" and index + 1 < len(argv) and not argv[index + 1].startswith("$"):
            found.append(argv[index + 1])
    match = _REQUIRED.search(" ".join(argv))
    if match:
        found += _meant(match[1], container, exec_port)
    for path in dict.fromkeys(word for word in argv if _CONFIGURATION.fullmatch(word)):
        text = file_content(container, exec_port, path) or ""
        found += [word.strip("\"'") for line in _IN_FILE.findall(text) for word in line if word]
    layers: tuple[Mapping[str, str | None], ...] = (container.environment, service.environment)
    for layer in layers:
        found += [v for n in _PASSWORD_VARIABLES if n in layer and (v := layer[n] or environ.get(n))]
        found += [v for n in _FILE_VARIABLES if (v := file_content(container, exec_port, layer.get(n)))]
    asked = "requirepass" in " ".join(argv)
    return tuple(dict.fromkeys([*found, ""] if asked else ["", *found]))


def _meant(word: str, container: Container, exec_port: Exec | None) -> list[str]:
    """What a shell makes of the password's word: itself, a variable of the container, or what a secret's file holds."""
    if not word.startswith(("$", "`")):
        return [word]
    if secret := _SECRET.search(word):
        return [text] if (text := file_content(container, exec_port, secret[0])) else []
    name = word.lstrip("${").partition("}")[0].partition(":")[0]
    return [value] if (value := container.environment.get(name)) else []


def port_of(container: Container) -> int:
    """Where its command says that it listens."""
    match = re.search(r"--port[= ](\d{1,5})\b", " ".join(container.command))
    return int(match[1]) if match else 6379


def _network(host: str, port: int, via: str, passwords: Sequence[str]) -> RedisClient:
    client = RespClient(host, port, via, TIMEOUT_S)
    try:
        return _login(client, passwords)
    except BaseException:
        client.close()
        raise


def _login(client: RedisClient, passwords: Sequence[str]) -> RedisClient:
    for password in passwords:
        if (not password or _fits(client, "AUTH", password)) and _fits(client, "PING"):
            return client
    raise locked()


def _fits(client: RedisClient, *words: str) -> bool:
    client.error = ""
    return fits(client.ask(*words), client.error)


def fits(answer: object, refusal: str) -> bool:
    """Whether the answer to AUTH or PING shows a good login. Raises RedisUnreachable where it is about no login."""
    if answer in ("OK", "PONG") or refusal.startswith(_KNOWN):
        return True
    if refusal.startswith(_LOCKED):
        return False
    raise RedisUnreachable(msg("it answers: {answer}", answer=refusal or str(answer)))


def locked() -> RedisLocked:
    """That no password fits."""
    return RedisLocked(msg("the server wants a password, and none that is known fits"))


class ExecClient:
    """redis-cli in the container; the password travels in its environment."""

    def __init__(self, exec_port: Exec, container_id: str, program: str, password: str) -> None:
        self._exec, self._id, self._program = exec_port, container_id, program
        self._environment = {"REDISCLI_AUTH": password} if password else {}
        self.via = f"exec {program}"
        self.error = ""

    def ask(self, *words: str) -> Any:
        """See RedisClient. Raises OSError."""
        argv = [self._program, "--no-raw", *words]
        raw = words[:1] in (("INFO",), ("CLIENT",), ("PING",))
        if raw:
            argv = [self._program, "--raw", *words]
        code, out, err = self._exec.exec(self._id, argv, env=self._environment, timeout=EXEC_TIMEOUT_S)
        text = out.decode("utf-8", "replace").replace("\r\n", "\n")
        if code or (_ERROR.match(text) if raw else text.startswith("(error)")):
            said = text.removeprefix("(error)").strip()
            self.error = said or err.decode("utf-8", "replace").strip() or f"{self._program} ended with {code}"
            return None
        return text.rstrip("\n") if raw else parse_reply(text)

    def close(self) -> None:
        """Nothing stays open."""


_ITEM = re.compile(r'(\d+)\) "((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|.)")


def parse_reply(text: str) -> Any:
    """redis-cli's own notation: (integer), quoted strings, numbered lists; nested lists are made flat."""
    text = text.strip()
    if text.startswith("(integer)"):
        return int(text.split()[1])
    items = [_plain(value) for _, value in _ITEM.findall(text)]
    if items or text.startswith(("(empty", "1) ")):
        return items
    return _plain(text[1:-1]) if text.startswith('"') else None if text == "(nil)" else text


def _plain(value: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) == 3 else {"n": "\n", "r": "\r", "t": "\t"}.get(code, code)

    return _ESCAPE.sub(one, value)


def _exec(exec_port: Exec, container: Container, passwords: Sequence[str]) -> RedisClient:
    for program in _CLIENTS:
        code, _, _ = exec_port.exec(container.id, [program, "--version"], timeout=EXEC_TIMEOUT_S)
        if code:
            continue
        for password in passwords:
            client = ExecClient(exec_port, container.id, program, password)
            if _fits(client, "PING"):
                return client
        raise locked()
    raise RedisUnreachable(msg("the container has no redis-cli"))
