"""What a service is: by its image, then by what it runs, then by everything else it gives away."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from nftui.catalog.dockerfile import stage_of
from nftui.catalog.loader import catalog
from nftui.catalog.lookup import families_of, version_of
from nftui.catalog.mounted import in_mounts
from nftui.catalog.programs import SHELLS, argv_of, base_name, script_programs, started
from nftui.catalog.references import Reference, leading_version, parse_reference
from nftui.catalog.schema import Family
from nftui.model.dataclass import dataclass
from nftui.model.patterns import regex
from nftui.model.stack import MountSpec, Role

_SERVER_ROLES = frozenset(Role) - {Role.APP, Role.CLIENT, Role.EXPORTER, Role.UNKNOWN}
_ONE_SHOT = regex(
    r"backup|dump|restore|migrat|seed|pull|preload|setup|import|export|wait|cron|provision|clean|init|create|warm"
)
_STARTER = regex(r"entrypoint|start|run-?server|\brun\b")
_VALUE_KEYS = (
    *("ports", "expose", "environment", "command", "entrypoint", "volumes", "depends_on", "healthcheck", "labels"),
    *("links", "env_file", "working_dir", "secrets", "configs", "deploy", "restart", "extends"),
    *("container_name", "network_mode", "user", "privileged", "devices", "cap_add", "shm_size", "mem_limit"),
)


@dataclass(frozen=True, slots=True)
class Classification:
    """What a service is to the stack."""

    role: Role
    extra_roles: tuple[Role, ...] = ()
    """Servers that are surely inside as well."""
    version: str | None = None
    """Version of the server as the tag tells it, None where it does not."""
    family: str | None = None
    """Id of the catalog's entry, None where only evidence spoke."""


def classify(config: Mapping[str, object], image: str | None = None) -> Classification:
    """Judge one service; `config` is its Compose definition (long or short forms), `image` overrides its image.

    `unknown` only where nothing at all is known of it.
    """
    image = image or (str(config["image"]) if config.get("image") else None)
    reference = parse_reference(image or "")
    family = _family(config, reference)
    if family is None and config.get("build") is not None:
        config, reference, family = _built(config) or (config, reference, None)
    if family is None:
        role, inside = _by_evidence(config, reference)
        # Of an application the tag is its own version; a server in an image of another name may be of any version.
        return Classification(role, inside, leading_version(reference.tag) if role is Role.APP else None)
    version = version_of(family, reference)
    if family.role in _SERVER_ROLES:
        role = _running(config, family)
        return Classification(role, (), version, family.id)
    return Classification(family.role, _bundled(family, config, reference), version, family.id)


def _family(config: Mapping[str, object], reference: Reference) -> Family | None:
    for family in families_of(reference):
        if not family.hint_needed or _hinted(config, family):
            return family
    return None


def _built(config: Mapping[str, object]) -> tuple[Mapping[str, object], Reference, Family] | None:
    """Of a server's image with something added: what it runs now, the image it begins with, and that one's entry.

    None where the base is no server, or where a program that is not known takes the server's place.
    """
    stage = stage_of(config)
    reference = parse_reference(stage.image if stage else "")
    family = next((f for f in families_of(reference) if not f.hint_needed), None)
    if stage is None or family is None or family.role not in _SERVER_ROLES:
        return None
    given = argv_of(config)
    entrypoint = given[0] or list(stage.words("ENTRYPOINT"))
    command = given[1] or ([] if given[0] else list(stage.words("CMD")))
    config = {**config, "entrypoint": entrypoint, "command": command}
    programs = [p for p in _programs(config, family.entrypoint) if not _is_argument(p)]
    serves = not programs or any(_may_serve(p, family) for p in programs)
    return (config, reference, family) if serves else None


def _may_serve(program: tuple[str, ...], family: Family) -> bool:
    """The server, a client of one, or a script: what a script starts is most often the server."""
    known = _server_role(program) is not None or _is_client(program) or program[0] in catalog().idle
    return known or program[0].endswith(".sh") or "entrypoint" in program[0] or program[0] in family.entrypoint


def _hinted(config: Mapping[str, object], family: Family) -> bool:
    """A name such as `acme/postgres-custom` counts where something else agrees."""
    programs = list(_programs(config, ()))
    if programs:
        return any(_server_role(program) is family.role for program in programs)
    return _scores(config).get(family.role, 0) > 0


def _bundled(family: Family, config: Mapping[str, object], reference: Reference) -> tuple[Role, ...]:
    values = "\n".join(environment_of(config).values())
    roles = []
    for bundle in family.bundles:
        excluded = bundle.unless is not None and bundle.unless.search(values)
        wrong_tag = bundle.tag is not None and bundle.tag not in (reference.tag or "")
        if not excluded and not wrong_tag:
            roles.append(bundle.role)
    return tuple(roles)


