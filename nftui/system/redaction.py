"""The one place that hides secrets: passwords, tokens, keys and URLs with credentials show as `••••••`.

Three ways, from sure to careful:
1. by key: a variable, flag or mapping key whose name says that it holds a secret;
2. by shape: credentials in URLs, Authorization headers, SCRAM and md5 verifiers, PEM private keys;
3. by value: a known secret wherever it occurs, but only where it cannot be an ordinary word of the
   stack (a password equal to "postgres" must not erase each "postgres").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from nftui.model.patterns import regex

MASK = "••••••"

_STRONG = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "credential",
    "apikey",
    "requirepass",
    "masterauth",
    "privatekey",
)
"""Parts of a name that mean a secret wherever they stand ("DBPASSWORD", "client_secret_v2")."""
_WORDS = frozenset({"pass", "pwd", "pw", "dsn", "creds", "cred", "token", "cookie", "salt", "userlist", "auth"})
"""Whole words of a name that mean a secret ("DB_PASS", "SENTRY_DSN", "GITHUB_TOKEN")."""
_NOT_SECRET = frozenset({"pwd", "oldpwd", "key", "keys"})
"""Names that are no secret by themselves: the shell's directory; the name of any mapping's key."""
_WEAK = frozenset({"key", "keys", "tokens", "token", "auth"})
"""Words that as often count or name something: a number, a yes or a method under them is no secret."""
_HARMLESS_ENDS = (
    "file", "path", "dir", "method", "type", "length", "encryption", "policy", "expires", "expiry", "ttl",
    "name", "header", "url", "uri", "host", "port", "enabled", "mode", "size", "interval", "timeout", "algorithm",
    "role", "roles", "provider", "image", "tag", "version", "repository",
)  # fmt: skip
"""Last words that turn a name away from the secret itself; URLs are hidden by their shape."""
_HARMLESS_VALUE = regex(r"-?\d+(\.\d+)?[a-z%]{0,3}|true|false|yes|no|on|off|none|null|enabled|disabled|", re.I)
_VARIABLE_NAME = regex(r"[A-Z][A-Z0-9]*(_+[A-Z0-9]+)+")
"""A service called `auth` is followed by names of its variables, not by its secrets: `auth: GOTRUE_DB_URL`."""
_REFERENCE = regex(r"\$(\w+|\{\w+(:?[?+][^}$]*)?\})")
"""`$VAR`, `${VAR}`, `${VAR:?message}`: names a value, holds none."""
_DEFAULTED = regex(r"(\$\{\w+:?-)([^{}]*)(\})")
"""`${VAR:-default}`: the default is a value."""

_SPLIT = regex(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")

_URL = regex(
    # Both cases spelled out: with re.I the classes alone take 10 ms to compile.
    r"(?P<head>\b[A-Za-z][A-Za-z0-9+.-]{0,40}://[^\s:/@\"'<>]*:)(?!\d{1,5}(?:[/?#\s\"',]|$))(?P<pass>(?:(?!://)[^\s\"'<>])*)@"
)
_SHAPES = (
    regex(
        r"(?P<head>\b(?i:(?:proxy-)?authorization)[\"']?\s*[:=]\s*[\"']?(?i:bearer|basic|token)?\s*)(?P<pass>[^\s\"',;]+)"
    ),
    regex(r"(?P<head>\b(?i:bearer)\s+)(?P<pass>[A-Za-z0-9._~+/=-]{8,})"),
    regex(r"(?P<head>\bSCRAM-SHA-256\$)(?P<pass>[^\s\"']+)"),
    regex(r"(?P<head>\bmd5)(?P<pass>[0-9a-f]{32})\b"),
    regex(r"(?P<head>-----BEGIN [A-Z ]*PRIVATE KEY-----)(?P<pass>.*?)(?=-----END|\Z)", re.S),
    regex(r"(?P<head>\bredis-cli\b[^\n|;&]*?\s(?:-a|--pass)[ =]+)(?P<pass>\"[^\"]*\"|'[^']*'|\S+)"),
    regex(r"(?P<head>\b(?:mysql|mysqldump|mysqladmin|mariadb)\b[^\n|;&]*?\s-p)(?P<pass>[^\s\"']+)"),
    regex(r"(?P<head>\bcurl\b[^\n|;&]*?\s(?:-u|--user)[ =]+[^\s:]*:)(?P<pass>[^\s\"']+)"),
    regex(r"(?P<head>\b(?i:(?:password|passwd)\s+(?:is\s+)?)[\"'])(?P<pass>[^\"'\n]+)"),
)  # fmt: skip
# Names are bounded: without that, a long line of dots and hyphens is searched to its end from each of them.
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'[^']*'"
_ASSIGNED = regex(
    r"(?P<head>(?<![\w$}])(?P<name>[A-Za-z_][\w.-]{0,120})(?P<quote>[\"']?)(?P<sep>\s*=\s*|:[ \t]+|:(?=[\"']))[\"']?)"
    rf"(?P<pass>(?<=[\"'])[^\"'\n]*|{_QUOTED}|\$\{{[^}}\n]*\}}|[^\s\"']+)"
)
_FLAG = regex(rf"(?P<head>(?<!\S)--?(?P<name>[A-Za-z][\w-]*)[ \t]+)(?P<pass>{_QUOTED}|[^\s\"'-][^\s\"']*)")
_VALUE_KEYS = frozenset({"value", "current", "recommended", "expected", "actual", "before", "after", "live", "default"})
_COMMON = frozenset(
    ("postgres", "postgresql", "redis", "valkey", "qdrant", "ollama", "grafana", "prometheus", "pgbouncer", "mysql",
     "mariadb", "mongodb", "rabbitmq", "minio", "nextcloud", "wordpress", "docker", "compose", "database", "server",
     "service", "default", "localhost", "password", "passwd", "secret", "admin", "administrator", "public", "guest",
     "example", "changeme", "production", "development", "staging")
)  # fmt: skip


def is_secret_name(name: str) -> bool:
    """Whether a variable, flag or key called `name` holds a secret itself (not a path to one, not its length)."""
    if name.lower() in _NOT_SECRET:
        return False
    words = [w.lower() for w in _SPLIT.split(name) if w]
    if not words or words[-1] in _HARMLESS_ENDS:
        return False
    joined = "".join(words)
    strong = any(part in joined for part in _STRONG)
    return strong or any(w in _WORDS for w in words) or _is_key(words)


def _is_key(words: list[str]) -> bool:
    """A name that ends in KEY or KEYS after another word; `KEY_PREFIX` and `KEYSPACE` are no secrets."""
    return len(words) > 1 and words[-1] in ("key", "keys", "tokens") and words[-2] not in ("public", "max", "cache")


def is_secret(name: str, value: str) -> bool:
    """Whether `value` under `name` must be hidden: a secret's name, and a value that can be one."""
    if not value or not is_secret_name(name) or _REFERENCE.fullmatch(value):
        return False
    words = {w.lower() for w in _SPLIT.split(name)}
    strong = any(part in "".join(_SPLIT.split(name)).lower() for part in _STRONG)
    weak = not strong and words & _WEAK
    return not (weak and (_HARMLESS_VALUE.fullmatch(value) or _VARIABLE_NAME.fullmatch(value)))


