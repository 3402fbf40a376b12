"""Findings about what is written in vain, or is not what it seems, in Compose files and `.env`."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from nftui.catalog import EnvNames, env_names, is_inert, may_read, repositories_of
from nftui.catalog.mounted import mounted
from nftui.checks._common import COMPOSE, mapping, sequence
from nftui.engine.evidence import at, at_variable
from nftui.engine.given import example_gives, lacks_env_file, may_be_given, raw_value, variables, written_names
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import msg
from nftui.model.patterns import regex
from nftui.model.stack import Role
from nftui.model.units import parse_size
from nftui.system.redaction import is_secret_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from nftui.model.facts import Facts
    from nftui.model.stack import Place, Service

_OWN_ID = frozenset({Role.POSTGRES, Role.QDRANT, Role.OLLAMA})
"""Roles whose inert variables have an id of their own."""
_TOOLS = regex(r"(COMPOSE|DOCKER|BUILDKIT|BUILDX|NFTUI)_|(UID|GID|USER|HOME|PATH|PWD|TZ|SHELL)$")
"""Names that Compose, the engine's client or the shell read by themselves."""
_BARE = regex(r"(?<!\$)(?:\$\$)*\$(?:\{(\w+)\}|([A-Za-z_]\w*))")
_DEFAULTED = regex(r"(?<!\$)(?:\$\$)*\$\{(\w+):?-")
_SHELL_OWN = frozenset({"HOSTNAME", "RANDOM", "SECONDS", "PPID", "LINENO", "OLDPWD", "IFS", "REPLY", "PGDATA"})
_HASH = regex(r"(?<!\$)\$(?:apr1|2[abxy]|[156y]|argon2\w+)\$")
"""The head of a password's hash, as htpasswd and mkpasswd write it."""
_TMP = "/tmp"  # noqa: S108
SMALL_TMP = 128 * 1024 * 1024
"""A /tmp of fewer bytes fills with one upload or one sort."""


# -- variables -----------------------------------------------------------------------------------------------
def env_inert(facts: Facts) -> Iterable[Finding]:
    """env-inert: a variable that this image, or the mode that it runs in, does not read."""
    lists: dict[tuple[Role, str], EnvNames] = {}
    ignored: dict[str, dict[str, str]] = {}
    for service in facts.stack.services:
        if service.role in _OWN_ID or not service.image:
            continue
        key = service.role, service.image
        names = lists[key] if key in lists else lists.setdefault(key, env_names(*key))
        set_ = [name for name, value in service.environment.items() if value or _is_given(facts, service, name)]
        ignored[service.name] = {
            n: reason for n in set_ if (reason := _ignored(facts, service, n, names)) and not _is_filled_in(service, n)
        }
    read = _read_places(facts, ignored)
    for service in facts.stack.services:
        own = {n: w for n, w in ignored.get(service.name, {}).items() if _is_own(service, n, read)}
        if own:
            reasons = "; ".join(f"{n}: {w}" if w != "-" else n for n, w in own.items())
            yield Finding(
                "env-inert", Level.LOW, service.name, msg("Variables that change nothing here"),
                msg("Nothing in this container reads them as it is set up: {names}.", names=reasons),
                tuple(at(service, n, f"environment.{n}", service.environment[n]) for n in own), _source(service),
            )  # fmt: skip


def _ignored(facts: Facts, service: Service, name: str, names: EnvNames) -> str:
    """Why nothing reads the variable, "-" where the image's list says so, "" where something may read it."""
    directory = facts.stack.invocation.directory
    for repository in repositories_of(service.image or ""):
        for inert in repository.inert:
            meets = any(fnmatchcase(name, pattern) for pattern in inert.names) and inert.is_of(service.image or "")
            meets = meets and _has(facts, service, inert.mounted)
            if meets and not any(_may_be(service, k, v) for k, v in inert.unless.items()):
                words = " ".join((*(service.command or ()), *(service.entrypoint or ()))).split()
                # A queue's worker is in that mode without being told; a file that is not here may choose it.
                told = "worker" in words or lacks_env_file(facts.stack, service) if inert.unless else False
                read = told or service.config.get("build") or may_read(service.config, name, directory)
                return "" if read else inert.why
    return "-" if names.ignores(name) and is_inert(service.config, name, directory) else ""