def _programs(config: Mapping[str, object], default: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The programs a service starts; `default` is the image's own entrypoint."""
    entrypoint, command = argv_of(config)
    argv = [*(entrypoint or default), *command]
    if not entrypoint and not command:
        return
    first = argv[0]
    if " " in first.strip() and len(argv) == 1:
        yield from script_programs(first)
        return
    yield from started(argv)


def _server_role(program: tuple[str, ...]) -> Role | None:
    """The role that a program serves, by name or by name and verb."""
    servers = catalog().servers
    verb = _verb(program)
    if program[0] in ("redis-server", "valkey-server") and "--sentinel" in program:
        return Role.APP
    return servers.get(f"{program[0]} {verb}") or servers.get(program[0])


def _is_client(program: tuple[str, ...]) -> bool:
    clients = catalog().clients
    return program[0] in clients or f"{program[0]} {_verb(program)}" in clients


def _verb(program: tuple[str, ...]) -> str:
    """The first word after the program that is no option."""
    return next((word for word in program[1:] if not word.startswith("-")), "")


def _running(config: Mapping[str, object], family: Family) -> Role:
    """The role of a server image with this command: the server, another one, or a client."""
    programs = [p for p in _programs(config, family.entrypoint) if not _is_argument(p)]
    served = [role for role in map(_server_role, programs) if role is not None]
    if served:
        return family.role if family.role in served else served[0]
    if family.entrypoint and programs and all(p[0] == family.entrypoint[0] for p in programs):
        # `ollama serve` was seen above: any other verb does one thing and ends.
        return Role.CLIENT if any(_verb(p) for p in programs) else family.role
    if not programs:
        return Role.CLIENT if _is_bare_shell(config) else family.role
    if any(_hands_over(p) for p in programs):
        return family.role
    idle = catalog().idle
    if any(_is_client(p) for p in programs) or all(p[0] in idle for p in programs):
        return Role.CLIENT
    return Role.CLIENT if _is_one_shot(config, programs) or _is_scripted_client(config) else family.role


def _is_scripted_client(config: Mapping[str, object]) -> bool:
    """The mounted script that it runs calls clients, and neither a server nor what it was started with."""
    entrypoint, command = argv_of(config)
    for word in (*entrypoint, *command):
        text = _script(config, word) if word.startswith("/") and word.endswith(".sh") else ""
        programs = script_programs(text) if "$@" not in text and "$*" not in text else []
        if any(_server_role(p) or "entrypoint" in p[0] or p[0] == "pg_ctl" for p in programs):
            return False
        if any(_is_client(p) for p in programs):
            return True
    return False


def _script(config: Mapping[str, object], path: str) -> str:
    """The text of a script that a bind mount of the service brings; "" where it is not here."""
    volumes = config.get("volumes")
    entries = [e for e in volumes if isinstance(e, Mapping)] if isinstance(volumes, list) else []
    mounts = [MountSpec(str(e.get("type")), str(e.get("source") or ""), str(e.get("target") or "/")) for e in entries]
    found = in_mounts([m for m in mounts if (m.source or "").startswith("/")], path, "/")
    return (found.text or "") if found else ""


def _is_bare_shell(config: Mapping[str, object]) -> bool:
    """A shell that nothing is given to: for people, by hand."""
    entrypoint, command = argv_of(config)
    words = [base_name(w) for w in (*entrypoint, *command) if w not in ("-i", "-l", "--login")]
    return bool(words) and all(w in SHELLS for w in words)


def _hands_over(program: tuple[str, ...]) -> bool:
    """`exec /entrypoint.sh` at the end of a script of the operator's own starts what the image would have started."""
    return len(program) == 1 and program[0].rpartition("/")[2] in ("entrypoint.sh", "docker-entrypoint.sh")


def _is_argument(program: tuple[str, ...]) -> bool:
    """An option or a configuration file: the image's entrypoint hands it to the server."""
    return (
        program[0].startswith("-")
        or program[0].endswith((".conf", ".cnf", ".ini", ".yml", ".yaml"))
        or program[0].isdigit()
    )


def _is_one_shot(config: Mapping[str, object], programs: list[tuple[str, ...]]) -> bool:
    """A script of unknown content: its name and what else the service says of itself decide."""
    names = " ".join(program[0].lower() for program in programs)
    restart = restart_policy(config) or ""
    if _ONE_SHOT.search(names) and not _STARTER.search(names):
        # Variables alone are no sign of a server: a shared env_file hands them to those who log in there as well.
        stays = restart in ("always", "unless-stopped")
        return not _scores(config if stays else {**config, "environment": None})
    return not _scores(config) and restart.startswith(("no", "on-failure", "False"))


def _by_evidence(config: Mapping[str, object], reference: Reference) -> tuple[Role, tuple[Role, ...]]:
    """The role of an image that the catalog does not know, and what else is surely inside."""
    programs = list(_programs(config, ()))
    served = next((role for role in map(_server_role, programs) if role is not None), None)
    if served is not None:
        return served, ()
    bare = reference.official and reference.repository in catalog().systems and "dind" not in (reference.tag or "")
    if bare and not config.get("build"):
        # It mounts another's data to copy it, or only to hold the volume.
        return (Role.APP if programs else Role.CLIENT), ()
    scores = _scores(config)
    best = max(scores, key=lambda role: scores[role], default=None)
    if best is not None and scores[best] >= 2 and _only_asks(programs):
        return Role.CLIENT, ()
    if best is not None and scores[best] >= 2:
        return (Role.APP, (best,)) if _serves_something_else(config, best) else (best, ())
    known = any(config.get(key) not in (None, "", [], {}) for key in _VALUE_KEYS)
    return (Role.APP if known else Role.UNKNOWN), ()


def _only_asks(programs: list[tuple[str, ...]]) -> bool:
    """All that it runs are clients: it has the server's directory to fill or to copy it."""
    asking = [_is_client(p) for p in programs]
    return any(asking) and all(asks or p[0] in catalog().idle for asks, p in zip(asking, programs, strict=True))


def _serves_something_else(config: Mapping[str, object], role: Role) -> bool:
    """An application that keeps a database of its own: it has the data's path, and publishes only other ports."""
    ports = config.get("ports")
    hinted = role in _env_roles(config) or role in _health_roles(config)
    return bool(ports) and not hinted and role not in _port_roles({"ports": ports})


def _scores(config: Mapping[str, object]) -> dict[Role, int]:
    """Points per role: a data path 2, a port, environment names and a healthcheck 1 each."""
    data = catalog()
    scores: dict[Role, int] = {}
    for target in mount_targets(config):
        role = next((r for path, r in data.data.items() if target == path or target.startswith(path + "/")), None)
        if role is not None:
            scores[role] = max(scores.get(role, 0), 2)
    for found in (_port_roles(config), _env_roles(config), _health_roles(config)):
        for role in found:
            scores[role] = scores.get(role, 0) + 1
    return scores


def _port_roles(config: Mapping[str, object]) -> set[Role]:
    ports = set()
    for key in ("ports", "expose"):
        entries = config.get(key)
        for entry in entries if isinstance(entries, list) else []:
            target = (
                entry.get("target") if isinstance(entry, Mapping) else str(entry).partition("/")[0].rpartition(":")[2]
            )
            if str(target).isdigit():
                ports.add(int(str(target)))
    return {catalog().ports[port] for port in ports if port in catalog().ports}


def _env_roles(config: Mapping[str, object]) -> set[Role]:
    return {catalog().env[name] for name in environment_of(config) if name in catalog().env}


def _health_roles(config: Mapping[str, object]) -> set[Role]:
    check = config.get("healthcheck")
    test = check.get("test") if isinstance(check, Mapping) else None
    text = test if isinstance(test, str) else " ".join(str(word) for word in test) if isinstance(test, list) else ""
    host = re.search(r"(?:-h|--host)[ =]*([\w.-]+)", text)
    if host and host.group(1) not in ("localhost", "127.0.0.1"):
        # It asks another container.
        return set()
    return {
        role for word, role in catalog().health.items() if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)
    }


