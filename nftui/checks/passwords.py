"""default-password: a password that everyone can read in the file, or that everyone knows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from nftui.catalog.references import parse_reference
from nftui.checks._common import STORES, is_everywhere, is_store, mapping
from nftui.checks._reach import is_kept_in
from nftui.checks._redis_settings import is_like_redis, read_settings
from nftui.engine.built import as_image
from nftui.engine.evidence import at, at_option
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg
from nftui.model.patterns import regex
from nftui.model.stack import Role
from nftui.system.redaction import MASK, is_secret_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nftui.model.facts import Facts
    from nftui.model.stack import Service

_HIDDEN = "\0"
"""Stands for a value that the file does not show."""
_VARIABLE = regex(r"\$\$|\$\{(\w+)(?:(:?[-?+])((?:[^{}]|\{[^{}]*\})*))?\}|\$(\w+)")
_URL = regex(
    r"(?<![\w+.-])[a-z][a-z0-9+.-]*://([^\s:/@\"'<>]*):((?:(?!://)[^\s\"'<>@/])+)@"
    r"|(?<![\w:/@.-])([\w.-]+):([^\s:@/]+)@(?:tcp|unix)\(",
    re.IGNORECASE,
)
"""User and password of a URL, or of what Go's MySQL driver takes: `user:password@tcp(db:3306)/name`."""
_STRING = regex(r"(?:^|[\s;,?&\"'])(?:password|pwd)\s*=\s*['\"]?([^\s;,&'\"]+)", re.IGNORECASE)
"""The password of a connection string that is no URL: libpq's `host=db password=x`, .NET's `Server=db;Password=x`;
one that a URL has as a parameter too."""
_STRING_OF = regex(
    r"(?:^|[\s;,?&\"'])(?:host|server|data source|addr|user(?: ?id|name)?|uid|dbname|database|initial catalog)\s*=|"
    r"\w:\d+,|://",
    re.IGNORECASE,
)
"""What else such a string holds: a text with `password=` alone may be anything."""
_FLAG = regex(
    r"--(?!no-|validate-|check-|skip-|generate-|reset-)"
    r"(?:(?:requirepass|masterauth|(?:\w+-)*pass(?:word)?)[ =]+(?!-)|basic[-_]auth[ =]+[^\s:]+:)(\S+)"
)
_ASSIGNED = regex(r"\w*pass(?:word|wd)\w*['\"]?\]?\s*[=:]>?\s*['\"]([^'\"\n]+)['\"]", re.IGNORECASE)
_PASSWORD = regex(
    r"(?<!by)pass(word|wd|phrase)?(?![a-z])|(?<![a-z])pwd(?![a-z])|requirepass|^QDRANT__SERVICE__\w*API_KEY$|^NEO4J_AUTH$",
    re.IGNORECASE,
)
"""Names of passwords; Qdrant's only one is its API key, Neo4j's stands behind the user's name."""
_NO_PASSWORD = regex(
    r"(^|_)(allow|enable|enabled|disable|disabled|random|min|max|reset|require|required|policy|forgot|hash|hashing|hashers?|expiry|"
    r"strength|login|auth_(?:method|database|db|source|mechanism)|age|ttl|attempts|rounds|iterations|scheme|algo|algorithm|encoder|method|mode|"
    r"type|length|history|complexity|field|prompt|protect|hint|realm)(_|$)",
    re.IGNORECASE,
)
_SWITCH = regex(r"(true|false|yes|no|on|off|none|null|0|1|md5|scram-sha-256|trust|auto)?", re.IGNORECASE)
_ELSEWHERE = regex(r"^(/|\./|file:|__|vault:|op://|aws-sm:|\{\{|<|\$\(|#\{)")
_ARGUMENTS = ("command", "entrypoint")
_HOLDS_ARGUMENTS = regex(r"(^|_)(ARGS|FLAGS|OPTS|OPTIONS)$")
"""Variables that hand arguments to the server: REDIS_ARGS, VALKEY_EXTRA_FLAGS, REDIS_EXTRA_FLAGS."""
_TELLING = 6
"""Characters from which on an equal value is no chance."""
_OWN_PREFIXES = {
    Role.POSTGRES: ("POSTGRES", "PG"),
    Role.PGBOUNCER: ("POSTGRES", "PG", "DB_", "DATABASE"),
    Role.POOLER: ("POSTGRES", "PG"),
    Role.REDIS: ("REDIS", "VALKEY"),
    Role.KEYDB: ("REDIS", "KEYDB"),
    Role.DRAGONFLY: ("REDIS", "DFLY"),
    Role.MYSQL: ("MYSQL", "MARIADB"),
    Role.CLICKHOUSE: ("CLICKHOUSE",),
    Role.QDRANT: ("QDRANT",),
}
"""What a store can have a use for of a shared env_file."""
_POOLERS = (Role.PGBOUNCER, Role.POOLER)
_PROXY = regex(r"(?:^|[/-])(?:nginx|openresty|caddy|traefik|haproxy|httpd|envoy|cloudflared)(?![a-z])")
"""Images that pass requests on and log in nowhere, though they are often handed the whole of `.env`."""
_OF_A_SERVER = regex(
    r"(^|_)(DB|DATABASE|POSTGRES(QL)?|PG|PSQL|MYSQL|MARIADB|REDIS|VALKEY|MONGO(DB)?|CLICKHOUSE|SQL|JDBC|DATASOURCES?|"
    r"RABBITMQ|AMQP|ELASTIC(SEARCH)?|MINIO|NEO4J|AWS|S3)(_|$)|_DB_?PASS",
    re.IGNORECASE,
)
"""Names of the password of a server elsewhere, which the app's own open port does not ask for."""
_KNOWN = frozenset(
    ("postgres", "postgresql", "password", "passwd", "passw0rd", "p@ssw0rd", "pass", "changeme", "changethis", "secret",
     "admin", "admin123", "root", "toor", "test", "testing", "example", "guest", "user", "default", "letmein", "qwerty",
     "123", "1234", "12345", "123456", "12345678", "123456789", "1234567890", "111111", "abc123", "password1",
     "password123", "mysecretpassword", "my-secret-pw", "supersecret", "secretpassword", "minioadmin", "minio123",
     "miniosecret", "redis", "mysql", "mariadb", "mongo", "rabbitmq", "clickhouse", "grafana", "neo4j", "elastic",
     "langfuse", "langflow", "flowise", "n8n", "dify", "difyai123456", "nextcloud", "wordpress", "keycloak", "zammad",
     "paperless", "immich", "netbox", "outline", "plane", "supabase", "mysecret", "mysalt", "myredissecret", "docker",
     "foobar", "demo", "dev", "development", "s3cret", "secret123", "adminadmin", "superuser", "pgadmin", "secret-key",
     "foobared", "masterkey", "asamplemasterkey", "xyz", "sk-1234", "j5brhraxflqsif0k", "h733kdjndks81",
     "t4ph722qj5qheq1qfu36",
     # Keys that look like one's own: NetBox's, LibreChat's four, Supabase's, Plane's.
     "r(m)9nlgnz$(_q3n4z1k(efsmcjjjzx08x9vhnvcfd%6rf#r!6de@+v5zk2x",
     "drhyf7zenyr6aluckmnz0eyasoqdl6zxh7s7mkfsffct",
     "f34be427ebb29de8d88c107a71546019685ed8b241d8f2ed00c3df97ad2566f0",
     "16f8c0ef4a5d391b26034086c628469d3f9f497f08163ab9b40137092f2909ef",
     "eaa5191f2914e30b9387fd84e254e4ba6fc51b4654968a9b0803b456a54b8418",
     "upnvntn3cdxhjpq99ymc1t1aqgqpc8kfyturgbiya15blrx8etqoxz3gzv1/u2oq",
     "60gp0byfz2dvffa45cxl20p1scy9xbpf6d8c5y0geejgkyp1b5")
)  # fmt: skip
"""Values that stand in documentation and example files everywhere."""
_EXAMPLE = regex(
    r"change[-_ ]?(me|this|it|in|password)|^change[-_ ]?\w*(pass|key|token|secret)|insecure|"
    r"should[-_ ]be[-_ ](updated|changed)|replace[-_ ]?(me|this|with)|^your[-_ ]|yourpassword|yoursecret|"
    r"super[-_]?secret|^insert[-_ ]|placeholder|^(.)\2{5,}$|^example|example[-_]?(password|secret)|"
    r"^my[-_]?(secret|password)|dummy|secret[-_]?key[-_]?here|password[-_]?here|^[a-z0-9]+([-_][a-z0-9]+)*[-_](password|passwd|secret([-_]?key)?)$",
    re.IGNORECASE,
)

