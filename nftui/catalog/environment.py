"""Which environment names an image reads, and which of a service's names nothing reads."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from functools import lru_cache
from pathlib import Path

from nftui.catalog.classify import classify, environment_of
from nftui.catalog.globs import matches
from nftui.catalog.lookup import family_for, version_of
from nftui.catalog.programs import argv_of, base_name
from nftui.catalog.references import parse_reference, version_key, within
from nftui.catalog.schema import Family
from nftui.model.dataclass import dataclass
from nftui.model.stack import Role

MAX_FILES = 200
MAX_FILE_BYTES = 256 * 1024
MAX_TOTAL_BYTES = 4 * 1024 * 1024
# Paths that hold what the server executes or reads at start.
_SCRIPT_PATHS = ("/docker-entrypoint-initdb.d", "/docker-entrypoint-preinitdb.d", "/usr/local/bin", "/etc", "/scripts")
_STANDARD_ENTRYPOINTS = {"docker-entrypoint.sh", "docker-entrypoint", "sh", "bash", "ash", "tini", "dumb-init", "exec"}


@dataclass(frozen=True, slots=True)
class EnvNames:
    """The names that an image reads."""

    prefixes: tuple[str, ...] = ()
    """A name that begins with one of these and is not read is inert."""
    exact: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()
    fold: bool = False
    """Names are compared without regard to case."""
    known: bool = False
    """False where the list is not complete: then nothing is called inert."""
    source: str = ""
    _exact: frozenset[str] = field(default=frozenset(), repr=False)

    def reads(self, name: str) -> bool:
        """True where the image reads `name`."""
        name = name.upper() if self.fold else name
        return name in self._exact or any(matches(name, pattern) for pattern in self.globs)

    def ignores(self, name: str) -> bool:
        """True where `name` looks like one of the image's and the image does not read it."""
        shown = name.upper() if self.fold else name
        return self.known and shown.startswith(self.prefixes) and not self.reads(name)


@lru_cache(maxsize=1024)
def env_names(role: Role, image: str | None = None, version: str | None = None) -> EnvNames:
    """The names that such an image reads, for that version (read from the tag where not given)."""
    family = family_for(role, image)
    if family is None:
        return EnvNames()
    reference = parse_reference(image or "")
    if version is None and image:
        version = version_of(family, reference)
    since, until = family.reads_since, family.reads_until
    # A digest alone may be of any version.
    unknown = version is None and reference.tag is None and reference.digest is not None
    names = list(family.reads)
    names += [name for name in {**since, **until} if unknown or _is_read(version, since.get(name), until.get(name))]
    exact = tuple(name for name in names if "*" not in name)
    globs = tuple(name for name in names if "*" in name)
    known = family.env_known and _image_known(family, image)
    return EnvNames(family.prefixes, exact, globs, family.fold, known, family.source, frozenset(exact))


def _is_read(version: str | None, since: str | None, until: str | None) -> bool:
    """Whether a name of some versions is one of this version's; a tag without a version is the newest."""
    if version is None or (until is not None and not within(version, None, until)):
        return until is None
    # `1.9` moves within its line: the newest 1.9 reads what came with 1.9.3.
    first, key = version_key(since or ""), version_key(version)
    return key >= first[: len(key)]


def _image_known(family: Family, image: str | None) -> bool:
    """An image under a mere name may read anything."""
    if not image or not family.images:
        return False
    reference = parse_reference(image)
    # A registry that mirrors Docker Hub puts a path of its own before the name.
    names = {reference.repository, "/".join(reference.repository.split("/")[-2:]) if reference.registry else ""}
    named = any(matches(n, p) for p in family.images if not p.startswith("*") for n in names)
    return named and (reference.official or not family.official)


def is_inert(config: Mapping[str, object], name: str, project_directory: str) -> bool:
    """True where nothing in the container reads the variable `name`.

    Not where the image is no known server image or is built here, where the command, the entrypoint or the healthcheck
    mention it, or where a mounted file does (or cannot be read): what cannot be known is not called inert.
    """
    image = str(config.get("image") or "")
    found = classify(config) if image and not config.get("build") else None
    if found is None or found.family is None:
        return False
    return env_names(found.role, image).ignores(name) and not may_read(config, name, project_directory)


