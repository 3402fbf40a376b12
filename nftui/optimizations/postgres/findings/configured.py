"""What the operator's own configuration files say, where a server that does not run would read them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nftui.catalog.mounted import files_in, mounted
from nftui.catalog.programs import split_words
from nftui.engine.evidence import at
from nftui.model.findings import Evidence
from nftui.model.patterns import regex
from nftui.optimizations.postgres.data import INIT_SCRIPTS, INIT_SUFFIXES, data_directory
from nftui.optimizations.postgres.findings.included import read_configuration
from nftui.optimizations.postgres.flags import read_flags
from nftui.optimizations.postgres.gucs import GUCS, show
from nftui.optimizations.postgres.images import ENTRYPOINT, has_own_entrypoint, is_bitnami, is_official_like

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nftui.catalog.mounted import Mounted
    from nftui.model.facts import Facts
    from nftui.model.stack import Service
    from nftui.optimizations.postgres.findings.included import Configuration

_BITNAMI_PLACES = ("/opt/bitnami/postgresql/conf", "/bitnami/postgresql/conf")
"""Where Bitnami's scripts have the configuration, and from where they copy it: postgresql.conf, which includes the
directory conf.d beside it (bitnami/containers, libpostgresql.sh)."""


def configuration(facts: Facts, service: Service, flags: Mapping[str, str]) -> Configuration | None:
    """The mounted configuration that the server is told to read; None where none is mounted there."""
    main = _file(facts, service, flags, "config_file", "postgresql.conf")
    files = [main] if main else _of_bitnami(facts, service) if is_bitnami(service) and not service.command else []
    return read_configuration(facts.stack, service, files) if files else None


def _of_bitnami(facts: Facts, service: Service) -> list[Mounted]:
    mains = [f"{place}/postgresql.conf" for place in _BITNAMI_PLACES]
    given = {mount.target.rstrip("/") for mount in service.mounts}
    found = [mounted(facts.stack, service, m) for m in mains if {m, m.rpartition("/")[0]} & given]
    more = [f for place in _BITNAMI_PLACES for f in files_in(facts.stack, service, f"{place}/conf.d")]
    return [*(f for f in found if f is not None), *(f for f in more if f.target.endswith(".conf"))]


def file_settings(facts: Facts, service: Service, flags: Mapping[str, str], major: int) -> dict[str, Evidence] | None:
    """Settings of the mounted postgresql.conf that the server is told to read, each where it stands.

    {} where there is none; None where it is not here, or includes what is not: that may say something else.
    """
    found = configuration(facts, service, flags)
    if found is None or not found.whole:
        return None if found or "config_file" in flags else {}
    return {
        line.name: Evidence(line.name, _shown(line.name, line.text, major), *_place(line.file, line.number))
        for line in found.lines
        if line.name not in flags
    }


def _place(file: Mounted, number: int) -> tuple[str | None, int | None]:
    return file.path, number if file.path else None


def _shown(name: str, text: str, major: int) -> str:
    return show(name, text, major) if name in GUCS else text


_INITDB = regex(r"(?:^|\s)[\"']?(?:-c\s*|--set[=\s])\s*[\"']?([A-Za-z_][\w.]*)=([^\s\"']+)")
_ALTERED = regex(
    r"\bALTER\s+SYSTEM\s+SET\s+\"?([a-z_][\w.]*)\"?\s*(?:=|TO\b)\s*(?:'([^'\n]*)'|([^\s;'\"]+))", re.IGNORECASE
)
_INITDB_ARGS = "POSTGRES_INITDB_ARGS"


def first_settings(facts: Facts, service: Service, flags: Mapping[str, str], major: int) -> dict[str, Evidence]:
    """Settings that the first start writes down: initdb's arguments, then ALTER SYSTEM in init scripts.

    A configuration file of the operator's takes the place of the one that initdb wrote.
    """
    settings: dict[str, Evidence] = {}
    if is_official_like(service) and "config_file" not in flags:
        place = at(service, _INITDB_ARGS, f"environment.{_INITDB_ARGS}")
        for name, text in _INITDB.findall(service.environment.get(_INITDB_ARGS) or ""):
            settings[name.lower()] = Evidence(name, _shown(name.lower(), text, major), place.file, place.line)
    for file in scripts(facts, service):
        for number, line in enumerate((file.text or "").splitlines(), 1):
            for match in _ALTERED.finditer("" if line.lstrip().startswith(("--", "#")) else line):
                name, text = match[1].lower(), match[2] if match[2] is not None else match[3]
                value = _shown(name, text, major)
                settings[name] = Evidence(name, value, file.path, number if file.path else None)
    return {name: evidence for name, evidence in settings.items() if name not in flags}


def initialises(facts: Facts, service: Service) -> bool:
    """Whether docker-library's entrypoint starts the server, and so first fills an empty data directory.

    Of another program than `postgres` it does nothing: a standby's script that copies its primary, for one.
    """
    if has_own_entrypoint(service):
        return False
    words = [*(service.entrypoint or ()), *(service.command or ())]
    # Named by hand it is what the image starts anyway: what it is given comes behind.
    while words and words[0].rpartition("/")[2] == ENTRYPOINT:
        del words[0]
    if not words or words[0].startswith("-") or words[0].rpartition("/")[2] == "postgres":
        return True
    run = (mounted(facts.stack, service, word) for word in words if word.startswith("/"))
    texts = [*words, *(file.text or "" for file in run if file is not None)]
    return any(ENTRYPOINT in text for text in texts)


def scripts(facts: Facts, service: Service) -> Iterator[Mounted]:
    """The init scripts that the entrypoint runs on an empty data directory; it ignores other files."""
    return (f for f in files_in(facts.stack, service, INIT_SCRIPTS) if f.target.endswith(INIT_SUFFIXES))


_BITNAMI = {
    f"{prefix}_{name}": setting
    for prefix in ("POSTGRES", "POSTGRESQL")
    for name, setting in (("MAX_CONNECTIONS", "max_connections"), ("FSYNC", "fsync"),
                          ("SYNCHRONOUS_COMMIT_MODE", "synchronous_commit"))
}  # fmt: skip
"""Variables that Bitnami's scripts write into the configuration (bitnami/containers, postgresql-env.sh)."""
_FLAGS = "POSTGRESQL_EXTRA_FLAGS"


