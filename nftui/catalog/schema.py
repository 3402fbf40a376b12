"""The shape of the catalog's data, and the check that a file has it. data/README.md explains every key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from nftui.catalog.apps import App
from nftui.model.dataclass import dataclass
from nftui.model.errors import UsageError
from nftui.model.message import msg
from nftui.model.stack import Role

if TYPE_CHECKING:
    from nftui.catalog.repositories import Repository


class CatalogError(UsageError):
    """A catalog file that cannot be used: names the file and the key."""

    def __init__(self, file: str, key: str, what: str) -> None:
        super().__init__(msg("catalog file {file}: {key}: {what}", file=file, key=key or "the file", what=what))


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """A check that works with what the image holds; `$` is not doubled."""

    test: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class DataPath:
    """Where the image keeps data, for versions from `since` to `until` (both included; None = no bound)."""

    path: str
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Bundle:
    """Another server inside the image, unless its environment matches `unless` or its tag lacks `tag`."""

    role: Role
    unless: re.Pattern[str] | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of image."""

    id: str
    role: Role
    source: str
    images: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    official: bool = False
    version: re.Pattern[str] | None = None
    version_in: str = "tag"
    entrypoint: tuple[str, ...] = ()
    hint_needed: bool = False
    prefixes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    reads_since: Mapping[str, str] = field(default_factory=dict)
    reads_until: Mapping[str, str] = field(default_factory=dict)
    """Names that only some versions read; one that stands in both is read between them."""
    fold: bool = False
    env_known: bool = False
    """Whether `reads` is the whole truth, so that other names with the prefix are inert."""
    data: tuple[DataPath, ...] = ()
    ports: tuple[int, ...] = ()
    healthchecks: tuple[Healthcheck, ...] = ()
    bundles: tuple[Bundle, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """All families in the order in which they are tried, and the command-line and other evidence."""

    families: tuple[Family, ...] = ()
    servers: Mapping[str, Role] = field(default_factory=dict)
    clients: frozenset[str] = frozenset()
    idle: frozenset[str] = frozenset()
    systems: frozenset[str] = frozenset()
    """Official images of a bare system: they serve nothing that their command does not name."""
    ports: Mapping[int, Role] = field(default_factory=dict)
    data: Mapping[str, Role] = field(default_factory=dict)
    env: Mapping[str, Role] = field(default_factory=dict)
    health: Mapping[str, Role] = field(default_factory=dict)
    repositories: tuple[Repository, ...] = ()
    """What is known of repositories beside roles; those of the operator first."""
    apps: tuple[App, ...] = ()


class Reader:
    """Reads one mapping of a file and complains with file and key."""

    def __init__(self, file: str, where: str, value: object) -> None:
        self.file, self.where = file, where
        if not isinstance(value, Mapping):
            raise CatalogError(file, where, "must be a mapping")
        self.value: Mapping[object, object] = value

    def fail(self, key: str, what: str) -> CatalogError:
        """The error for one key."""
        return CatalogError(self.file, f"{self.where}.{key}".strip("."), what)

    def only(self, *known: str) -> None:
        """Refuse every key that is not known."""
        for key in self.value:
            if key not in known:
                raise self.fail(str(key), "unknown key")

    def text(self, key: str, default: str | None = None) -> str:
        """A text; required where there is no default."""
        value = self.value.get(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self.fail(key, "must be a text")
        return value

    def flag(self, key: str) -> bool:
        """True or false; false where absent."""
        value = self.value.get(key, False)
        if not isinstance(value, bool):
            raise self.fail(key, "must be true or false")
        return value

    def texts(self, key: str, *, blank: bool = False) -> tuple[str, ...]:
        """A list of texts, a blank one only where that means something; empty where absent."""
        value = self.value.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and (item or blank) for item in value):
            raise self.fail(key, "must be a list of texts (put numbers and yes/no in quotes)")
        return tuple(value)

    def items(self, key: str) -> list[object]:
        """A list of anything; empty where absent."""
        value = self.value.get(key, [])
        if not isinstance(value, list):
            raise self.fail(key, "must be a list")
        return value

    def pattern(self, key: str) -> re.Pattern[str] | None:
        """A regular expression, None where absent."""
        text = self.text(key, "")
        try:
            return re.compile(text) if text else None
        except re.error as error:
            raise self.fail(key, f"is not a regular expression: {error}") from error

    def role(self, key: str) -> Role:
        """A role of cli.md."""
        return to_role(self.file, f"{self.where}.{key}", self.value.get(key))

    def choice(self, key: str) -> bool | None:
        """True, false, or None where absent."""
        return self.flag(key) if key in self.value else None

    def child(self, key: str, number: int, value: object) -> Reader:
        """A mapping in the list under `key`."""
        return Reader(self.file, f"{self.where}.{key}[{number}]".strip("."), value)

    def part(self, key: str) -> Reader:
        """A mapping below; empty where absent."""
        return Reader(self.file, f"{self.where}.{key}".strip("."), self.value.get(key, {}))


def to_role(file: str, key: str, value: object) -> Role:
    """The role called `value`."""
    try:
        return Role(str(value))
    except ValueError:
        raise CatalogError(file, key, f"{value!r} is not a role; known: {', '.join(Role)}") from None


_FAMILY_KEYS = (
    "id", "role", "images", "names", "official", "version", "version_in", "entrypoint", "hint_needed", "source", "env",
    "data", "ports", "healthchecks", "bundles",
)  # fmt: skip


def read_family(file: str, number: int, value: object) -> Family:
    """One entry of `families`."""
    entry = Reader(file, f"families[{number}]", value)
    entry.only(*_FAMILY_KEYS)
    env = entry.part("env")
    env.only("prefixes", "reads", "since", "until", "fold")
    if not entry.texts("images") and not entry.texts("names"):
        raise entry.fail("images", "an image or a name is needed")
    if entry.text("version_in", "tag") not in ("tag", "name"):
        raise entry.fail("version_in", "must be tag or name")
    return Family(
        id=entry.text("id"),
        role=entry.role("role"),
        source=entry.text("source"),
        images=entry.texts("images"),
        names=entry.texts("names"),
        official=entry.flag("official"),
        version=entry.pattern("version"),
        version_in=entry.text("version_in", "tag"),
        entrypoint=entry.texts("entrypoint"),
        hint_needed=entry.flag("hint_needed"),
        prefixes=env.texts("prefixes"),
        reads=env.texts("reads"),
        reads_since=_versions(env, "since"),
        reads_until=_versions(env, "until"),
        fold=env.flag("fold"),
        env_known="env" in entry.value,
        data=tuple(_data(entry, n, item) for n, item in enumerate(entry.items("data"))),
        ports=tuple(read_port(entry, item) for item in entry.items("ports")),
        healthchecks=tuple(_health(entry, n, item) for n, item in enumerate(entry.items("healthchecks"))),
        bundles=tuple(_bundle(entry, n, item) for n, item in enumerate(entry.items("bundles"))),
    )


def _versions(env: Reader, key: str) -> dict[str, str]:
    """Names of variables, each with a version."""
    found = env.part(key).value
    if not all(isinstance(v, str) for v in found.values()):
        raise env.fail(key, "must map names to versions in quotes")
    return {str(name): str(version) for name, version in found.items()}


def _data(entry: Reader, number: int, value: object) -> DataPath:
    item = Reader(entry.file, f"{entry.where}.data[{number}]", value)
    item.only("path", "since", "until")
    return DataPath(item.text("path"), item.text("since", "") or None, item.text("until", "") or None)


def read_port(entry: Reader, value: object) -> int:
    """A port's number."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 65536:
        raise entry.fail("ports", f"{value!r} is not a port")
    return value


def _health(entry: Reader, number: int, value: object) -> Healthcheck:
    item = Reader(entry.file, f"{entry.where}.healthchecks[{number}]", value)
    item.only("test", "source")
    return Healthcheck(item.texts("test"), item.text("source"))


def _bundle(entry: Reader, number: int, value: object) -> Bundle:
    item = Reader(entry.file, f"{entry.where}.bundles[{number}]", value)
    item.only("role", "unless", "tag")
    return Bundle(item.role("role"), item.pattern("unless"), item.text("tag", "") or None)