def _is_filled_in(service: Service, name: str) -> bool:
    """Compose fills in the command from a variable of that name: then the setting comes true."""
    return any(re.search(rf"\b{re.escape(name)}\b", text) for _, text in _scripts(service))


def _is_given(facts: Facts, service: Service, name: str) -> bool:
    """Blank here, and of a variable that has its value where the stack is deployed."""
    source = raw_value(service, name)
    return bool(variables(source)) and not source.rstrip().endswith(":-}") and may_be_given(facts.stack, source)


def _has(facts: Facts, service: Service, path: str) -> bool:
    """Whether a file of the operator's is mounted there; no path asks for none."""
    found = mounted(facts.stack, service, path) if path else None
    return not path or (found is not None and found.text is not None)


def _may_be(service: Service, name: str, value: str) -> bool:
    """Whether the variable has that value, or is there and blank: then it is set where the stack is deployed."""
    return name in service.environment and service.environment[name] in (*value.split("|"), "", None)


def _source(service: Service) -> str:
    found = [r.source for r in repositories_of(service.image or "") if r.inert]
    return found[0] if found else "the image's entrypoint, by the catalog"


def _read_places(facts: Facts, ignored: Mapping[str, Collection[str]]) -> frozenset[tuple[str, Place]]:
    """Variables, each where it is written, that some service may read: a template hands the same to all."""
    return frozenset(
        (name, place)
        for service in facts.stack.services
        for name in service.environment
        if name not in ignored.get(service.name, ()) and (place := service.places.get(f"environment.{name}"))
    )


def _is_own(service: Service, name: str, read: Collection[tuple[str, Place]]) -> bool:
    """Written for this service, not handed on by a template to others that read it, or by an env_file."""
    if service.raw and name not in written_names(service):
        return False
    place = service.places.get(f"environment.{name}")
    return place is None or (name, place) not in read


def _is_partly_read(facts: Facts) -> bool:
    """A file of the project is absent or unreadable: it may use whatever seems unused."""
    return any(p.id.startswith(("include-", "extends-", "env-file-")) for p in facts.stack.problems)


def _is_read_inside(facts: Facts) -> bool:
    """The file, or the directory that it is in, is mounted: frameworks read the `.env` that they find beside them."""
    files = {place.file for place in facts.stack.written.env_places.values()}
    inside = {*files, *(str(Path(file).parent) for file in files)}
    mounted = {(m.source or "").rstrip("/") for s in facts.stack.services for m in s.mounts if m.type == "bind"}
    handed = (one for kind in ("configs", "secrets") for one in mapping(facts.stack.document.get(kind)).values())
    return not inside.isdisjoint(mounted | {str(mapping(one).get("file") or "") for one in handed})


def unreferenced(facts: Facts) -> Iterable[Finding]:
    """env-file-unreferenced: a key of `.env` that no Compose file, env_file or script beside them names."""
    written = facts.stack.written
    if _is_partly_read(facts) or _is_read_inside(facts):
        return
    dead = {
        key: place
        for key, place in written.env_places.items()
        if key not in written.referenced and key not in facts.beside.words and not _TOOLS.match(key)
    }
    if not dead:
        return
    yield Finding(
        "env-file-unreferenced", Level.LOW, None, msg("Keys of .env that nothing refers to"),
        msg("Changing them changes nothing: {names}.", names=", ".join(dead)),
        tuple(Evidence(k, facts.stack.environment.get(k), p.file, p.line) for k, p in dead.items()),
        f"{COMPOSE}, interpolation",
    )  # fmt: skip


