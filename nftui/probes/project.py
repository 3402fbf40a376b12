"""Which project is meant: its files, directory, profiles and env files, found as `docker compose` finds them.

Two differences, both towards the operator: `COMPOSE_FILE` in the `.env` of a parent directory is read relative
to that directory (Compose 2.26 looks for the files in the working directory and fails [X]), and with a
PROJECT directory relative names of `-f` and `--env-file` are relative to it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path

from nftui.model.dataclass import dataclass
from nftui.model.errors import UsageError
from nftui.model.message import msg
from nftui.model.stack import Invocation, Place, ProjectRequest
from nftui.probes.compose_dotenv import read_env_file
from nftui.probes.compose_template import Ledger

OVERRIDE_NAME = "compose.nftui.yaml"
"""nftui's own file, beside the first Compose file."""
OVERRIDE_MARK = b"# Written by nftui;"
"""How every file begins that nftui wrote for Compose, whatever its name."""
DISCOVERY = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
"""In Compose's order; the first one that is there counts. Source: compose-go cli/options.go."""
AUTOMATIC = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
MAX_BYTES = 16 * 1024 * 1024
"""A Compose file above this was not written by a person, and parsing it would take minutes."""
_SNIFF = 8192


def find_project(request: ProjectRequest, environ: Mapping[str, str]) -> Invocation:
    """The project that `request` and the environment mean; reads only names, `.env` and the files' first bytes.

    Raises UsageError where there is none, or where a file of it is missing, a directory, binary or too large.
    """
    return _Search(request, environ).invocation()


def override_path(invocation: Invocation) -> str:
    """Where nftui's file lies or would lie: beside the first Compose file."""
    return str(Path(invocation.files[0]).with_name(OVERRIDE_NAME))


def own_file(invocation: Invocation) -> str | None:
    """nftui's file as it lies on disk, also under an automatic name; None where there is none."""
    return next(iter(written_files(invocation)), None)


def written_files(invocation: Invocation) -> list[str]:
    """Every file there that nftui wrote for Compose, the one that counts first: a copy may have been put back."""
    first = Path(invocation.files[0])
    candidates = (first.with_name(name) for name in (OVERRIDE_NAME, *AUTOMATIC))
    return [str(path) for path in candidates if path.is_file() and is_own(path)]


def is_own(path: str | Path) -> bool:
    """Whether nftui wrote that Compose file, by its name or its first line."""
    if Path(path).name == OVERRIDE_NAME:
        return True
    if not Path(path).is_file():
        return False
    try:
        with Path(path).open("rb") as file:
            return file.readline(200).startswith(OVERRIDE_MARK)
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class _Setting:
    """A COMPOSE_… variable and where it stands (None: in the shell)."""

    value: str
    place: Place | None = None