def variable_settings(service: Service, major: int) -> dict[str, Evidence]:
    """Settings that an image of Bitnami writes down from its variables; what conf.d says comes after them."""
    given = service.environment.items() if is_bitnami(service) else ()
    return {_BITNAMI[k]: _of_variable(service, _BITNAMI[k], v, k, major) for k, v in given if k in _BITNAMI and v}


def extra_flags(service: Service, major: int) -> dict[str, Evidence]:
    """Arguments that such an image gives the server from a variable: they come after every file."""
    words = split_words(service.environment.get(_FLAGS) or "") if is_bitnami(service) else []
    return {f.name: _of_variable(service, f.name, f.value, _FLAGS, major) for f in read_flags(words)}


def _of_variable(service: Service, name: str, text: str, key: str, major: int) -> Evidence:
    place = at(service, key, f"environment.{key}")
    return Evidence(name, _shown(name, text, major), place.file, place.line)


def named_access_file(facts: Facts, service: Service, flags: Mapping[str, str]) -> str | None:
    """The pg_hba.conf that an argument, else the mounted configuration, names; None for that of the data directory."""
    found = configuration(facts, service, flags)
    named = [line.text for line in found.lines if line.name == "hba_file"] if found else []
    return flags.get("hba_file") or next(reversed(named), None)


def access_rules(facts: Facts, service: Service, file: str | None) -> Iterator[tuple[list[str], Evidence]]:
    """The words of each rule of a mounted pg_hba.conf that the server reads: `file`, else its data directory's."""
    found = _file(facts, service, {"hba_file": file} if file else {}, "hba_file", "pg_hba.conf")
    for number, line in enumerate((found.text or "").splitlines() if found else (), 1):
        words = line.partition("#")[0].split()
        if words:
            place = (found.path, number) if found and found.path else (None, None)
            yield words, Evidence("pg_hba.conf", " ".join(words), *place)


def _file(facts: Facts, service: Service, flags: Mapping[str, str], flag: str, name: str) -> Mounted | None:
    """Where the flag points, else the file of that name mounted over the one in the data directory."""
    target = flags.get(flag)
    directory = data_directory(facts, service)
    if target is None and directory is not None:
        target = f"{directory}/{name}"
        if all(m.target.rstrip("/") != target for m in service.mounts):
            return None
    return mounted(facts.stack, service, target) if target else None