# -- dollars -------------------------------------------------------------------------------------------------
def dollar(facts: Facts) -> Iterable[Finding]:
    """dollar-interpolated: a `$` that was meant for the shell or for a password, and that Compose takes for itself."""
    # What a template of an `.env` gives is Compose's, and has a value where the stack is deployed.
    given = _defaulted(facts) if facts.stack.written.unset else frozenset()
    unset = frozenset(
        name for name in facts.stack.written.unset if name not in given and not example_gives(facts.stack, (name,))
    )
    for service in facts.stack.services if unset else ():
        evidence = tuple(dict.fromkeys(_eaten(service, unset)))
        if evidence:
            yield Finding(
                "dollar-interpolated", Level.MEDIUM, service.name, msg("A $ that Compose takes for itself"),
                msg("Compose puts in the variable's value, here nothing, before the container sees it: {names}. "
                    "A $ of your own is written $$.", names=", ".join(dict.fromkeys(e.key for e in evidence))),
                evidence, f"{COMPOSE}, interpolation",
            )  # fmt: skip


def _defaulted(facts: Facts) -> frozenset[str]:
    """Names that have a default outside the scripts: `user: ${AIRFLOW_UID:-50000}` makes it Compose's everywhere."""
    scripts = ("command", "entrypoint", "healthcheck")
    rest = (str(value) for s in facts.stack.services for key, value in s.raw.items() if key not in scripts)
    return frozenset(name for text in rest for name in _DEFAULTED.findall(text))


def _eaten(service: Service, unset: frozenset[str]) -> Iterator[Evidence]:
    for place, text in _scripts(service):
        for name in _names(text, unset):
            if _is_shells(service, name, text):
                yield at_variable(service, name, place, _around(text, name))
    for key, text in _texts(service):
        for name in _names(text, unset):
            embedded = text.strip() not in (f"${name}", f"${{{name}}}")
            if embedded and not name.isupper() and f"${name}" in text:
                yield at(service, f"${name}", key, None if is_secret_name(key) else _around(text, name))


def _names(text: str, unset: frozenset[str]) -> list[str]:
    found = [m.group(1) or m.group(2) for m in _BARE.finditer(text)] if "$" in text else []
    return [name for name in dict.fromkeys(found) if name in unset]


def _is_shells(service: Service, name: str, text: str) -> bool:
    """The script or the container has a variable of that name."""
    assigned = re.search(rf"(?:^|[\s;&|(])(?:for|read(?: -\w+)*|local|export)\s+{name}\b|(?<![\w$]){name}=", text)
    # A blank one was made of the same unset variable: then Compose was meant. Of another one it gets a value elsewhere.
    other = variables(raw_value(service, name))
    known = bool(service.environment.get(name)) or (bool(other) and name not in other)
    # A name of several words that nothing here sets is exported before the start: `export host_ip=…`.
    return bool(assigned) or known or name in _SHELL_OWN or (name.islower() and "_" not in name)


def _scripts(service: Service) -> Iterator[tuple[str, str]]:
    """Commands as written: place and text."""
    raw = service.raw
    test = mapping(raw.get("healthcheck")).get("test")
    for place, value in (("command", raw.get("command")), ("entrypoint", raw.get("entrypoint")),
                         ("healthcheck.test", test)):  # fmt: skip
        text = value if isinstance(value, str) else "\n".join(str(v) for v in sequence(value))
        if text:
            yield place, text


def _texts(service: Service) -> Iterator[tuple[str, str]]:
    """Secrets and labels as written: place and text."""
    raw = service.raw
    for kind in ("environment", "labels"):
        for name, value in mapping(raw.get(kind)).items():
            secret = kind == "environment" and is_secret_name(name)
            if isinstance(value, str) and (secret or _HASH.search(value)):
                yield f"{kind}.{name}", value


def _around(text: str, name: str) -> str:
    line = next((line for line in text.splitlines() if f"${name}" in line or f"${{{name}" in line), text)
    return line.strip()[:120]


def version(facts: Facts) -> Iterable[Finding]:
    """compose-version-obsolete: the top-level `version:` does nothing."""
    written = facts.stack.written
    place: Place | None = written.places.get("version")
    if written.version is not None and place is not None:
        yield Finding(
            "compose-version-obsolete", Level.INFO, None, msg("The key `version` does nothing"),
            msg("Compose ignores it and warns about it."),
            (Evidence("version", written.version, place.file, place.line),), f"{COMPOSE}, version top-level element",
        )  # fmt: skip


