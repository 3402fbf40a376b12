"""Which services reach which database or Redis, by which variables; and those variables rewritten to another host.

Known applications are read by their catalog entry; of the others, URLs and the usual split keys are understood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from nftui.catalog.addresses import DEFAULT_PORTS, Address, find_address, replace_address, shape
from nftui.catalog.apps import App, Purpose, Use, app_of
from nftui.catalog.loader import catalog
from nftui.catalog.names import Names
from nftui.catalog.programs import argv_of, started
from nftui.model.dataclass import dataclass
from nftui.model.patterns import regex
from nftui.model.stack import Role, Service, Stack

REDIS_LIKE = (Role.REDIS, Role.KEYDB, Role.DRAGONFLY)
POSTGRES_LIKE = (Role.POSTGRES, Role.PGBOUNCER, Role.POOLER)

_HOST_KEY = regex(
    r"(?:HOST(?:_(?:READ(?:ER)?|WRITE(?:R)?|R[OW]|PRIMARY|MASTER|REPLICA))?|HOSTNAME|SERVER|ADDR|ADDRESS|ENDPOINT|(?:^|_)SEEDS)$"
)
_BARE_HOST = regex(r"\w(?:[\w.-]*\w)?")
_NO_VARIABLE = ("image", "depends_on", "command")
"""What stands for the variable of a connection that none names."""
_PORT_ENDS = ("HOST", "HOSTNAME", "SERVER", "ADDR", "ADDRESS", "ENDPOINT")
_QUEUE_KEY = regex(
    r"BROKER|QUEUE|BULL|SIDEKIQ|RESQUE|CELERY(?!.*RESULT)|JOBS?_|WORKER|(?:^|_)RQ_|MESSENGER_TRANSPORT|ASYNQ|HUEY"
)
_CACHE_KEY = regex(r"CACHE")
_SESSION_KEY = regex(r"SESSION")
_DRIVERS = (
    (("QUEUE_CONNECTION", "QUEUE_DRIVER"), Purpose.QUEUE),
    (("SESSION_DRIVER", "SESSION_STORE"), Purpose.SESSION),
    (("CACHE_DRIVER", "CACHE_STORE"), Purpose.CACHE),
)
"""Variables by which Laravel, and what is made with it, says what Redis is for (laravel.com/docs, queues; session)."""
_LOCK_KEY = regex(r"(?:^|_)(?:RED)?LOCKS?(?:_|$)")
_WORKERS = {"sidekiq", "celery", "rq", "rqworker", "resque", "huey_consumer", "dramatiq", "arq", "taskiq", "saq"}
_WORKER_SCRIPT = regex(r"(?:[\w-]*[-_])?(?:celery|sidekiq|dramatiq)(?:[-_]?(?:worker|beat|entrypoint|start))*(?:\.sh)?")
"""A script that is called after what it starts: /start-celeryworker."""
_RUNNERS = {
    "poetry": "run", "uv": "run", "pipenv": "run", "pdm": "run", "hatch": "run", "bundle": "exec",
    "newrelic-admin": "run-program", "ddtrace-run": "", "opentelemetry-instrument": "",
}  # fmt: skip
"""Programs that start the one behind their verb."""


@dataclass(frozen=True, slots=True)
class Connection:
    """`client` reaches `server` by `keys` (the first is the one that names the host)."""

    client: Service
    server: Service
    kind: str
    """postgres or redis."""
    keys: tuple[str, ...]
    purposes: tuple[Purpose, ...] = ()
    """What the server is to the client; empty where it is not known."""
    app: App | None = None
    use: Use | None = None
    port: str | None = None

    @property
    def key(self) -> str:
        """The variable that names the host, "depends_on" or "command" where none does."""
        return self.keys[0]


def connections(stack: Stack) -> tuple[Connection, ...]:
    """Every connection of every service of the files, active or not; each variable once."""
    names = Names(stack)
    return tuple(c for service in stack.services if _may_connect(service) for c in _of_service(service, names))


def _may_connect(service: Service) -> bool:
    return service.role in (Role.APP, Role.UNKNOWN, Role.GRAFANA, Role.EXPORTER, Role.CLIENT, *POSTGRES_LIKE[1:])


def _of_service(service: Service, names: Names) -> Iterator[Connection]:
    app = _app(service.image)
    environment = {k: v for k, v in service.environment.items() if v}
    done: set[str] = set()
    for use in app.uses if app else ():
        done.update(use.urls, use.keys.values())
        if use.applies(service.environment):
            found = _known(service, names, use, environment)
            if found is not None:
                server, keys, port = found
                kind = _kind(use.server)
                yield Connection(service, server, kind, keys, use.purposes, app, use, port)
    generic = tuple(_generic(service, names, environment, done, app))
    yield from generic
    yield from _worker(
        service, names, environment, app, {c.server.name: c.server for c in generic if c.kind == "redis"}
    )


@lru_cache(maxsize=1024)
def _app(image: str | None) -> App | None:
    return app_of(image, catalog().apps)


def _kind(role: Role) -> str:
    return "redis" if role in REDIS_LIKE else "postgres"


def _fits(kind: str, server: Service | None) -> bool:
    return server is not None and server.role in (REDIS_LIKE if kind == "redis" else POSTGRES_LIKE)


def _known(
    service: Service, names: Names, use: Use, environment: Mapping[str, str]
) -> tuple[Service, tuple[str, ...], str | None] | None:
    """Server, variables and port of one use; None where it does not point to a service of the stack."""
    kind = _kind(use.server)
    port_key = use.keys.get("port", "")
    for key in use.urls:
        address = find_address(environment.get(key, ""))
        if key in environment:
            found = _server(service, names, kind, address)
            return (found, (key,), address.port if address else None) if found else None
    address = find_address(environment.get(use.keys.get("host", ""), ""))
    keys = tuple(k for k in (use.keys.get("host"), port_key) if k and k in environment)
    if use.text and use.host_pattern:
        match = use.host_pattern.search(environment.get(use.text, ""))
        address, keys = (Address(match[1]), (use.text,)) if match else (None, ())
    elif address is None and use.default_host and not _may_come_elsewhere(service, use):
        address, keys = Address(use.default_host), ("image",)
    if address is None or not keys:
        return None
    port = address.port or environment.get(port_key)
    found = _server(service, names, kind, Address(address.host, port))
    return (found, keys, port) if found else None


def _may_come_elsewhere(service: Service, use: Use) -> bool:
    """A file that was not read, or a variable that is passed through, may name another host."""
    names = (*use.urls, use.keys.get("host", ""))
    return bool(service.config.get("env_file")) or any(n in service.environment for n in names)


def _server(service: Service, names: Names, kind: str, address: Address | None) -> Service | None:
    if address is None:
        return None
    found = names.resolve(service, address.host, address.port or DEFAULT_PORTS[kind])
    return found if _fits(kind, found) and found is not service else None


def _generic(
    service: Service, names: Names, environment: Mapping[str, str], done: set[str], app: App | None
) -> Iterator[Connection]:
    """URLs of any variable, and host variables that name a database or a Redis of the stack."""
    for keys, address in named_hosts(environment):
        if keys[0] in done:
            continue
        for kind in (address.kind,) if address.scheme else ("postgres", "redis"):
            server = _server(service, names, kind, address) if kind else None
            if server is not None:
                # A catalog entry knows what the app uses; what else it is given says nothing.
                purposes = _purposes(keys[0], environment) if kind == "redis" and app is None else ()
                yield Connection(service, server, str(kind), keys, purposes, app, None, address.port)


def named_hosts(environment: Mapping[str, str]) -> Iterator[tuple[tuple[str, ...], Address]]:
    """Each variable that names a host: by a URL, by a connection string, or by its own name.

    With the variable that has the port where there is one; then the address has that port.
    """
    for key, value in environment.items():
        url = "://" in value
        if len(value) > 4096 or not (url or "=" in value or _HOST_KEY.search(key.upper())):
            continue
        address = find_address(value)
        if address is None:
            continue
        port_key = None if url else _port_key(key, environment)
        port = address.port or (environment.get(port_key) if port_key else None)
        yield (key, port_key) if port_key else (key,), Address(address.host, port, address.scheme)


def _port_key(key: str, environment: Mapping[str, str]) -> str | None:
    for end in _PORT_ENDS:
        if key.upper().endswith(end):
            stem = key[: len(key) - len(end)]
            for candidate in (f"{stem}PORT", f"{key}_PORT", f"{stem}port"):
                if environment.get(candidate, "").isdigit():
                    return candidate
    return None


def _purposes(key: str, environment: Mapping[str, str]) -> tuple[Purpose, ...]:
    """What a variable's own name says: `CELERY_BROKER_URL` is a queue, `CACHE_URL` a cache; else the app's drivers."""
    found = (
        (_QUEUE_KEY, Purpose.QUEUE),
        (_SESSION_KEY, Purpose.SESSION),
        (_LOCK_KEY, Purpose.LOCK),
        (_CACHE_KEY, Purpose.CACHE),
    )
    name = key.upper()
    matched = tuple(purpose for pattern, purpose in found if pattern.search(name))
    named = (Purpose.CACHE,) if Purpose.CACHE in matched else matched[:1]
    return named or tuple(
        purpose for names, purpose in _DRIVERS if any(environment.get(n, "").lower() == "redis" for n in names)
    )


def _worker(
    service: Service, names: Names, environment: Mapping[str, str], app: App | None, named: Mapping[str, Service]
) -> Iterator[Connection]:
    """A worker of a job queue that depends on, or names, exactly one Redis and no other broker."""
    if (app and any(u.server is Role.REDIS for u in app.uses if u.purposes)) or not _is_worker(service):
        return
    if any(value.startswith(("amqp://", "amqps://", "pyamqp://", "sqs://")) for value in environment.values()):
        return
    brokers = (find_address(v) for k, v in environment.items() if "BROKER" in k.upper() and "://" in v)
    if any(broker is not None and broker.kind != "redis" for broker in brokers):
        return
    depends = service.config.get("depends_on")
    wanted = [str(name) for name in depends] if isinstance(depends, (list, tuple, Mapping)) else []
    servers = [s for s in (names.resolve(service, name) for name in wanted) if s is not None]
    stores = list({s.name: s for s in (*servers, *named.values()) if s.role in REDIS_LIKE}.values())
    if len(stores) == 1 and not any("rabbitmq" in (s.image or "") for s in servers):
        yield Connection(service, stores[0], "redis", ("command",), (Purpose.QUEUE,), app)


def _is_worker(service: Service) -> bool:
    entrypoint, command = argv_of(service.config)
    for program in started([*entrypoint, *command]):
        words = _behind_runners([word.rpartition("/")[2] for word in program])
        if words[:1] == ["flower"] or "flower" in words:
            return False
        if words and (words[0] in _WORKERS or _WORKER_SCRIPT.fullmatch(words[0])):
            return True
        if "manage.py" in words and any(w in ("rqworker", "run_huey", "rundramatiq") for w in words):
            return True
        if words[:1] == ["php"] and _is_laravel(words, service.environment):
            return True
    return False


def _behind_runners(words: list[str]) -> list[str]:
    """`./wait-for-it.sh redis:6379 -- poetry run celery …`: from `celery` on."""
    words = words[words.index("--") + 1 :] if "--" in words else words
    while words:
        verb = _RUNNERS.get(words[0])
        if verb is None:
            return words[2:] if _is_module(words) else words
        words = words[words.index(verb) + 1 :] if verb in words else words[1:]
    return words


def _is_laravel(words: list[str], environment: Mapping[str, str | None]) -> bool:
    """Horizon, or a worker of a queue that neither its argument nor the environment puts elsewhere."""
    if "horizon" in words:
        return True
    verb = next((i for i, w in enumerate(words) if w in ("queue:work", "queue:listen")), None)
    if verb is None:
        return False
    named = next((w for w in words[verb + 1 : verb + 2] if not w.startswith("-")), None)
    told = named or environment.get("QUEUE_CONNECTION") or environment.get("QUEUE_DRIVER") or "redis"
    return told == "redis"


def _is_module(words: list[str]) -> bool:
    """`python -m celery …`"""
    return len(words) > 2 and words[0].startswith("python") and words[1] == "-m"


@dataclass(frozen=True, slots=True)
class Rewrite:
    """New source texts of variables; `refused` names the variable whose text does not show its host."""

    values: Mapping[str, str]
    refused: str | None = None


def rewrite(connection: Connection, source: Mapping[str, str], host: str, port: int) -> Rewrite:
    """The client's variables, pointed to another host and port.

    `source` are the variables as they are written (before interpolation): what they interpolate stays so, and no
    secret is copied. One that is only a host's name may be written elsewhere (an env_file, the caller's environment).
    A port that stands in a variable of its own, or that must be added, is part of the result.
    """
    key, use = connection.key, connection.use
    text = source.get(key, _bare_host(connection))
    if text is None:
        return Rewrite({}, key)
    default = int(DEFAULT_PORTS[connection.kind])
    split = (use.keys.get("port") if use and key == use.keys.get("host") else None) or (
        connection.keys[1] if len(connection.keys) > 1 else None
    )
    if use and key == use.text and use.host_pattern:
        return _rewrite_text(use, key, text, host, port == default)
    if shape(text) != shape(connection.client.environment.get(key) or text):
        # The whole URL is one `${…}`: where its host stands is not in this text.
        return Rewrite({}, key)
    new = replace_address(text, host, port, default_port=default, with_port=split is None)
    if new is None:
        return Rewrite({}, key)
    values = {key: new}
    known = split in source or bool(split and connection.client.environment.get(split))
    if split and (known or port != default) and not _has_port(text):
        values[split] = str(port)
    return Rewrite(values)


def _bare_host(connection: Connection) -> str | None:
    """The host's name, where the variable says nothing else: the override's `environment` beats where it came from.

    None for all that could hold more: a URL of an env_file would take its password along into the override.
    """
    value = connection.client.environment.get(connection.key) or ""
    return value if connection.key not in _NO_VARIABLE and _BARE_HOST.fullmatch(value) else None


def _has_port(text: str) -> bool:
    address = find_address(text)
    return address is not None and address.port is not None


def _rewrite_text(use: Use, key: str, text: str, host: str, same_port: bool) -> Rewrite:
    """A host inside a longer text; another port would need a line that may not be there."""
    match = use.host_pattern.search(text) if use.host_pattern else None
    if match is None or not same_port:
        return Rewrite({}, key)
    return Rewrite({key: text[: match.start(1)] + host + text[match.end(1) :]})
