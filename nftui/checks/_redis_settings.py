"""A Redis service's settings as its files give them: the command, a configuration, the image's own variables.

`known` is false where something could not be read: then a setting that is absent here is not known to be absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from nftui.catalog.lookup import families_of
from nftui.catalog.mounted import mounted
from nftui.catalog.programs import argv_of, base_name, split_words, started
from nftui.catalog.references import parse_reference
from nftui.catalog.savepoints import drops_save
from nftui.checks._common import at_argument
from nftui.engine.evidence import at, at_option
from nftui.model.dataclass import dataclass
from nftui.model.findings import Evidence
from nftui.model.patterns import regex
from nftui.model.stack import Role

if TYPE_CHECKING:
    from nftui.catalog.mounted import Mounted
    from nftui.model.stack import Service, Stack

SERVERS = ("redis-server", "valkey-server", "keydb-server", "redis-stack-server", "dragonfly")
_CONFIGURED = ("redis-official", "valkey-official", "redis-stack", "keydb", "dragonfly", "bitnami-redis",
               "bitnami-valkey")  # fmt: skip
_OWN_FILES = (("keydb", "/etc/keydb/keydb.conf"),)
"""Configurations that images bring, which set nothing that is asked for here (KeyDB's Dockerfile and keydb.conf)."""
_OPTION = regex(r"--[A-Za-z][\w-]*")
_RUN = regex(r"/opt/bitnami/scripts/(?:redis|valkey)/run\.sh")
"""What Bitnami's images start by themselves; its arguments go to the server."""
_BLANK_NUMBER = regex(r"-\d")


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's arguments, and where they stand; several `save` lines are one value."""

    words: tuple[str, ...]
    evidence: Evidence

    @property
    def text(self) -> str:
        """The arguments as one text."""
        return " ".join(self.words)


@dataclass(slots=True)
class Settings:
    """Lower-case setting to its last value."""

    family: str | None
    values: dict[str, Value] = field(default_factory=dict)
    known: bool = True
    missing: list[str] = field(default_factory=list)
    """Options of the command without any argument."""

    def text(self, name: str, default: str | None = None) -> str | None:
        """The value of `name`; `default` where it is known not to be set, None where it is not known."""
        if name in self.values:
            return self.values[name].text
        if name in self.missing:
            # Without a value `--save` is `--save ""` (redis#10660); of any other one the value comes from elsewhere.
            return "" if name == "save" else None
        return default if self.known else None

    def put(self, name: str, words: tuple[str, ...], evidence: Evidence) -> None:
        """Set, as the server does: the last wins, save lines add up until an empty one clears them."""
        name = name.lower()
        before = self.values.get(name)
        if name == "save" and before is not None and words not in ((), ("",)) and before.text.strip():
            words, evidence = (*before.words, *words), before.evidence
        self.values[name] = Value(words, evidence)


def read_settings(stack: Stack, service: Service) -> Settings:
    """The settings of a service of role redis, keydb or dragonfly. Never raises."""
    settings = Settings(_family(service))
    if settings.family not in _CONFIGURED or service.config.get("build"):
        # An image of its own may carry any configuration.
        settings.known = False
    if settings.family in ("bitnami-redis", "bitnami-valkey"):
        _bitnami(stack, service, settings)
        return settings
    arguments = _arguments(service)
    if arguments is None:
        settings.known = False
        return settings
    _image_variables(stack, service, settings)
    loses_default = bool(arguments) and settings.family == "redis-official" and drops_save(service.version)
    if arguments and not arguments[0].startswith("-"):
        found = mounted(stack, service, arguments[0])
        if found is not None or (settings.family, arguments[0]) not in _OWN_FILES:
            _configuration(settings, found, service)
        arguments = arguments[1:]
    if settings.family == "redis-stack":
        # Its start script takes a mounted /redis-stack.conf; the one of the image sets no limits.
        found = mounted(stack, service, "/redis-stack.conf")
        if found is not None:
            _configuration(settings, found, service)
    _put_arguments(settings, arguments, service)
    # A lone `-`: it reads a configuration from its standard input.
    settings.known = settings.known and "include" not in settings.values and "-" not in arguments
    if loses_default and "save" not in settings.values:
        shown = at(service, "save", "command", '"" (before 6.2 any argument takes the default away)')
        settings.values["save"] = Value(("",), shown)
    return settings


def _family(service: Service) -> str | None:
    reference = parse_reference(service.image or "")
    return next((family.id for family in families_of(reference) if not family.hint_needed), None)


def _arguments(service: Service) -> list[str] | None:
    """The server's arguments; None where the command does not show them."""
    entrypoint, command = _argv(service)
    words = [*entrypoint, *command]
    if not words:
        return []
    if not entrypoint and (words[0].startswith("-") or words[0].endswith(".conf")):
        return words
    programs = [p for p in started(words) if p[0] in SERVERS]
    if programs:
        return list(programs[-1][1:])
    if entrypoint and base_name(entrypoint[-1]) in ("docker-entrypoint.sh", *SERVERS, "tini"):
        return command[1:] if command and base_name(command[0]) in SERVERS else command
    programs = [p for p in started(words) if p[0].startswith("docker-entrypoint")]
    return list(programs[-1][1:]) if programs else None


def _argv(service: Service) -> tuple[list[str], list[str]]:
    """Entrypoint and command; of what is built here, the Dockerfile's CMD where the service has neither."""
    entrypoint, command = argv_of(service.config)
    return entrypoint, command if entrypoint or command else list(service.command or ())


def _image_variables(stack: Stack, service: Service, settings: Settings) -> None:
    for name in ("REDIS_ARGS", "VALKEY_EXTRA_FLAGS"):
        read_by = {"REDIS_ARGS": "redis-stack", "VALKEY_EXTRA_FLAGS": "valkey-official"}[name]
        text = service.environment.get(name)
        if text and settings.family == read_by:
            _put_arguments(settings, split_words(text), service, f"environment.{name}", name)
    for name, text in service.environment.items() if settings.family == "dragonfly" else ():
        if name.startswith("DFLY_") and text:
            flag = name.removeprefix("DFLY_").replace("_", "-")
            settings.put(flag, (text,), at(service, name, f"environment.{name}", _shown(flag, text)))


def _put_arguments(
    settings: Settings, words: Iterable[str], service: Service, place: str = "", shown: str | None = None
) -> None:
    """`--name value value` pairs; a word that is no option belongs to the option before it.

    They stand at `place`; "" is the program's own arguments.
    """
    name, values = "", list[str]()

    def finish() -> None:
        if name and not values:
            settings.missing.append(name)
        elif name:
            text = _shown(name, " ".join(values))
            key, text = (shown, f"--{name} {text}") if shown else (f"--{name}", text)
            given = at_option(service, key, place, name, text) if place else at_argument(service, key, name, text)
            settings.put(name, tuple(values), given)

    for word in words:
        if _OPTION.match(word) and not _BLANK_NUMBER.match(word):
            finish()
            option, equals, value = word[2:].partition("=")
            name, values = option.replace("_", "-") if settings.family == "dragonfly" else option, []
            if equals or settings.family == "dragonfly":
                values = [value] if equals else ["true"]
            elif " " in option:
                name, *values = option.split()
        elif name:
            values.append(word)
    finish()


def _shown(name: str, text: str) -> str:
    """Evidence never holds a password."""
    return "••••••" if name.lower() in ("requirepass", "masterauth", "masteruser", "user") and text else text


def _configuration(settings: Settings, found: Mounted | None, service: Service) -> None:
    """A redis.conf; one that is not there or includes others leaves things open."""
    if found is None or found.text is None:
        settings.known = False
        return
    for number, line in enumerate(found.text.splitlines(), start=1):
        words = split_words(line) if line.strip() and not line.lstrip().startswith("#") else []
        if not words:
            continue
        if words[0].lower() in ("include", "loadmodule"):
            settings.known = settings.known and words[0].lower() != "include"
            continue
        shown = _shown(words[0], " ".join(words[1:]))
        settings.put(words[0], tuple(words[1:]), Evidence(words[0], shown, found.path, number if found.path else None))


def _bitnami(stack: Stack, service: Service, settings: Settings) -> None:
    """Bitnami's scripts: AOF on and the server's own snapshots by default, extra flags, a password by variable."""
    environment: Mapping[str, str | None] = service.environment
    prefix = "VALKEY" if settings.family == "bitnami-valkey" else "REDIS"
    home = f"/opt/bitnami/{prefix.lower()}/mounted-etc"
    overrides = f"{home}/overrides.conf"
    entrypoint, command = _argv(service)
    runs = not command or _RUN.fullmatch(command[0]) is not None
    others = [m.target.rstrip("/") for m in service.mounts if m.target.startswith("/opt/")]
    if entrypoint or not runs or any("/redis/" in t or "/valkey/" in t for t in others if t not in (home, overrides)):
        settings.known = False
    aof = environment.get(f"{prefix}_AOF_ENABLED")
    key = f"{prefix}_AOF_ENABLED"
    settings.put("appendonly", (aof or "yes",), at(service, key, f"environment.{key}", aof))
    _snapshots(service, settings, prefix)
    password = f"{prefix}_PASSWORD"
    if environment.get(password) or environment.get(f"{password}_FILE"):
        settings.put("requirepass", ("set",), at(service, password, f"environment.{password}", "••••••"))
    own = mounted(stack, service, f"{home}/{prefix.lower()}.conf")
    if own is not None and own.text is not None:
        settings.known = False
    elif not {home, overrides}.isdisjoint(others):
        # Included at the end of the configuration (bitnami/containers, libredis.sh redis_append_include_conf).
        _configuration(settings, mounted(stack, service, overrides), service)
    key = f"{prefix}_EXTRA_FLAGS"
    _put_arguments(settings, split_words(environment.get(key) or ""), service, f"environment.{key}", key)
    _put_arguments(settings, command[1:] if runs else (), service)


def _snapshots(service: Service, settings: Settings, prefix: str) -> None:
    """Bitnami's variables for save points, as 900#1 for `save 900 1`; none at all only where that is asked for."""
    policy, off = f"{prefix}_RDB_POLICY", f"{prefix}_RDB_POLICY_DISABLED"
    points, disabled = service.environment.get(policy), (service.environment.get(off) or "").lower()
    if points:
        place = at(service, policy, f"environment.{policy}", points)
        settings.put("save", tuple(points.replace("#", " ").split()), place)
    elif disabled in ("yes", "true", "1"):
        settings.put("save", ("",), at(service, off, f"environment.{off}", disabled))


def is_like_redis(role: Role) -> bool:
    """Servers whose settings have Redis's names."""
    return role in (Role.REDIS, Role.KEYDB)