# -- mounts --------------------------------------------------------------------------------------------------
def tmpfs(facts: Facts) -> Iterable[Finding]:
    """tmpfs-inherited: a template mounts the same small or noexec /tmp into services of every kind."""
    # What each service has on a line of its own was chosen for each; the line of a template is the same for all.
    groups: dict[tuple[str, str | None, int | None], list[tuple[Service, Evidence]]] = {}
    for service in facts.stack.services:
        for place, target, options in _memory_mounts(service):
            if target.rstrip("/") == _TMP and _is_tight(options):
                shown = f"{target}:{options}"
                evidence = at(service, f"{service.name}.{place.partition('.')[0]}", place, shown)
                groups.setdefault((shown, evidence.file, evidence.line), []).append((service, evidence))
    for found in groups.values():
        if len({s.image for s, _ in found}) < 3:
            continue
        yield Finding(
            "tmpfs-inherited", Level.LOW, None, msg("A shared template mounts a small or noexec /tmp"),
            msg("{count} services get it, whatever they do there: large uploads, sorts and unpacked programs fail.",
                count=len(found)),
            tuple(evidence for _, evidence in found), "docker run reference, --tmpfs",
        )  # fmt: skip


def _memory_mounts(service: Service) -> Iterator[tuple[str, str, str]]:
    """Place, target and options of the mounts that lie in memory, of both spellings."""
    value = service.config.get("tmpfs")
    for number, entry in enumerate([value] if isinstance(value, str) else sequence(value)):
        target, _, options = str(entry).partition(":")
        yield f"tmpfs.{number}", target, options
    for number, entry in enumerate(sequence(service.config.get("volumes"))):
        if mapping(entry).get("type") == "tmpfs":
            size = mapping(mapping(entry).get("tmpfs")).get("size")
            yield f"volumes.{number}", str(mapping(entry).get("target")), f"size={size}" if size else ""


def _is_tight(options: str) -> bool:
    words = options.split(",")
    size = next((parse_size(w.partition("=")[2]) for w in words if w.startswith("size=")), None)
    return "noexec" in words or (size is not None and size < SMALL_TMP)


def volume_unused(facts: Facts) -> Iterable[Finding]:
    """volume-unused: defined and mounted nowhere, or mounted where nothing writes."""
    if _is_partly_read(facts):
        return
    used = {m.source for s in facts.stack.services for m in s.mounts if m.type == "volume" and m.source}
    dead = {
        name: place
        for key, place in facts.stack.written.places.items()
        if key.startswith("volumes.")
        and "." not in (name := key.removeprefix("volumes."))
        and name not in used
        # One of another project's is written there.
        and not mapping(facts.stack.volumes.get(name)).get("external")
    }
    if dead:
        yield Finding(
            "volume-unused", Level.INFO, None, msg("Volumes that no service mounts"),
            msg("They hold nothing, or what an earlier version of the stack left: {names}.", names=", ".join(dead)),
            tuple(Evidence(f"volumes.{n}", None, p.file, p.line) for n, p in dead.items()), f"{COMPOSE}, volumes",
        )  # fmt: skip
    for service in facts.stack.services:
        yield from _unwritten(service)


def _unwritten(service: Service) -> Iterator[Finding]:
    for repository in repositories_of(service.image or ""):
        spare = repository.unused_mount
        for number, mount in enumerate(service.mounts):
            if spare and mount.target.rstrip("/") == spare.path and spare.unless not in service.environment:
                yield Finding(
                    "volume-unused", Level.LOW, service.name, msg("A volume that nothing writes"),
                    msg("It keeps its data in memory unless {name} is set: a restart loses it.", name=spare.unless),
                    (at(service, mount.target, f"volumes.{number}", mount.source),), repository.source,
                )  # fmt: skip


CHECKS = (env_inert, unreferenced, dollar, version, tmpfs, volume_unused)
