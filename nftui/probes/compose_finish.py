"""What Compose adds at the end: the default network, implied dependencies, names, and values from env_file.

Source: compose-go loader/normalize.go and types/project.go (WithServicesEnvironmentResolved).
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path

from nftui.probes.compose_dotenv import EnvFile, read_env_file
from nftui.probes.compose_nodes import UNWRITTEN, At, Map, Node, Scalar, Seq, child, is_null, made, map_of, text_of
from nftui.probes.compose_template import Ledger

_NAMESPACES = ("network_mode", "ipc", "pid", "uts", "cgroup")


class Finisher:
    """Completes the services of one project; env files are read once each."""

    def __init__(self, directory: str, name: str, environment: Mapping[str, str], ledger: Ledger) -> None:
        self.directory, self.name = directory, name
        self.environment, self.ledger = environment, ledger
        self.env_files: dict[tuple[str, tuple[str, ...]], EnvFile | None] = {}

    def model(self, root: Map) -> Map:
        """The whole project."""
        services = map_of(root.get("services")) or Map({}, root.at)
        done: dict[str, Node] = {}
        for name, item in services.items.items():
            done[name] = self.service(item if isinstance(item, Map) else Map({}, item.at))
        written = root.get("name")
        items: dict[str, Node] = {"name": made(self.name, written.at if written else root.at)}
        items.update({k: v for k, v in root.items.items() if k != "name"})
        items["services"] = Map(done, services.at)
        items["networks"] = self._with_default(map_of(root.get("networks")), root.at)
        for kind in ("networks", "volumes", "secrets", "configs"):
            section = items.get(kind)
            if isinstance(section, Map):
                items[kind] = self.named(section)
        return Map(items, root.at)

    def _with_default(self, networks: Map | None, at: At) -> Map:
        networks = networks or Map({}, at)
        return networks if "default" in networks.items else networks.with_items({"default": Map({}, at)})

    def named(self, section: Map) -> Map:
        """Resources with the name that the engine knows them by."""
        items: dict[str, Node] = {}
        for key, item in section.items.items():
            resource = item if isinstance(item, Map) else Map({}, item.at)
            variable = text_of(resource.get("environment"))
            if variable:
                # A secret's or configuration's content, out of the caller's environment or `.env`.
                self.ledger.refer(variable, resource.at)
            if is_null(resource.get("name")):
                external = resource.get("external")
                is_external = isinstance(external, Scalar) and external.value is True
                name = made(key if is_external else f"{self.name}_{key}", resource.at)
                resource = resource.with_items({"name": name})
            items[key] = resource
        return Map(items, section.at)

    def service(self, service: Map) -> Map:
        """One service with what it implies."""
        changes: dict[str, Node] = {}
        if "networks" not in service.items and "network_mode" not in service.items:
            changes["networks"] = Map({"default": Scalar(None, None, service.at)}, service.at)
        if isinstance(service.get("build"), Map):
            changes["build"] = self._build(service)
        depends = self._implied(service)
        if depends.items:
            changes["depends_on"] = depends
        if isinstance(service.get("secrets"), Seq):
            changes["secrets"] = self._secret_targets(service)
        environment = self._environment(service)
        if environment is not None:
            changes["environment"] = environment
        return service.with_items(changes)

    def _build(self, service: Map) -> Map:
        build = service.get("build")
        assert isinstance(build, Map)
        defaults: dict[str, Node] = {}
        if is_null(build.get("context")):
            defaults["context"] = made(self.directory, build.at)
        if is_null(build.get("dockerfile")) and is_null(build.get("dockerfile_inline")):
            defaults["dockerfile"] = made("Dockerfile", build.at)
        args = build.get("args")
        if isinstance(args, Map):
            # An argument that the caller does not have either is not passed at all.
            defaults["args"] = Map({k: v for k, v in args.items.items() if not is_null(v)}, args.at)
        return build.with_items(defaults)

    def _implied(self, service: Map) -> Map:
        """`depends_on` with the services that links, namespaces and volumes_from need."""
        known = map_of(service.get("depends_on")) or Map({}, service.at)
        added: dict[str, Node] = {}
        for name, at, restart in _needs(service):
            if name not in known.items and name not in added:
                values: dict[str, object] = {"condition": "service_started", "required": True}
                if restart:
                    values["restart"] = True
                added[name] = Map({k: made(v, at) for k, v in values.items()}, at)
        return known.with_items(added)

    def _secret_targets(self, service: Map) -> Seq:
        secrets = service.get("secrets")
        assert isinstance(secrets, Seq)
        result: list[Node] = []
        for item in secrets.items:
            if isinstance(item, Map) and is_null(item.get("target")):
                item = item.with_items({"target": made(f"/run/secrets/{text_of(item.get('source'))}", item.at)})
            result.append(item)
        return Seq(result, secrets.at)

    def _environment(self, service: Map) -> Map | None:
        """Values of env_file, under what the service says itself."""
        own = map_of(service.get("environment"))
        files = service.get("env_file")
        if not isinstance(files, Seq):
            return own
        collected: dict[str, Node] = {}
        earlier: tuple[str, ...] = ()
        known: dict[str, str] = {}
        for item in files.items:
            path = text_of(child(item, "path"))
            found = self._env_file(path, item, earlier, known) if path is not None else None
            if path is None or found is None:
                continue
            earlier = (*earlier, path)
            known.update(found.values)
            collected.update(_unwritten(found))
        if own is not None:
            collected.update(own.items)
        return Map(collected, own.at if own is not None else files.at)

    def _env_file(self, path: str, item: Node, earlier: tuple[str, ...], known: dict[str, str]) -> EnvFile | None:
        """One file; what the service's earlier files define is known in it, before its own values."""
        if (path, earlier) not in self.env_files:
            self.env_files[path, earlier] = self._read(path, item, known)
        found = self.env_files[path, earlier]
        for key in found.values if found else ():
            # A project's .env given to a service by env_file reaches it: the key is used.
            self.ledger.refer(key, item.at)
        return found

    def _read(self, path: str, item: Node, known: dict[str, str]) -> EnvFile | None:
        required = child(item, "required")
        if not Path(path).exists():
            if not isinstance(required, Scalar) or required.value is not False:
                self.ledger.problem("env-file-missing", f"the environment file {path} does not exist", item.at)
            return None
        return read_env_file(path, {**self.environment, **known}, self.ledger)