_OWN_KEY = regex(
    r"(^|_)(SECRET(_KEY)?(_BASE)?|(JWT|AUTH|TOKEN|COOKIE|SESSION|SIGNING|ENCRYPTION|CRYPTO|MASTER|APP|ADMIN)_(SECRET|KEY)|"
    r"(INNER|INTERNAL|ADMIN|MASTER|SERVER)_API_KEY|ALLOWED_(API_)?KEYS)$|^API_KEY$",
    re.IGNORECASE,
)
"""Names of keys that let in, or sign: one that is an interpolation's default is the same wherever nobody set it."""
_USER_AND = regex(r"(^|_)AUTH$", re.IGNORECASE)
"""Names of `user/password` in one (neo4j's NEO4J_AUTH)."""
_PARTNERS = ("USER", "USERNAME", "USER_NAME", "NAME", "DB", "DATABASE")

_USER = regex(r"((?<!PASSWORD_SUPER)USER|USER_?NAME|LOGIN|EMAIL|_ID)$", re.IGNORECASE)
"""Names of users; Spilo's PGPASSWORD_SUPERUSER is the password of one."""
_MAIL = regex(r"(^|_)(SMTP|E?MAIL|MAILER)_(.*_)?(PASS|PASSWORD|PASSWD)$|SMTP.*PASS(WORD)?$", re.IGNORECASE)
"""The login to somebody's mail server: an example in its place lets nobody in."""
_KEY_ELSEWHERE = regex(r"(API_?KEY|API_?TOKEN|BOT_TOKEN|CLIENT_SECRET|ACCESS_KEY|LICEN[CS]E_KEY)(_ID)?$", re.IGNORECASE)
_VENDOR = regex(
    r"(^|_)(OPENAI|ANTHROPIC|CLAUDE|GEMINI|GOOGLE(_AI)?|GROQ|MISTRAL|COHERE|DEEPSEEK|OPEN_?ROUTER|TOGETHER(_AI)?|XAI|"
    r"PERPLEXITY|FIREWORKS|NVIDIA|REPLICATE|VOYAGE(_AI)?|JINA(_AI)?|ELEVENLABS|SERP(ER|API)|TAVILY|BRAVE(_SEARCH)?|EXA|"
    r"LM_?STUDIO|OLLAMA)_API_KEY$|^(HF|HUGGING_?FACE(_HUB)?|GITHUB|GH|GITLAB|SLACK|DISCORD|TELEGRAM|NOTION|REPLICATE|"
    r"CLOUDFLARE|TUNNEL|NGROK)_(\w+_)?TOKEN$",
    re.IGNORECASE,
)
"""Keys of somebody else's service, or of a model server that asks for none: an example's word there opens nothing."""
_NOT_FILLED_IN = regex(r"^(your|insert|put|enter|add)[-_ ]|[-_ ]here$|^x{5,}$", re.IGNORECASE)


