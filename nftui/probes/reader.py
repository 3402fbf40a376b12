"""Any Compose project read from its files alone, as Compose reads it, with the place of every value.

Needs no engine. Nothing is raised but UsageError, for a main file that cannot be parsed at all.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from nftui.model.dataclass import dataclass
from nftui.model.errors import UsageError
from nftui.model.message import msg
from nftui.model.stack import Invocation, Place, Problem
from nftui.probes import compose_checks as checks
from nftui.probes.compose_dotenv import read_env_file
from nftui.probes.compose_finish import Finisher, default_name, normal_name
from nftui.probes.compose_load import Loader, scalar_text
from nftui.probes.compose_nodes import Map, map_of, place, plain, plain_raw, walk
from nftui.probes.compose_template import Interpolator, Invalid, Ledger


@dataclass(frozen=True, slots=True)
class ReadProject:
    """A project as its files say; every service is in it, also of profiles that were not chosen."""

    name: str
    document: Mapping[str, object] = field(default_factory=dict)
    """Merged and interpolated, in the form of `docker compose config --format json`, but no `$` is doubled."""
    raw: Mapping[str, object] = field(default_factory=dict)
    """The same before interpolation: `${A:-b}`, `$$` and a command string as written, a pass-through variable null."""
    places: Mapping[str, Place] = field(default_factory=dict)
    """Dotted key ("services.db.environment.POSTGRES_USER", "services.db.ports.0") to where it is written."""
    problems: tuple[Problem, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    """What `.env` or --env-file define (not the shell)."""
    env_places: Mapping[str, Place] = field(default_factory=dict)
    """Key of `.env` to its line."""
    referenced: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)
    """Variables read anywhere: interpolated, passed through, used in an env file, or handed on by env_file."""
    unset: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)
    """Interpolated without a value and without a default: Compose makes them blank."""
    profiles: tuple[str, ...] = ()
    """All profile names of the files, sorted; "" where a service has the empty profile."""
    chosen_profiles: tuple[str, ...] = ()
    """The profiles in use; ("",) where none was chosen."""
    active: tuple[str, ...] = ()
    """Services that the chosen profiles enable."""
    files: tuple[str, ...] = ()
    """Every Compose file that was read, also included and extended ones."""


def read_project(invocation: Invocation, environ: Mapping[str, str]) -> ReadProject:
    """Read the project that `invocation` names; `environ` is the caller's shell environment.

    Raises UsageError (one line: file, line, reason) only where a main file cannot be parsed.
    """
    if not invocation.files:
        raise UsageError(msg("no Compose file was found in {directory}", directory=invocation.directory))
    ledger = Ledger()
    own, env_places = _dot_env(invocation, environ, ledger)
    environment = {**own, **environ}
    directory = posixpath.normpath(invocation.directory)
    loader = Loader(ledger, environment, directory)
    name = _project_name(invocation, loader, environment, ledger)
    environment.setdefault("COMPOSE_PROJECT_NAME", name)
    chosen = _chosen_profiles(invocation, environment)
    root = loader.load(invocation.files)
    root = Finisher(directory, name, environment, ledger).model(root)
    checks.check(root, chosen, ledger)
    return _result(root, name, chosen, own, env_places, ledger, loader.read)


def _result(
    root: Map, name: str, chosen: tuple[str, ...], own: dict[str, str], env_places: dict[str, Place],
    ledger: Ledger, files: list[str],
) -> ReadProject:  # fmt: skip
    services = map_of(root.get("services")) or Map({}, root.at)
    document, raw = plain(root.without("version")), plain_raw(root)
    assert isinstance(document, dict)
    assert isinstance(raw, dict)
    for service in document["services"].values():
        # As `config` prints it: what env_file says is in the environment now.
        service.pop("env_file", None)
    profiles = {profile for service in services.items.values() for profile in checks.profiles_of(service)}
    return ReadProject(
        name=name,
        document=document,
        raw=raw,
        places={key: place(at) for key, at in walk(root, "")},
        problems=tuple(ledger.problems),
        environment=own,
        env_places=env_places,
        referenced={key: tuple(place(at) for at in ats) for key, ats in ledger.referenced.items()},
        unset={key: tuple(place(at) for at in ats) for key, ats in ledger.unset.items()},
        profiles=tuple(sorted(profiles)),
        chosen_profiles=chosen,
        active=tuple(key for key, service in services.items.items() if checks.is_active(service, chosen)),
        files=tuple(files),
    )


def _dot_env(
    invocation: Invocation, environ: Mapping[str, str], ledger: Ledger
) -> tuple[dict[str, str], dict[str, Place]]:
    """Values and places of the env files that Compose reads for this call; a later file wins."""
    files = [str(Path.cwd() / file) for file in invocation.env_files]
    default = posixpath.join(invocation.directory, ".env")
    disabled = environ.get("COMPOSE_DISABLE_ENV_FILE", "").lower() in ("1", "t", "true")
    if not files and not disabled and Path(default).is_file():
        files = [default]
    values: dict[str, str] = {}
    places: dict[str, Place] = {}
    for file in files:
        found = read_env_file(file, {**values, **environ}, ledger)
        if found is not None:
            values.update(found.values)
            places.update(found.places)
    return values, places


def _chosen_profiles(invocation: Invocation, environment: Mapping[str, str]) -> tuple[str, ...]:
    """--profile, else COMPOSE_PROFILES; none is the profile ""."""
    if invocation.profiles:
        return invocation.profiles
    return tuple(part.strip() for part in environment.get("COMPOSE_PROFILES", "").split(","))


def _project_name(invocation: Invocation, loader: Loader, environment: Mapping[str, str], ledger: Ledger) -> str:
    """-p, COMPOSE_PROJECT_NAME, the last `name:` of the files, the directory: in this order."""
    given = invocation.name or environment.get("COMPOSE_PROJECT_NAME", "")
    if given:
        if normal_name(given) != given:
            ledger.problem("name-invalid", f"{given!r} is not a valid project name", None)
        return given
    name = ""
    for file in invocation.files:
        for document in loader.documents(file):
            written = scalar_text(document.root, "name") if isinstance(document.root, Map) else ""
            name = written or name
    try:
        name = Interpolator(environment, Ledger()).text(name, (invocation.files[0], 1))
    except Invalid:
        name = ""
    return normal_name(name) or default_name(posixpath.normpath(invocation.directory))