def _unwritten(found: EnvFile) -> dict[str, Node]:
    """The values of an env file: no Compose file holds them."""
    result: dict[str, Node] = {}
    for key, value in found.values.items():
        spot = found.places[key]
        result[key] = Scalar(value, UNWRITTEN, (spot.file, spot.line or 0))
    return result


def _needs(service: Map) -> list[tuple[str, At, bool]]:
    """Services that another attribute makes this one depend on: name, place, restart."""
    found: list[tuple[str, At, bool]] = []
    for key in ("links", "volumes_from"):
        entries = service.get(key)
        for item in entries.items if isinstance(entries, Seq) else []:
            text = text_of(item) or ""
            if not text.startswith("container:"):
                found.append((text.split(":")[0], item.at, key == "links"))
    for key in _NAMESPACES:
        node = service.get(key)
        text = text_of(node) or ""
        if node is not None and text.startswith("service:"):
            found.append((text.removeprefix("service:"), node.at, True))
    return found


def default_name(directory: str) -> str:
    """The project name that Compose makes of a directory."""
    return normal_name(posixpath.basename(directory))


def normal_name(name: str) -> str:
    """Lower case, only letters, digits, `_` and `-`, beginning with a letter or digit."""
    return "".join(c for c in name.lower() if c in "abcdefghijklmnopqrstuvwxyz0123456789_-").lstrip("_-")
