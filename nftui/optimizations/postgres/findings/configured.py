"""What the operator's own configuration files say, where a server that does not run would read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.catalog.programs import split_words
from nftui.engine.evidence import at
from nftui.engine.mounted import mounted
from nftui.model.findings import Evidence
from nftui.model.patterns import regex
from nftui.optimizations.postgres.data import data_directory
from nftui.optimizations.postgres.flags import read_flags
from nftui.optimizations.postgres.gucs import GUCS, show
from nftui.optimizations.postgres.images import is_bitnami

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nftui.engine.mounted import Mounted
    from nftui.model.facts import Facts
    from nftui.model.stack import Service

_LINE = regex(r"^\s*([A-Za-z_][\w.]*)\s*(?:=|\s)\s*(?:'((?:[^']|'')*)'|([^\s#'][^\s#]*))")
_INCLUDE = ("include", "include_dir", "include_if_exists")


def file_settings(facts: Facts, service: Service, flags: Mapping[str, str], major: int) -> dict[str, Evidence]:
    """Settings of the mounted postgresql.conf that the server is told to read, each where it stands.

    {} where there is none, it cannot be read, or it includes others: those may say something else.
    """
    found = _file(facts, service, flags, "config_file", "postgresql.conf")
    settings: dict[str, Evidence] = {}
    for number, line in enumerate((found.text or "").splitlines() if found else (), 1):
        match = _LINE.match(line)
        name = match[1].lower() if match else ""
        if match is None or name in flags:
            continue
        if name in _INCLUDE:
            return {}
        text = match[3] or (match[2] or "").replace("''", "'")
        value = show(name, text, major) if name in GUCS else text
        settings[name] = Evidence(name, value, found.path if found else None, number if found and found.path else None)
    return settings


_BITNAMI = {
    "POSTGRESQL_MAX_CONNECTIONS": "max_connections", "POSTGRESQL_FSYNC": "fsync",
    "POSTGRESQL_SYNCHRONOUS_COMMIT_MODE": "synchronous_commit",
}  # fmt: skip
"""Variables that Bitnami's scripts write into the configuration (bitnami/containers, postgresql README)."""
_FLAGS = "POSTGRESQL_EXTRA_FLAGS"


def variable_settings(service: Service, major: int) -> dict[str, Evidence]:
    """Settings that an image of Bitnami takes from its variables."""
    if not is_bitnami(service):
        return {}
    given = [(_BITNAMI[k], v, k) for k, v in service.environment.items() if k in _BITNAMI and v]
    given += [(f.name, f.value, _FLAGS) for f in read_flags(split_words(service.environment.get(_FLAGS) or ""))]
    shown = {name: (show(name, text, major) if name in GUCS else text, key) for name, text, key in given}
    places = {key: at(service, key, f"environment.{key}") for _, _, key in given}
    return {n: Evidence(n, text, places[key].file, places[key].line) for n, (text, key) in shown.items()}


def access_rules(facts: Facts, service: Service, flags: Mapping[str, str]) -> Iterator[tuple[list[str], Evidence]]:
    """The words of each rule of a mounted pg_hba.conf that the server reads."""
    found = _file(facts, service, flags, "hba_file", "pg_hba.conf")
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
