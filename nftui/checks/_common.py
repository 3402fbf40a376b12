"""What several checks ask of a stack; no check itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from nftui.catalog import repositories_of, restart_policy
from nftui.catalog.dockerfile import dockerfile
from nftui.catalog.mounted import mounted
from nftui.catalog.programs import argv_of, base_name, started
from nftui.catalog.references import parse_reference
from nftui.engine.built import as_image
from nftui.engine.evidence import at_option
from nftui.engine.given import written_names
from nftui.model.patterns import regex
from nftui.model.stack import Role

if TYPE_CHECKING:
    from nftui.catalog.mounted import Mounted
    from nftui.model.facts import Facts
    from nftui.model.findings import Evidence
    from nftui.model.stack import Port, Service, Stack

COMPOSE = "compose specification"
STORES = frozenset({
    Role.POSTGRES, Role.PGBOUNCER, Role.POOLER, Role.REDIS, Role.KEYDB, Role.DRAGONFLY, Role.MEMCACHED, Role.QDRANT,
    Role.MYSQL, Role.CLICKHOUSE,
})  # fmt: skip
"""Roles that hold data, or lead straight to it."""
KEEPERS = frozenset({Role.POSTGRES, Role.REDIS, Role.KEYDB, Role.QDRANT, Role.OLLAMA, Role.MYSQL, Role.CLICKHOUSE})
"""Roles whose data lies on disk and is read all the time."""
_TASK = regex(
    r"(?<![a-z])(init|migrat\w*|setup|seed\w*|bootstrap|install|create[-_]?\w*|provision\w*|import|export|pull|preload|"
    r"wait|backup|restore|dump|test|tests|e2e|upgrade|fix[-_]perm\w*|chown|permissions|prepare|one[-_]?shot|job)(?![a-z])"
)

_TOOLS = frozenset({"mc", "curl", "aws-cli", "kubectl", "helm"})
"""Images of a command-line tool: what it runs ends, unless it is made to go on."""
_ENDING = frozenset(
    "echo printf true mkdir cp mv rm ls ln cat touch chown chmod tar curl mc".split()  # noqa: SIM905
)
"""Programs that do one thing."""
_BY_HAND = regex(r"(?:^|[-_])(?:cli|wpcli|composer|artisan)$")
"""Services that are there for `docker compose run`."""
_TELLS = frozenset({"-v", "-V", "--version", "--help", "-h", "version", "help"})
"""Arguments by which a program says what it is, and ends."""
_LOOPS = regex(r"\b(?:while|until|for \(\(;;|watch|sleep (?:inf|\d{4,})|tail -[fF]|crond?)\b|--watch|mirror -w")

_WAITER = regex(r"wait[-_]?for|^wait\b|dockerize|wait4x")
_WAITED = regex(r"(?:\S*/)?(?:wait[-_]?for|dockerize|wait4x)[^;&]*?(?:\s--\s|&&|;)")

_ROUTES = regex(r"traefik\.(?:http|tcp|udp)\.|caddy(?:$|[._])")
_STAYS = regex(
    r"(?<![a-z])(worker|server|scheduler|consumer|daemon)(?![a-z])"
    r"(?!.*(?:init|setup|migrate|migration|migrator|seed|install|wait|backup|create\w*|job|permissions?)$)"
)
_SERVES = frozenset({"server", "serve", "worker", "runserver", "start-worker", "daemon"})
_SERVERS = frozenset(
    "mongod mongos etcd nginx httpd apache2-foreground caddy traefik haproxy php-fpm gunicorn uvicorn hypercorn daphne "  # noqa: SIM905
    "puma celery sidekiq supervisord memcached rabbitmq-server".split()
)
"""Programs that serve until they are stopped, whatever their policy says."""
_HEALTHCHECK = regex(r"(?im)^[ \t]*HEALTHCHECK[ \t]+(?![ \t]|NONE\b)")
_TEMPLATE = regex(r"(?:^|[-_])(?:base|common|template|defaults?|shared)$")


def mapping(value: object) -> Mapping[str, object]:
    """The value where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[object]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, (list, tuple)) else ()


