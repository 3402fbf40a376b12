"""Files to one tree: documents, `extends`, `!reset`, `include`, merging. Source: compose-go loader/."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path

from nftui.model.dataclass import dataclass
from nftui.model.errors import UsageError
from nftui.probes import compose_canonical as canonical
from nftui.probes.compose_dotenv import read_env_file
from nftui.probes.compose_forms import Context, absolute
from nftui.probes.compose_merge import Merger, as_sequence, without_resets
from nftui.probes.compose_nodes import At, Map, Node, Scalar, is_null, map_of, text_of
from nftui.probes.compose_template import Interpolator, Ledger
from nftui.probes.compose_yaml import Document, parse, read_text, unreadable

RESOURCES = ("services", "volumes", "networks", "secrets", "configs")
MAX_INCLUDES = 50
"""Depth of `include`; a cycle is found before."""


@dataclass(slots=True)
class _Source:
    """One interpolated document of a file."""

    file: str
    root: Map
    resets: list[tuple[str, ...]]


@dataclass(slots=True)
class Loader:
    """Loads one project; `base` is its directory, by which Compose resolves every relative path of the main files."""

    ledger: Ledger
    environment: Mapping[str, str]
    directory: str
    chain: tuple[str, ...] = ()
    """Files whose `include` led here."""
    parsed: dict[str, list[Document]] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)
    """Every file that was read, in order."""
    extended: dict[tuple[str, str], Map | None] = field(default_factory=dict)
    interpolator: Interpolator = field(init=False)

    def __post_init__(self) -> None:
        self.interpolator = Interpolator(self.environment, self.ledger)

    def load(self, files: Sequence[str]) -> Map:
        """The merge of `files` in canonical form; raises UsageError for one that cannot be parsed."""
        merger = Merger(self.ledger)
        result = Map({}, (files[0], 1))
        for file in files:
            for source in self.sources(file):
                resets = source.resets
                root = self.extends(source)
                result = without_resets(result, resets)
                root = self.includes(root, files[0])
                merged = merger.merge(result, root)
                assert isinstance(merged, Map)
                result = merged
        return canonical.model(result, self.context())

    def context(self) -> Context:
        """What canonical form depends on here."""
        return Context(self.directory, self.environment, self.ledger)

    def sources(self, file: str) -> list[_Source]:
        """The documents of a file, interpolated."""
        result = []
        for document in self.documents(file):
            root = document.root
            if not isinstance(root, Map):
                raise unreadable(file, root.at[1] if root else 1, "is not a mapping of services, volumes, networks, …")
            tree = self.interpolator.tree(root)
            assert isinstance(tree, Map)
            result.append(_Source(file, self._sound(tree), document.resets))
        return result

    def documents(self, file: str) -> list[Document]:
        """The parsed file; read once."""
        if file not in self.parsed:
            self.parsed[file] = parse(read_text(file), file)
            self.read.append(file)
        return self.parsed[file]

    def _sound(self, root: Map) -> Map:
        """Leave out what is no mapping where Compose needs one."""
        items = dict(root.items)
        for kind in RESOURCES:
            section = items.get(kind)
            if section is None:
                continue
            if not isinstance(section, Map):
                if not is_null(section):
                    self.ledger.problem("value-invalid", f"{kind} is not a mapping", section.at)
                del items[kind]
            else:
                items[kind] = self._sound_section(kind, section)
        return Map(items, root.at)

    def _sound_section(self, kind: str, section: Map) -> Map:
        kept: dict[str, Node] = {}
        for name, item in section.items.items():
            if isinstance(item, Map) or is_null(item):
                kept[name] = item
            else:
                self.ledger.problem("value-invalid", f"{kind}.{name} is not a mapping", item.at)
        return Map(kept, section.at)

    # extends

    def extends(self, source: _Source) -> Map:
        """The document with every `extends` resolved."""
        services = map_of(source.root.get("services"))
        if services is None:
            return source.root
        done: dict[str, Node] = {}
        for name in services.items:
            done[name] = self.resolved(source, services, name, self.directory, ()) or services.items[name]
        return source.root.with_items({"services": Map(done, services.at)})

    def resolved(self, source: _Source, services: Map, name: str, folder: str, chain: tuple[At, ...]) -> Map | None:
        """One service over what it extends; `folder` is where relative files of `extends` begin."""
        service = map_of(services.get(name))
        reference = service.get("extends") if service else None
        if service is None or reference is None or is_null(reference):
            return service
        own = service.without("extends")
        if service.at in chain:
            self.ledger.problem("extends-cycle", f"the service {name} extends itself in a circle", reference.at)
            return own
        base = self.base_of(source, services, reference, folder, (*chain, service.at))
        if base is None:
            return own
        base = without_resets(base, source.resets, ("services", name))
        return Merger(self.ledger).extend(base, own)

    def base_of(
        self, source: _Source, services: Map, reference: Node, folder: str, chain: tuple[At, ...]
    ) -> Map | None:
        """The service that `reference` names."""
        target = text_of(reference.get("service")) if isinstance(reference, Map) else text_of(reference)
        file = text_of(reference.get("file")) if isinstance(reference, Map) else None
        if target is None:
            self.ledger.problem("extends-missing", "`extends` names no service", reference.at)
            return None
        if file is not None:
            return self.base_in_file(absolute(file, folder, self.environment), target, reference.at, chain)
        if services.get(target) is None:
            what = f"cannot extend {target}: there is no such service in {source.file}"
            self.ledger.problem("extends-missing", what, reference.at)
            return None
        return self.resolved(source, services, target, folder, chain)

    def base_in_file(self, file: str, name: str, at: At, chain: tuple[At, ...]) -> Map | None:
        """A service of another file, its paths resolved by that file's directory."""
        if (file, name) not in self.extended:
            self.extended[file, name] = self._read_base(file, name, at, chain)
        return self.extended[file, name]

    def _read_base(self, file: str, name: str, at: At, chain: tuple[At, ...]) -> Map | None:
        try:
            sources = self.sources(file)
        except UsageError as error:
            id = "extends-missing" if Path(file).exists() else "include-missing"
            self.ledger.problem(id, f"cannot extend {name}: {error}", at)
            return None
        folder = posixpath.dirname(file)
        result: Map | None = None
        for source in sources:
            services = map_of(source.root.get("services"))
            base = self.resolved(source, services, name, folder, chain) if services is not None else None
            if base is not None:
                result = base if result is None else Merger(self.ledger).extend(result, base)
        if result is None:
            self.ledger.problem("extends-missing", f"cannot extend {name}: there is no such service in {file}", at)
            return None
        return canonical.service(result, Context(folder, self.environment, self.ledger))

    # include

    def includes(self, root: Map, main: str) -> Map:
        """The document with what it includes put in."""
        entries = root.get("include")
        if entries is None:
            return root
        root = root.without("include")
        for entry in as_sequence(entries).items if not isinstance(entries, Map) else [entries]:
            imported = self.include(entry, main)
            if imported is not None:
                root = self.imported(root, imported)
        return root

    def include(self, entry: Node, main: str) -> Map | None:
        """The project that one entry of `include` names; None, and a problem, where it cannot be read."""
        at = entry.at
        mapping = entry if isinstance(entry, Map) else Map({"path": entry}, at)
        paths = [text_of(p) or "" for p in as_sequence(mapping.get("path") or Map({}, at)).items]
        if not paths or "" in paths:
            self.ledger.problem("include-missing", "an entry of `include` names no file", at)
            return None
        if any("://" in path or path.startswith("git@") for path in paths):
            self.ledger.problem("include-remote", f"{paths[0]} is not on this machine and was not read", at)
            return None
        files = [absolute(path, self.directory, self.environment) for path in paths]
        chain = (*self.chain, main)
        if files[0] in chain or len(chain) > MAX_INCLUDES:
            self.ledger.problem("include-cycle", f"{files[0]} includes itself in a circle", at)
            return None
        folder = text_of(mapping.get("project_directory"))
        directory = absolute(folder, self.directory, self.environment) if folder else posixpath.dirname(files[0])
        return self._included(files, directory, self._env_files(mapping, directory), chain, at)

    def _included(
        self, files: list[str], directory: str, env_files: list[str], chain: tuple[str, ...], at: At
    ) -> Map | None:
        environment = dict(self.environment)
        for env_file in env_files:
            found = read_env_file(env_file, environment, self.ledger)
            environment = {**(found.values if found else {}), **environment}
        child = Loader(self.ledger, environment, directory, chain, self.parsed, self.read)
        present = self._readable(child, files, at)
        return child.load(present) if present else None

    def _readable(self, child: Loader, files: list[str], at: At) -> list[str]:
        """The files that can be read; a problem for each other one."""
        present = []
        for file in files:
            try:
                if any(not isinstance(document.root, Map) for document in child.documents(file)):
                    raise unreadable(file, None, "is not a mapping")
                present.append(file)
            except UsageError as error:
                absent = not Path(file).exists()
                text = (
                    f"the included file {file} does not exist" if absent else f"an included file is unreadable: {error}"
                )
                self.ledger.problem("include-missing" if absent else "include-unreadable", text, at)
        return present

    def _env_files(self, mapping: Map, directory: str) -> list[str]:
        named = mapping.get("env_file")
        if named is not None and not is_null(named):
            paths = [text_of(p) or "" for p in as_sequence(named).items]
            return [absolute(path, self.directory, self.environment) for path in paths if path]
        default = posixpath.join(directory, ".env")
        return [default] if Path(default).is_file() else []

    def imported(self, root: Map, model: Map) -> Map:
        """Put the resources of an included project beside this file's own, which go over those of the same name.

        So it is since Compose 5 (compose-go#835); 2.24 to 2.40 refuse a name that says two things.
        """
        if root.get("version") is None and (version := model.get("version")) is not None:
            # It does nothing there either.
            root = root.with_items({"version": version})
        for kind in RESOURCES:
            section = map_of(model.get(kind))
            if section is None:
                continue
            own = map_of(root.get(kind)) or Map({}, section.at)
            added: dict[str, Node] = {}
            for name, item in section.items.items():
                known = own.get(name)
                if known is None:
                    added[name] = item
                elif not self._same(kind, name, known, item):
                    added[name] = Merger(self.ledger).merge(item, known, (kind, name))
            root = root.with_items({kind: own.with_items(added)})
        return root

    def _same(self, kind: str, name: str, known: Node, item: Node) -> bool:
        form = canonical.model(Map({kind: Map({name: known}, known.at)}, known.at), self.context()).get(kind)
        mine = form.get(name) if isinstance(form, Map) else None
        return mine is not None and canonical.same(mine, item)


def scalar_text(root: Map, key: str) -> str:
    """A top-level text, empty where there is none."""
    node = root.get(key)
    return text_of(node) or "" if isinstance(node, Scalar) else ""