class Redactor:
    """Hides secrets in texts and JSON structures; learns values from the environments that it is shown."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._ordinary: set[str] = set(_COMMON)
        self._names: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for value in secrets:
            self.learn_value(value)

    def learn_value(self, value: str) -> None:
        """Remember a secret, hidden from now on wherever it occurs if it is unusual enough."""
        if value:
            self._secrets.add(value)
            self._pattern = None

    def learn(self, environment: Mapping[str, str | None]) -> None:
        """Remember the secrets among variables; what stands under other names counts as ordinary words."""
        for name, value in environment.items():
            if not value:
                continue
            for found in _URL.finditer(value):
                self.learn_value(found["pass"])
            if is_secret(name, value):
                self.learn_value(value)
            elif not is_secret_name(name):
                self._ordinary.add(value.lower())
        self._pattern = None

    def learn_images(self, images: Iterable[str | None]) -> None:
        """The parts of image names are public: dify's sandbox has its own image's name for a key."""
        self._ordinary.update(p.lower() for image in images for p in re.split(r"[/:@]", image or "") if p)
        self._pattern = None

    def learn_ordinary(self, words: Iterable[str]) -> None:
        """Names, of services say, that must stay readable even if a password is one of them, or a part of one."""
        self._names.update(w.lower() for w in words)
        self._pattern = None

    def text(self, text: str) -> str:
        """`text` with every secret in it hidden."""
        text = self._values().sub(MASK, text)
        text = _URL.sub(lambda m: f"{m['head']}{MASK}@", text)
        for shape in _SHAPES:
            text = shape.sub(_hide_shape, text)
        text = _ASSIGNED.sub(_hide_assigned, text)
        return _FLAG.sub(_hide_assigned, text)

    def value(self, name: str, value: str | None) -> str | None:
        """The value of the variable `name`, hidden where it is a secret."""
        if value is None:
            return None
        if is_secret(name, value):
            return _hide_value(value)
        return self.text(value)

    def data(self, data: object, name: str = "") -> object:
        """A JSON structure with every secret in it hidden; mappings become dicts, sequences lists."""
        if isinstance(data, Mapping):
            return self._mapping(data)
        if isinstance(data, (list, tuple)):
            return self._sequence(data, name)
        if isinstance(data, str):
            return self.value(name, data)
        if isinstance(data, (int, float)) and not isinstance(data, bool) and is_secret(name, str(data)):
            return MASK
        return data

    def _mapping(self, data: Mapping[object, object]) -> dict[str, object]:
        about = next((v for k in ("key", "name", "target") if isinstance(v := data.get(k), str)), "")
        about = about.rpartition(".")[2]
        return {
            str(k): self.data(v, about if str(k) in _VALUE_KEYS and is_secret_name(about) else str(k))
            for k, v in data.items()
        }

    def _sequence(self, data: Iterable[object], name: str) -> list[object]:
        """A list; in an argument list the one after `--requirepass` is its value."""
        shown: list[object] = []
        flag = ""
        redis_cli = False
        for item in data:
            if isinstance(item, str) and flag and is_secret(flag, item):
                shown.append(_hide_value(item))
            else:
                shown.append(self.data(item, name))
            text = item if isinstance(item, str) else ""
            redis_cli = redis_cli or "redis-cli" in text
            flag = text.lstrip("-") if text.startswith("-") and "=" not in text else ""
            if text == "-a" and redis_cli:
                flag = "password"
        return shown

    def _values(self) -> re.Pattern[str]:
        if self._pattern is None:
            forms = {f for s in self._secrets if self._unusual(s) for f in _forms(s)}
            parts = [_bounded(f) for f in sorted(forms, key=lambda f: (-len(f), f))]
            self._pattern = re.compile("|".join(parts) if parts else r"(?!)")
        return self._pattern

    def _unusual(self, value: str) -> bool:
        if value.lower() in self._ordinary or _REFERENCE.fullmatch(value):
            return False
        # `${UNSET}-public` is the key "-public": the service `api-public` keeps its name.
        if any(value.lower() in name for name in self._names):
            return False
        return len(value) >= 6 and not (value.isdigit() and len(value) < 8)


def _forms(secret: str) -> set[str]:
    """How a secret can be written: as it is, in a URL, in a Compose file, in JSON."""
    json_form = secret.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return {secret, quote(secret, safe=""), quote(secret), secret.replace("$", "$$"), json_form}


def _bounded(form: str) -> str:
    """A short word counts only by itself, a long one also inside other text."""
    if len(form) >= 16 or not form.isalnum():
        return re.escape(form)
    return rf"(?<![A-Za-z0-9]){re.escape(form)}(?![A-Za-z0-9])"


def _hide_shape(match: re.Match[str]) -> str:
    return match[0] if _REFERENCE.fullmatch(match["pass"].strip("\"'")) else match["head"] + MASK


def _hide_assigned(match: re.Match[str]) -> str:
    value = match["pass"]
    bare = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value
    if not is_secret(match["name"], bare) or bare == MASK:
        return match[0]
    mark = value[0] if bare != value else ""
    return f"{match['head']}{mark}{_hide_value(bare)}{mark}"


def _hide_value(value: str) -> str:
    """The mask, keeping `${NAME:-…}` around a default readable."""
    found = _DEFAULTED.fullmatch(value)
    if found:
        default = found[2]
        return value if not default else f"{found[1]}{MASK}{found[3]}"
    return MASK