def default_password(facts: Facts) -> Iterable[Finding]:
    """default-password: literal, an interpolation's default, in a URL or a flag; or a well-known one of `.env`."""
    private = _private_files(facts)
    public = frozenset(p for s in facts.stack.services for p in _given_away(facts, s, private))
    for service in facts.stack.services:
        found = tuple(dict.fromkeys(_found(facts, service, public, private)))
        if not found:
            continue
        open_ = any(is_everywhere(port) for port in service.ports) and any(_opens(service, e.key) for e in found)
        open_ = open_ and not is_kept_in(facts, service)
        detail = msg(
            "Whoever reads the files, or knows the product's example, knows it. It belongs in `.env` (not in version "
            "control) or in a secret, and must be one of your own."
        )
        yield Finding(
            "default-password", Level.HIGH if open_ else Level.MEDIUM, service.name,
            msg("A password that is in the file for all to read, or that everyone knows"), detail, found,
            "OWASP, use of hard-coded and default credentials",
        )  # fmt: skip


def _opens(service: Service, key: str) -> bool:
    """Whether who knows the password gets in by the service's own port: not by what it logs in to elsewhere with."""
    if is_store(service):
        return True
    if key in _ARGUMENTS:
        return False  # A URL among them is a login elsewhere.
    server = _OF_A_SERVER.search(key)
    elsewhere = server and not (server.start() == 0 and _is_named_after(service, key))
    return not (elsewhere or any(_logins(service.environment.get(key) or "")))