def may_read(config: Mapping[str, object], name: str, project_directory: str) -> bool:
    """Whether something that the operator added reads the variable `name`, or may.

    An entrypoint, the command, the healthcheck, another variable's value, a mounted file.
    """
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    others = (value for key, value in environment_of(config).items() if key != name)
    if not _entrypoint_known(config) or word.search(_texts(config)) or any(word.search(value) for value in others):
        return True
    return _in_mounts(config, word, project_directory, classify(config).role, str(config.get("image") or ""))


def _entrypoint_known(config: Mapping[str, object]) -> bool:
    """An entrypoint of the operator's own may read anything, unless it is a plain shell or the image's."""
    entrypoint, _ = argv_of(config)
    return not entrypoint or base_name(entrypoint[0]) in _STANDARD_ENTRYPOINTS


def _texts(config: Mapping[str, object]) -> str:
    entrypoint, command = argv_of(config)
    check = config.get("healthcheck")
    parts = [*entrypoint, *command, str(check.get("test") if isinstance(check, Mapping) else "")]
    for key in ("labels", "post_start", "pre_stop"):
        parts.append(str(config.get(key) or ""))
    return "\n".join(parts)


def _in_mounts(config: Mapping[str, object], word: re.Pattern[str], directory: str, role: Role, image: str) -> bool:
    """Whether a mounted file mentions the name, or cannot be judged."""
    if config.get("configs"):
        # Their content is elsewhere in the project; an entry could be a script.
        return True
    data = data_roots(role, image)
    reader = _Reader(word)
    for source, target, named in _mounts(config, directory):
        if any(target == path or target.startswith(path + "/") for path in data):
            continue
        if named:
            if target.startswith(_SCRIPT_PATHS):
                return True
            continue
        if reader.mentions(Path(source)) or (_is_script(target) and not Path(source).exists()):
            return True
    return False


def _is_script(target: str) -> bool:
    """A script that the image runs at its first start: one that is not here is made where the stack is deployed."""
    return target.startswith("/docker-entrypoint") and target.endswith((".sh", ".js", ".py"))


def data_roots(role: Role, image: str) -> tuple[str, ...]:
    """Data directories of every version of the image."""
    family = family_for(role, image)
    return tuple(item.path for item in family.data) if family else ()


def _mounts(config: Mapping[str, object], directory: str) -> Iterator[tuple[str, str, bool]]:
    """Source, target, and whether the source is a named volume."""
    volumes = config.get("volumes")
    for entry in volumes if isinstance(volumes, list) else []:
        if isinstance(entry, Mapping):
            source, target = str(entry.get("source") or ""), str(entry.get("target") or "")
            named = entry.get("type") != "bind"
        else:
            parts = str(entry).split(":")
            source, target = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
            named = not source.startswith((".", "/", "~"))
        path = str(Path(directory, Path(source).expanduser())) if source and not named else source
        yield path, target.rstrip("/"), named


class _Reader:
    """Looks for a word in files, within bounds; beyond them the answer is yes."""

    def __init__(self, word: re.Pattern[str]) -> None:
        self.word = word
        self.files = 0
        self.bytes = 0

    def mentions(self, path: Path) -> bool:
        """True where a file at or below `path` holds the word, or not all could be read."""
        if path.is_dir():
            try:
                return self._directory(path)
            except OSError:
                return True
        return self._file(path) if path.exists() else False

    def _directory(self, path: Path) -> bool:
        for root, folders, names in os.walk(path, onerror=_raise):
            folders.sort()
            if any(self._file(Path(root, name)) for name in sorted(names)):
                return True
        return False

    def _file(self, path: Path) -> bool:
        self.files += 1
        if self.files > MAX_FILES or self.bytes > MAX_TOTAL_BYTES:
            return True
        try:
            if not path.is_file():
                return False
            with path.open("rb") as stream:
                data = stream.read(MAX_FILE_BYTES + 1)
        except OSError:
            return True
        self.bytes += len(data)
        if self.word.search(data.decode("utf-8", errors="replace")):
            return True
        return len(data) > MAX_FILE_BYTES and b"\0" not in data


def _raise(error: OSError) -> None:
    raise error