def is_handed_on(facts: Facts, service: Service, name: str) -> bool:
    """Of an env_file that is the project's `.env` too: a variable that the Compose files themselves use."""
    if name in written_names(service):
        return False
    used = re.compile(rf"\$\{{?{re.escape(name)}\b")
    return any(used.search(str(value)) for s in facts.stack.services for value in s.raw.values())


def starts_with(facts: Facts, service: Service, pattern: re.Pattern[str]) -> bool:
    """The command, or a mounted file that it names, says something of it; True where that one cannot be read."""
    if pattern.search(" ".join((*(service.entrypoint or ()), *(service.command or ())))):
        return True
    return any(file.text is None or pattern.search(file.text) for file in named_files(facts, service))


def named_files(facts: Facts, service: Service) -> Iterator[Mounted]:
    """Mounted files that the command names: scripts, configurations."""
    for word in (*(service.entrypoint or ()), *(service.command or ())):
        path = word.rpartition("=")[2]
        found = mounted(facts.stack, service, path) if path.startswith("/") else None
        if found is not None:
            yield found


def is_store(service: Service) -> bool:
    """A database, a cache, a queue or a pooler before one."""
    if service.role in STORES:
        return True
    known = service.role in (Role.APP, Role.UNKNOWN) and service.image
    return bool(known) and any(r.store for r in repositories_of(service.image or ""))


def is_broker(service: Service) -> bool:
    """No store by its role, yet a server that is started some time before it answers."""
    known = service.role is Role.APP and service.image
    return bool(known) and any(r.late for r in repositories_of(service.image or ""))


def dependents(facts: Facts) -> dict[str, list[tuple[Service, str]]]:
    """Service to those that wait for it, each with the condition."""
    found: dict[str, list[tuple[Service, str]]] = {}
    for service in facts.stack.services:
        depends = service.config.get("depends_on")
        for name, wanted in mapping(depends).items():
            condition = str(mapping(wanted).get("condition") or "service_started")
            found.setdefault(name, []).append((service, condition))
        for listed in sequence(depends):
            found.setdefault(str(listed), []).append((service, "service_started"))
    return found


def lasting(facts: Facts) -> Iterator[Service]:
    """Services that are there to stay: no clients, no tasks that end, none that is scaled to zero."""
    ending = {
        name
        for name, others in dependents(facts).items()
        if any(condition == "service_completed_successfully" for _, condition in others)
    }
    for service in facts.stack.services:
        gone = service.role in (Role.CLIENT, Role.UNKNOWN) or service.name in ending or service.scale == 0
        ends = service.role is Role.APP and (is_task(service) or is_template(facts.stack, service))
        if not gone and not ends:
            yield service


def is_template(stack: Stack, service: Service) -> bool:
    """A service that is there only for others to be made of by an anchor or `extends`: it says nothing of its own."""
    if not service.active and any(_TEMPLATE.search(profile.lower()) for profile in service.profiles):
        return True
    says = ("command", "entrypoint", "ports", "expose", "healthcheck", "restart")
    if not _TEMPLATE.search(service.name.lower()) or any(service.config.get(key) for key in says):
        return False
    return any(o is not service and o.image == service.image for o in stack.services)