def _private_files(facts: Facts) -> frozenset[str]:
    """Files that give variables to one service alone: what stands in them was written for it.

    `.env` is the project's, whoever is handed it.
    """
    users: dict[str, set[str]] = {}
    for service in facts.stack.services:
        for key, place in service.places.items():
            if key.startswith("environment."):
                users.setdefault(place.file, set()).add(service.name)
    return frozenset(file for file, names in users.items() if len(names) == 1 and Path(file).name != ".env")


def _found(facts: Facts, service: Service, public: frozenset[str], private: frozenset[str]) -> Iterator[Evidence]:
    raw = _raw_environment(service)
    for name, value in _secrets(service, raw, private):
        shown = _shown(raw[name], facts.stack.environment) if name in raw else ""
        known = _is_candidate(name, value) and (
            _is_known(_secret_part(name, value))
            or value in public
            or (_PASSWORD.search(name) and _is_own_name(service, name, value))
        )
        urls = any(_is_known(p) or p in public or p == user for user, p in _logins(value))
        if known or urls or any(_literals(name, value, shown)) or _is_default_key(name, value, raw.get(name), shown):
            yield at(service, name, f"environment.{name}", MASK)
    yield from _in_configuration(facts, service, public)
    for flag, key, _ in (*_in_commands(facts, service), *_known_in_commands(service, public)):
        yield at_option(service, flag, key, flag.lstrip("-"), MASK)
    yield from _in_dockerfile(facts, service)


def _logins(text: str) -> Iterator[tuple[str, str]]:
    """User and password of every address and connection string in a text; the user is "" where it is not told apart."""
    yield from ((user or other, password or word) for user, password, other, word in _URL.findall(text))
    if _STRING_OF.search(text):
        yield from (("", p) for p in _STRING.findall(text) if not (_SWITCH.fullmatch(p) or _ELSEWHERE.match(p)))


def _secret_part(name: str, value: str) -> str:
    """The password of `user/password`, else all of it."""
    return re.split(r"[/:]", value, maxsplit=1)[-1] if _USER_AND.search(name) else value


def _is_own_name(service: Service, name: str, value: str) -> bool:
    """A password that is the name of its own user or database: the first one that anybody tries."""
    places = (_PASSWORD.sub(word, name, count=1) for word in _PARTNERS)
    given = ((service.environment.get(place) or "") for place in places if place.upper() != name.upper())
    return any(other.lower() == value.lower() for other in given)