@dataclass
class _Search:
    request: ProjectRequest
    environ: Mapping[str, str]
    cwd: Path = Path()
    base: Path = Path()
    """Where files are searched and relative names begin."""
    settings: dict[str, _Setting] = field(default_factory=dict)

    def invocation(self) -> Invocation:
        self.cwd = working_directory(self.environ)
        self.base = self._base()
        env_files = self._env_files()
        self._read_settings(env_files or [self.base / ".env"])
        files = [f for f in self._files() if not is_own(f)]
        if not files:
            raise UsageError(msg("Only nftui's own {name} is named. Name the stack's files too.", name=OVERRIDE_NAME))
        for path in files:
            _check_file(path)
        directory = self._directory(files)
        env_files = env_files or self._second_env(directory)
        if directory != self.base and not env_files:
            self._read_settings([directory / ".env"])
        return Invocation(
            directory=str(directory),
            files=tuple(str(f) for f in files),
            profiles=self._profiles(),
            env_files=tuple(str(f) for f in env_files),
            name=self.request.name or self._value("COMPOSE_PROJECT_NAME") or None,
            explicit_files=bool(self._named()),
            working_directory=str(directory if self.request.path else self.cwd),
        )

    def _base(self) -> Path:
        if self.request.path is None:
            return self.cwd
        place = _absolute(self.cwd, self.request.path)
        if place.is_dir():
            return place
        if not os.path.lexists(place):
            raise UsageError(msg("{path} is not there. Name a directory or a Compose file.", path=self.request.path))
        return place.parent

    def _named(self) -> list[Path]:
        """Files that the operator named: PROJECT as a file, then `-f`."""
        place = _absolute(self.cwd, self.request.path) if self.request.path is not None else self.cwd
        first = [] if place.is_dir() else [place]
        if "-" in self.request.files:
            raise UsageError(msg("-f - is not supported: the files are read more than once. Name a file."))
        return first + [_absolute(self.base, f) for f in self.request.files]

    def _env_files(self) -> list[Path]:
        listed = self.environ.get("COMPOSE_ENV_FILES", "")
        names = list(self.request.env_files) or [n for n in listed.split(",") if n]
        found = [_absolute(self.base, name) for name in names]
        for path, name in zip(found, names, strict=True):
            if not path.is_file():
                raise UsageError(msg("The env file {path} is not there.", path=name))
        return found

    def _second_env(self, directory: Path) -> list[Path]:
        """Where `.env` here names files elsewhere, Compose reads both `.env`, and this one wins [X]."""
        setting = self.settings.get("COMPOSE_FILE")
        if self._named() or setting is None or setting.place is None or directory == self.base:
            return []
        return [path for path in (directory / ".env", self.base / ".env") if path.is_file()]

    def _directory(self, files: Sequence[Path]) -> Path:
        given = self.request.project_directory
        if given is None:
            return files[0].parent
        place = _absolute(self.cwd, given)
        if not place.is_dir():
            raise UsageError(msg("The project directory {path} is not there.", path=given))
        return place

    def _profiles(self) -> tuple[str, ...]:
        listed = self.request.profiles or [p.strip() for p in self._value("COMPOSE_PROFILES").split(",")]
        return tuple(dict.fromkeys(p for p in listed if p))

    # -- files ---------------------------------------------------------------------------------------------
    def _files(self) -> list[Path]:
        named = self._named()
        if not named:
            return self._from_setting() or self._discovered()
        if not self._env_files():
            # With `-f`, `.env` is the one of the project directory, never of the working directory [X].
            self._read_settings([self._directory(named) / ".env"])
        return named

    def _from_setting(self) -> list[Path]:
        setting = self._setting("COMPOSE_FILE")
        if setting is None or not setting.value.strip():
            return []
        separator = self._value("COMPOSE_PATH_SEPARATOR") or os.pathsep
        start = Path(setting.place.file).parent if setting.place else self.base
        names = [name for name in setting.value.split(separator) if name.strip()]
        for name in names:
            if not os.path.lexists(_absolute(start, name)) and Path(name).name != OVERRIDE_NAME:
                raise _missing(setting, name)
        return [_absolute(start, name) for name in names]

    def _discovered(self) -> list[Path]:
        places = [self.base] if self.request.path else [self.base, *self.base.parents]
        for directory in places:
            found = discover(directory)
            if not found:
                continue
            if directory == self.base:
                return found
            self.base = directory
            self._read_settings(self._env_files() or [directory / ".env"])
            return self._from_setting() or found
        raise UsageError(
            msg("No Compose file in {directory}: looked for {names}.", directory=self.base, names=", ".join(DISCOVERY))
        )

    # -- COMPOSE_… variables -------------------------------------------------------------------------------
    def _read_settings(self, env_files: Sequence[Path]) -> None:
        """Forget what was read before: another `.env` counts."""
        self.settings = {}
        known: dict[str, str] = {}
        for path in env_files:
            found = read_env_file(str(path), {**known, **self.environ}, Ledger()) if path.is_file() else None
            if found is None:
                continue
            known |= found.values
            for name, value in found.values.items():
                if name.startswith("COMPOSE_"):
                    self.settings[name] = _Setting(value, found.places.get(name))

    def _setting(self, name: str) -> _Setting | None:
        if name in self.environ:
            return _Setting(self.environ[name])
        return self.settings.get(name)

    def _value(self, name: str) -> str:
        setting = self._setting(name)
        return setting.value if setting else ""


def discover(directory: Path) -> list[Path]:
    """What Compose loads by itself there: the default file, and the automatic override beside it."""
    default = next((n for n in DISCOVERY if os.path.lexists(directory / n)), None)
    if default is None:
        return []
    override = next((n for n in AUTOMATIC if (directory / n).is_file()), None)
    return [directory / name for name in (default, override) if name]


def working_directory(environ: Mapping[str, str]) -> Path:
    """The working directory under the name the shell knows it by: with links, as Compose labels it."""
    actual, named = Path.cwd(), Path(environ.get("PWD", ""))
    try:
        return Path(os.path.normpath(named)) if named.is_absolute() and named.samefile(actual) else actual
    except OSError:
        return actual


def _absolute(base: Path, name: str) -> Path:
    """Without `.` and `..`, but with links as they are: Compose labels and names projects by them."""
    return Path(os.path.normpath(base / Path(name).expanduser()))


def _missing(setting: _Setting, name: str) -> UsageError:
    if setting.place is None:
        return UsageError(
            msg(
                "COMPOSE_FILE in the environment names {name}, which is not there. Remove it or restore the file.",
                name=name,
            )
        )
    return UsageError(
        msg(
            "{file} line {line}: COMPOSE_FILE names {name}, which is not there. Remove it or restore the file.",
            file=Path(setting.place.file).name,
            line=setting.place.line,
            name=name,
        )
    )


def _check_file(path: Path) -> None:
    """Refuse what cannot be a Compose file, before anything tries to parse it."""
    if not os.path.lexists(path):
        raise UsageError(msg("The Compose file {path} is not there.", path=path))
    if path.is_dir():
        raise UsageError(msg("{path} is a directory, not a Compose file.", path=path))
    if path.is_symlink() and not path.exists():
        raise UsageError(msg("{path} is a link to {target}, which is not there.", path=path, target=path.readlink()))
    if not path.is_file():
        raise UsageError(msg("{path} is not a regular file.", path=path))
    if path.stat().st_size > MAX_BYTES:
        raise UsageError(msg("{path} is too large for a Compose file (over 16 MiB).", path=path))
    try:
        with path.open("rb") as file:
            head = file.read(_SNIFF)
    except OSError as error:
        raise UsageError(msg("{path} cannot be read: {reason}", path=path, reason=error.strerror or "")) from error
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UsageError(msg("{path} is a binary file, not a Compose file.", path=path))