def is_task(service: Service) -> bool:
    """A program that does one thing and ends, or that people start by hand, by all that the service says."""
    config = service.config
    words = _behind_wait((*(service.entrypoint or ()), *(service.command or ())))
    programs = [p[0] for p in started([w for part in argv_of(config) for w in part])]
    if not _SERVERS.isdisjoint(programs) or (not words and (is_store(service) or is_broker(service))):
        return False
    restart = restart_policy(config)
    if service.restart in ("no", "false"):
        return True
    # `minio server /data` and `appwrite-worker-migrations` are there to stay, whatever else they are called.
    if _STAYS.search(service.name.lower()) or any(w in _SERVES for w in words):
        return False
    # `on-failure` keeps servers up as well: a task has its own command, and nobody speaks to it.
    if (restart or "").startswith("on-failure") and (service.command or service.entrypoint):
        return not any(config.get(key) for key in ("ports", "expose", "healthcheck"))
    by_hand = (config.get("stdin_open") or config.get("tty")) and restart is None
    if by_hand and not (service.ports or _is_routed_to(service)):
        return True
    if service.ports or mapping(config.get("healthcheck")).get("test"):
        return False
    # A policy by which the engine starts it again whenever it ends: `docker-bootstrap.sh beat` is no task.
    if restart in ("always", "unless-stopped"):
        return False
    if restart == "no":
        return True
    ends = parse_reference(service.image or "").name in _TOOLS or (programs and _ENDING.issuperset(programs))
    if ends and not _LOOPS.search(" ".join(words)):
        return True
    told = [w for w in words if w]
    if _BY_HAND.search(service.name.lower()) or (len(told) > 1 and _TELLS.issuperset(told[1:])):
        return True
    # The first word is the program; a later one with a slash is a path: `server /export` serves.
    named = [service.name, *(w.rpartition("/")[2] for w in words[:1]), *(w for w in words[1:] if "/" not in w)]
    # Of a profile that is not in use it is started by hand; one that is, as in COMPOSE_PROFILES, starts with the rest.
    aside = bool(service.profiles) and not service.active and not restart
    return aside or bool(_TASK.search(" ".join(named).lower()))


def _behind_wait(words: tuple[str, ...]) -> tuple[str, ...]:
    """What is started once others answer: `wait-for-it.sh db:5432 -- serve`, in words or in a script."""
    if "--" in words and _WAITER.search(base_name(words[0])):
        return words[words.index("--") + 1 :]
    return tuple(_WAITED.sub("", word) for word in words)


def _is_routed_to(service: Service) -> bool:
    """A proxy sends requests to it: by Traefik's or Caddy's labels, or nginx-proxy's variable."""
    labels = mapping(service.config.get("labels"))
    return any(_ROUTES.match(label) for label in labels) or bool(service.environment.get("VIRTUAL_HOST"))


def at_argument(service: Service, key: str, name: str, value: str | None = None) -> Evidence:
    """Evidence for the option `name` of its program: what the command has not is the entrypoint's."""
    commanded = name in " ".join(service.command or ()) or name not in " ".join(service.entrypoint or ())
    return at_option(service, key, "command" if commanded else "entrypoint", name, value)


def is_everywhere(port: Port) -> bool:
    """Published on every interface, by IPv4 or IPv6."""
    return (port.host_ip or "").strip("[]") in ("", "0.0.0.0", "::", "0:0:0:0:0:0:0:0")  # noqa: S104


def health_test(service: Service) -> tuple[str, ...]:
    """The declared check as words, ("CMD-SHELL", …) or ("CMD", …); () where there is none or it is switched off."""
    check = mapping(service.config.get("healthcheck"))
    test = check.get("test")
    if check.get("disable") or not test:
        return ()
    words = ("CMD-SHELL", test) if isinstance(test, str) else tuple(str(w) for w in sequence(test))
    return () if not words or words[0] == "NONE" else words


def has_healthcheck(stack: Stack, service: Service) -> bool:
    """Whether it can say that it is ready, by its own check or by the image's; True where that is not known."""
    if health_test(service):
        return True
    check = mapping(service.config.get("healthcheck"))
    if check.get("disable") or check.get("test"):
        return False
    running = service.running
    if running is not None:
        return running.health is not None
    if service.config.get("build"):
        return _is_checked_by_build(stack, service)
    repositories = repositories_of(service.image or "")
    unknown = service.role in (Role.APP, Role.UNKNOWN) and not is_store(service) and not is_broker(service)
    unknown = unknown and not any(r.no_healthcheck for r in repositories)
    return unknown or any(r.own_healthcheck for r in repositories)


def _is_checked_by_build(stack: Stack, service: Service) -> bool:
    """By its Dockerfile, or by the image that this begins with; True where it is not here or that is not known."""
    based = as_image(stack, service)
    own = based is None or bool(_HEALTHCHECK.search(dockerfile(service.config, stack.invocation.directory)[0] or ""))
    return own or any(r.own_healthcheck for r in repositories_of(based.image or "" if based else ""))
