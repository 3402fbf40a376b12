"""Reads the catalog's files: the shipped ones, then the operator's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from nftui.catalog.apps import App, read_app
from nftui.catalog.parsed import digest, read_parsed
from nftui.catalog.repositories import Repository, read_repository
from nftui.catalog.schema import Catalog, CatalogError, Family, Reader, read_family, to_role
from nftui.model.dataclass import dataclass
from nftui.model.stack import Role

T = TypeVar("T")

SHIPPED = Path(__file__).parent / "data"
MAX_BYTES = 1024 * 1024


def configuration_directories(environ: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """Where an operator puts catalog files: for all users, then their own (which wins)."""
    environ = os.environ if environ is None else environ
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "/")) / ".config")
    return Path("/etc/nftui/catalog"), Path(home) / "nftui" / "catalog"


@cache
def catalog() -> Catalog:
    """The catalog of this machine, read once; raises CatalogError."""
    return load_catalog((SHIPPED, *configuration_directories()))


def load_catalog(directories: Iterable[Path]) -> Catalog:
    """The catalog made of all files of `directories`; an absent directory holds nothing. Raises CatalogError."""
    building = _Building()
    for directory in directories:
        building.start_directory()
        # Only beside our own code: in a directory of the operator's it would be one more file that others can write.
        parsed = read_parsed(directory) if directory == SHIPPED else {}
        for path in sorted(directory.glob("*.yaml")) if directory.is_dir() else []:
            building.add(str(path), _document(path, parsed))
    return building.finished()


def _document(path: Path, parsed: Mapping[str, tuple[str, object]]) -> object:
    known = parsed.get(path.name)
    return known[1] if known and known[0] == digest(path.read_bytes()) else parse_yaml(path)


def parse_yaml(path: Path) -> object:
    """The document of one file. Raises CatalogError."""
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CatalogError(str(path), "", "is larger than 1 MiB")
        return yaml.load(path.read_bytes(), Loader=loader)  # noqa: S506 - a safe loader in both cases
    except OSError as error:
        raise CatalogError(str(path), "", f"cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else ""
        raise CatalogError(str(path), where, f"is not YAML: {getattr(error, 'problem', None) or error}") from error


@dataclass(slots=True)
class _Building:
    """The catalog while its files are read; families of a later directory stand first."""

    groups: list[dict[str, Family]] = field(default_factory=list)
    repositories: list[Repository] = field(default_factory=list)
    app_groups: list[dict[str, App]] = field(default_factory=list)
    servers: dict[str, Role] = field(default_factory=dict)
    clients: set[str] = field(default_factory=set)
    idle: set[str] = field(default_factory=set)
    systems: set[str] = field(default_factory=set)
    ports: dict[int, Role] = field(default_factory=dict)
    evidence: dict[str, dict[str, Role]] = field(default_factory=lambda: {"data": {}, "env": {}, "health": {}})

    def start_directory(self) -> None:
        self.groups.insert(0, {})
        self.app_groups.insert(0, {})

    def add(self, file: str, document: object) -> None:
        root = Reader(file, "", document if document is not None else {})
        root.only("families", "programs", "evidence", "repositories", "apps")
        for number, value in enumerate(root.items("families")):
            family = read_family(file, number, value)
            if family.id in self.groups[0]:
                raise CatalogError(file, f"families[{number}].id", f"{family.id} is already taken")
            self.groups[0][family.id] = family
        found = [read_repository(file, n, value) for n, value in enumerate(root.items("repositories"))]
        self.repositories[:0] = found
        for number, value in enumerate(root.items("apps")):
            app = read_app(root.child("apps", number, value))
            if app.id in self.app_groups[0]:
                raise CatalogError(file, f"apps[{number}].id", f"{app.id} is already taken")
            self.app_groups[0][app.id] = app
        self._programs(root.part("programs"))
        self._evidence(root.part("evidence"))

    def _programs(self, part: Reader) -> None:
        part.only("servers", "clients", "idle", "systems")
        for name, role in part.part("servers").value.items():
            self.servers[str(name)] = to_role(part.file, f"programs.servers.{name}", role)
        self.clients.update(part.texts("clients"))
        self.idle.update(part.texts("idle"))
        self.systems.update(part.texts("systems"))

    def _evidence(self, part: Reader) -> None:
        part.only("ports", "data", "env", "health")
        for port, role in part.part("ports").value.items():
            if not isinstance(port, int):
                raise part.fail("ports", f"{port!r} is not a port")
            self.ports[port] = to_role(part.file, f"evidence.ports.{port}", role)
        for kind, known in self.evidence.items():
            for name, role in part.part(kind).value.items():
                known[str(name)] = to_role(part.file, f"evidence.{kind}.{name}", role)

    def finished(self) -> Catalog:
        return Catalog(
            _first(self.groups), self.servers, frozenset(self.clients), frozenset(self.idle), frozenset(self.systems),
            self.ports,
            self.evidence["data"], self.evidence["env"], self.evidence["health"],
            tuple(self.repositories), _first(self.app_groups),
        )  # fmt: skip


def _first(groups: list[dict[str, T]]) -> tuple[T, ...]:
    """Every id once, as the first group that has it says."""
    found: dict[str, T] = {}
    for group in groups:
        for id, entry in group.items():
            found.setdefault(id, entry)
    return tuple(found.values())
