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
from nftui.optimizations.postgres.flags import read_flags
from nftui.optimizations.postgres.gucs import GUCS, show
from nftui.optimizations.postgres.images import has_own_entrypoint, is_bitnami, is_official_like

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nftui.catalog.mounted import Mounted
    from nftui.model.facts import Facts
    from nftui.model.stack import Service

_LINE = regex(r"^\s*([A-Za-z_][\w.]*)\s*(?:=|\s)\s*(?:'((?:[^']|'')*)'|([^\s#'][^\s#]*))")
_INCLUDE = ("include", "include_dir", "include_if_exists")


def main_file(facts: Facts, service: Service, flags: Mapping[str, str]) -> Mounted | None:
    """The mounted postgresql.conf that the server is told to read; None where none is mounted there."""
    return _file(facts, service, flags, "config_file", "postgresql.conf")


def file_settings(facts: Facts, service: Service, flags: Mapping[str, str], major: int) -> dict[str, Evidence] | None:
    """Settings of the mounted postgresql.conf that the server is told to read, each where it stands.

    {} where there is none; None where it is not here, or includes others: those may say something else.
    """
    found = main_file(facts, service, flags)
    if found is None or found.text is None:
        return None if found or "config_file" in flags else {}
    settings: dict[str, Evidence] = {}
    for number, line in enumerate(found.text.splitlines(), 1):
        match = _LINE.match(line)
        name = match[1].lower() if match else ""
        if match is None or name in flags:
            continue
        if name in _INCLUDE:
            return None
        text = match[3] or (match[2] or "").replace("''", "'")
        settings[name] = Evidence(name, _shown(name, text, major), found.path, number if found.path else None)
    return settings


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
    command = service.command or ()
    if has_own_entrypoint(service):
        return False
    if not command or command[0].startswith("-") or command[0].rpartition("/")[2] == "postgres":
        return True
    run = (mounted(facts.stack, service, word) for word in command if word.startswith("/"))
    texts = [*command, *(file.text or "" for file in run if file is not None)]
    return any("docker-entrypoint.sh" in text for text in texts)


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
    """Settings that an image of Bitnami takes from its variables."""
    if not is_bitnami(service):
        return {}
    given = [(_BITNAMI[k], v, k) for k, v in service.environment.items() if k in _BITNAMI and v]
    given += [(f.name, f.value, _FLAGS) for f in read_flags(split_words(service.environment.get(_FLAGS) or ""))]
    shown = {name: (_shown(name, text, major), key) for name, text, key in given}
    places = {key: at(service, key, f"environment.{key}") for _, _, key in given}
    return {n: Evidence(n, text, places[key].file, places[key].line) for n, (text, key) in shown.items()}


def named_access_file(facts: Facts, service: Service, flags: Mapping[str, str]) -> str | None:
    """The pg_hba.conf that an argument, else the mounted configuration, names; None for that of the data directory."""
    main = main_file(facts, service, flags)
    lines = (main.text or "").splitlines() if main else ()
    named = [match[2] or match[3] for match in map(_LINE.match, lines) if match and match[1].lower() == "hba_file"]
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
