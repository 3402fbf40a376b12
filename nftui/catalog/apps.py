"""Known applications: how each reaches PostgreSQL and Redis, what Redis is to it, and what it tolerates.

The data is `apps` of the catalog's files; data/README.md explains every key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from nftui.catalog.globs import matches
from nftui.catalog.references import parse_reference
from nftui.model.dataclass import dataclass
from nftui.model.stack import Role

if TYPE_CHECKING:
    from nftui.catalog.schema import Reader


E = TypeVar("E", bound=StrEnum)


class Purpose(StrEnum):
    """What an application keeps in a Redis; only a cache may lose keys."""

    QUEUE = "queue"
    SESSION = "session"
    LOCK = "lock"
    CACHE = "cache"


class Pooling(StrEnum):
    """The strongest pooling mode under which the application is known to work; NONE: it must stay direct."""

    TRANSACTION = "transaction"
    SESSION = "session"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """How an application is told of a Redis Cluster, or of Sentinels."""

    nodes: str
    """The variable that lists the nodes, or the Sentinels."""
    json: bool = False
    """Whether as JSON: nodes as a list of {"host", "port"}, Sentinels of [host, port]; else host:port with commas."""
    password: str | None = None
    """A variable of its own for the password. None: of a cluster the ordinary one holds it; to Sentinels none is
    said."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """Variables that must have a value beside."""
    master: str | None = None
    """Of Sentinels: the variable that says which master."""
    over_url: bool = False
    """Of Sentinels: whether they count also where a URL is set."""


@dataclass(frozen=True, slots=True)
class Use:
    """One way in which an application reaches a server; None and empty mean: not known."""

    server: Role
    source: str
    checked: bool = True
    """False where the source was not read again when the entry was made."""
    urls: tuple[str, ...] = ()
    """Variables that hold a URL or a connection string; the first that is set counts."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """host, port, database, user, password to the variable that holds it. A host may carry ":port"."""
    default_host: str | None = None
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Variables that must have one of these values (without regard to case; "": not set), else it is not used."""
    text: str | None = None
    """A variable whose text names the host; `host_pattern` finds it (one group)."""
    host_pattern: re.Pattern[str] | None = None
    purposes: tuple[Purpose, ...] = ()
    pooling: Pooling | None = None
    cluster: bool | None = None
    cluster_keys: NodeKeys | None = None
    sentinel: bool | None = None
    sentinel_keys: NodeKeys | None = None
    pool_size: str | None = None
    pool_overflow: str | None = None

    def applies(self, environment: Mapping[str, str | None]) -> bool:
        """Whether the application uses the server at all with this environment."""
        return all((environment.get(name) or "").lower() in values for name, values in self.when.items())


@dataclass(frozen=True, slots=True)
class App:
    """An application, by its images."""

    id: str
    images: tuple[str, ...]
    uses: tuple[Use, ...]


def app_of(image: str | None, apps: tuple[App, ...]) -> App | None:
    """The first application whose patterns fit the image's repository."""
    if not image:
        return None
    repository = parse_reference(image).repository
    for app in apps:
        if any(matches(repository, p) or matches("/" + repository, p) for p in app.images):
            return app
    return None


_USE_KEYS = (
    "server", "source", "checked", "url", "keys", "default_host", "when", "text", "host_pattern", "purposes",
    "pooling", "cluster", "cluster_keys", "sentinel", "sentinel_keys", "pool_size", "pool_overflow",
)  # fmt: skip
_PARTS = ("host", "port", "database", "user", "password")


def read_app(entry: Reader) -> App:
    """One entry of `apps`. Raises CatalogError."""
    entry.only("id", "images", "uses")
    images = entry.texts("images")
    if not images:
        raise entry.fail("images", "an image is needed")
    uses = tuple(_use(entry.child("uses", n, item)) for n, item in enumerate(entry.items("uses")))
    return App(entry.text("id"), images, uses)


def _use(entry: Reader) -> Use:
    entry.only(*_USE_KEYS)
    keys = entry.part("keys")
    keys.only(*_PARTS)
    return Use(
        server=entry.role("server"),
        source=entry.text("source"),
        checked=entry.choice("checked") is not False,
        urls=entry.texts("url"),
        keys={name: keys.text(name) for name in _PARTS if name in keys.value},
        default_host=entry.text("default_host", "") or None,
        when={str(name): entry.part("when").texts(str(name), blank=True) for name in entry.part("when").value},
        text=entry.text("text", "") or None,
        host_pattern=entry.pattern("host_pattern"),
        purposes=tuple(_member(entry, "purposes", Purpose, p) for p in entry.texts("purposes")),
        pooling=_member(entry, "pooling", Pooling, entry.text("pooling", "")) if "pooling" in entry.value else None,
        cluster=entry.choice("cluster"),
        cluster_keys=_node_keys(entry, "cluster_keys"),
        sentinel=entry.choice("sentinel"),
        sentinel_keys=_node_keys(entry, "sentinel_keys", "master", "over_url"),
        pool_size=entry.text("pool_size", "") or None,
        pool_overflow=entry.text("pool_overflow", "") or None,
    )


def _node_keys(use: Reader, name: str, *more: str) -> NodeKeys | None:
    if name not in use.value:
        return None
    entry = use.part(name)
    entry.only("nodes", "json", "password", "fixed", *more)
    fixed = entry.part("fixed")
    return NodeKeys(
        entry.text("nodes"), entry.choice("json") is True, entry.text("password", "") or None,
        {str(name): fixed.text(str(name)) for name in fixed.value},
        entry.text("master") if "master" in more else None, entry.choice("over_url") is True,
    )  # fmt: skip


def _member(entry: Reader, key: str, kind: type[E], value: str) -> E:
    try:
        return kind(value)
    except ValueError:
        raise entry.fail(key, f"{value!r} is not one of {', '.join(kind)}") from None