def restart_policy(config: Mapping[str, object]) -> str | None:
    """The policy in the words of `restart`, also where deploy.restart_policy gives it (docker/compose, create.go)."""
    deploy = config.get("deploy")
    policy = deploy.get("restart_policy") if isinstance(deploy, Mapping) else None
    if config.get("restart") is not None or not isinstance(policy, Mapping):
        return None if config.get("restart") is None else str(config["restart"])
    condition = str(policy.get("condition") or "any")
    return {"any": "always", "none": "no"}.get(condition, condition)


def environment_of(config: Mapping[str, object]) -> dict[str, str]:
    """Environment of a service, from map or list, as text."""
    value = config.get("environment")
    if isinstance(value, Mapping):
        return {str(key): "" if item is None else str(item) for key, item in value.items()}
    if isinstance(value, list):
        return {key: item for key, _, item in (str(entry).partition("=") for entry in value)}
    return {}


def mount_targets(config: Mapping[str, object]) -> Iterator[str]:
    """Container paths of the mounts of a service, from long or short form."""
    volumes = config.get("volumes")
    for entry in volumes if isinstance(volumes, list) else []:
        if isinstance(entry, Mapping):
            yield str(entry.get("target", "")).rstrip("/")
        else:
            parts = str(entry).split(":")
            yield (parts[1] if len(parts) > 1 else parts[0]).rstrip("/")