def _is_default_key(name: str, value: str, written: str | None, shown: str) -> bool:
    """A key that the file gives to everyone who sets none of their own; one written out is this operator's."""
    default = written is not None and "$" in written and shown == value
    return default and len(value) >= _TELLING and bool(_OWN_KEY.search(name)) and _is_candidate(name, value)


def _given_away(facts: Facts, service: Service, private: frozenset[str]) -> Iterator[str]:
    """Passwords that the Compose files show; the same value out of `.env` is no secret any more."""
    raw = _raw_environment(service)
    for name, value in _secrets(service, raw, private):
        if name in raw:
            shown = _shown(raw[name], facts.stack.environment)
            yield from (p for p in _literals(name, value, shown) if len(p) >= _TELLING)
    yield from (p for _, _, p in _in_commands(facts, service) if len(p) >= _TELLING)


def _secrets(service: Service, raw: Mapping[str, str], private: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Variables that may hold a password of this service."""
    for name, value in service.environment.items():
        # A pooler is told of its server by a URL; another store logs in nowhere.
        url = service.role in _POOLERS and "://" in (value or "")
        if not value or _NO_PASSWORD.search(name) or (service.role in STORES and not (_PASSWORD.search(name) or url)):
            continue
        if (name in raw or _has_a_use(service, name, private)) and not _is_key_id(service, name):
            yield name, value


def _has_a_use(service: Service, name: str, private: frozenset[str]) -> bool:
    """A shared env_file hands everything to everyone: whether the service can have a use for that name."""
    place = service.places.get(f"environment.{name}")
    if service.role in STORES:
        return name.startswith(_OWN_PREFIXES.get(service.role, ()))
    if name.startswith("GF_"):
        return service.role is Role.GRAFANA
    passes_on = is_store(service) or _PROXY.search(parse_reference(service.image or "").repository)
    alone = place is not None and place.file in private and service.role is not Role.CLIENT
    own = bool(service.config.get("depends_on")) or alone
    return _is_named_after(service, name) or (own and not passes_on)


def _is_named_after(service: Service, name: str) -> bool:
    """RABBITMQ_DEFAULT_PASS at `rabbitmq`, ELASTIC_PASSWORD at `elasticsearch`: the server's own."""
    first = name.lower().partition("_")[0]
    image = parse_reference(service.image or "").name
    named = first in (image, service.name) or (is_store(service) and image.startswith(first))
    # A client's image is named after the server as well.
    return named and service.role is not Role.CLIENT


def _is_key_id(service: Service, name: str) -> bool:
    """The name of a key, as a login's is the user: its secret stands beside it."""
    head, found, _ = name.partition("ACCESS_KEY")
    secrets = (f"{head}SECRET_KEY", f"{head}SECRET_ACCESS_KEY")
    return bool(found) and not head.endswith("SECRET_") and any(s in service.environment for s in secrets)


def _literals(name: str, value: str, shown: str) -> Iterator[str]:
    """Passwords of one variable that the file itself shows: `value` is in force, `shown` what the file gives away."""
    written = {p for _, p in _logins(shown)}
    yield from (p for _, p in _logins(value) if p in written)
    if "\n" in value:
        yield from (p for p in _ASSIGNED.findall(shown) if _HIDDEN not in p and p in value and not _ELSEWHERE.match(p))
    elif shown == value and _PASSWORD.search(name) and _is_candidate(name, value):
        yield value


def _is_candidate(name: str, value: str) -> bool:
    if not is_secret_name(name) or name.upper().endswith("_FILE") or _USER.search(name):
        return False
    if _MAIL.search(name) and _is_known(value):
        return False
    if _VENDOR.search(name) and _is_known(value) and not value.startswith("sk-1234"):
        return False
    if _KEY_ELSEWHERE.search(name) and _NOT_FILLED_IN.search(value):
        # A key of somebody else's service that was never filled in lets nobody in.
        return False
    return not (_SWITCH.fullmatch(value) or _ELSEWHERE.match(value) or "://" in value)


def _is_known(value: str) -> bool:
    return value.lower() in _KNOWN or bool(_EXAMPLE.search(value))


def _raw_environment(service: Service) -> Mapping[str, str]:
    """Variables as written; those that come from an env_file are not in it."""
    raw = service.raw.get("environment")
    if isinstance(raw, (list, tuple)):
        return {k: v for k, sign, v in (str(entry).partition("=") for entry in raw) if sign}
    return {name: str(value) for name, value in mapping(raw).items() if value is not None}


def _shown(raw: str, environment: Mapping[str, str]) -> str:
    """What the file gives away: defaults that are in force stay, what comes from `.env` is hidden."""

    def replaced(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        name, operator, other = found[1] or found[4], found[2] or "", found[3] or ""
        value = environment.get(name)
        if "-" not in operator:
            return _HIDDEN
        default = _shown(other, environment)
        return default if value is None or value == default or (value == "" and ":" in operator) else _HIDDEN

    return _VARIABLE.sub(replaced, raw)


def _in_commands(facts: Facts, service: Service) -> Iterator[tuple[str, str, str]]:
    """Passwords among the arguments, of flags and of addresses: flag (or Compose key), Compose key, password."""
    for key, text, in_force in _argument_texts(service):
        shown = _shown(text, facts.stack.environment)
        for found in _FLAG.finditer(shown):
            password = found.group(1).strip("\"'")
            if password and _HIDDEN not in password and "$" not in password and password in in_force:
                yield _flag_of(found), key, password
        for _, password in _logins(shown) if key in _ARGUMENTS else ():
            if _HIDDEN not in password and "$" not in password and password in in_force:
                yield key, key, password


def _argument_texts(service: Service) -> Iterator[tuple[str, str, str]]:
    """What hands arguments to a program: Compose key, the text as written, and as it is in force."""
    for key in _ARGUMENTS:
        raw = service.raw.get(key)
        text = " ".join(map(str, raw)) if isinstance(raw, (list, tuple)) else str(raw or "")
        yield key, text, " ".join((service.command if key == "command" else service.entrypoint) or ())
    written = _raw_environment(service)
    for name, value in service.environment.items():
        if value and _HOLDS_ARGUMENTS.search(name):
            yield f"environment.{name}", written.get(name, ""), value


def _known_in_commands(service: Service, public: frozenset[str]) -> Iterator[tuple[str, str, str]]:
    """Those of flags that `.env` gives: what everyone knows, or the files show elsewhere."""
    for key, _, in_force in _argument_texts(service):
        for found in _FLAG.finditer(in_force):
            password = found.group(1).strip("\"'")
            if _is_known(password) or password in public:
                yield _flag_of(found), key, password


def _in_configuration(facts: Facts, service: Service, public: frozenset[str]) -> Iterator[Evidence]:
    """Those of a mounted redis.conf that everyone knows, or the files show elsewhere."""
    settings = read_settings(facts.stack, service).values if is_like_redis(service.role) else {}
    for name in ("requirepass", "masterauth"):
        given = settings.get(name)
        # Of a flag or a variable the key is its own name.
        if given and given.evidence.key == name and (_is_known(given.text) or given.text in public):
            yield given.evidence


def _in_dockerfile(facts: Facts, service: Service) -> Iterator[Evidence]:
    """What an ENV of the Dockerfile shows, where the service gives no other."""
    built = as_image(facts.stack, service)
    for name, value in built.environment.items() if built else ():
        own = name not in service.environment and value and "$" not in value and not _NO_PASSWORD.search(name)
        if own and _PASSWORD.search(name) and _is_candidate(name, value or ""):
            yield at(service, name, "build", MASK)


def _flag_of(found: re.Match[str]) -> str:
    return found.group(0).split("=")[0].split()[0]


CHECKS = (default_password,)
