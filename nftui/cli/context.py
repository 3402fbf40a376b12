"""What a verb works with: its arguments, its output, the session. Sessions and registries are made here only."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nftui.cli.i18n import _
from nftui.cli.output import Output, is_terminal
from nftui.model.errors import NftuiError, UsageError
from nftui.model.message import msg
from nftui.model.stack import ProjectRequest

if TYPE_CHECKING:
    from nftui.engine.protocols import Registry
    from nftui.session import Session


def make_session(request: ProjectRequest, state_dir: Path | None, *, begin: bool = False) -> Session:
    """The session of a project; tests put another one in its place. With `begin` the project's reading has begun."""
    wiring = None
    if begin:
        from nftui.engine.wiring import Wiring

        wiring = Wiring(request, dict(os.environ))
        wiring.begin()  # Compose works while the rest of nftui is imported
    from nftui.session import Session

    return Session(request, state_dir=state_dir, wiring=wiring)


def make_registry() -> Registry:
    """The optimizations, where no project is needed (presets)."""
    from nftui.optimizations.registry import load_registry

    return load_registry()


class Context:
    """One call of a verb."""

    def __init__(self, args: argparse.Namespace, out: Output) -> None:
        self.args, self.out = args, out
        self._begins = False
        self.request = project_request(args)
        self.snapshot: str | None = None
        if hasattr(args, "words"):
            project, self.snapshot = split_words(args.words)
            self.request = project_request(args, project)
        if hasattr(args, "named"):
            self.request = project_request(args, split_named(args.named))

    @cached_property
    def session(self) -> Session:
        """The project's session; from here on its redaction holds for every output."""
        check_project(self.request)
        session = make_session(self.request, self.state_dir, begin=self._begins)
        self.out.redact = session.redact
        return session

    def begin(self) -> None:
        """Let the reading of the project start; what is wrong with it is said when the verb asks for it."""
        self._begins = True
        with suppress(NftuiError):
            _ = self.session

    @property
    def state_dir(self) -> Path | None:
        """Absolute: a run's own process stands elsewhere."""
        named = self.args.state_dir or os.environ.get("NFTUI_STATE_DIR")
        return Path(named).absolute() if named else None

    @property
    def names_project(self) -> bool:
        """Whether the operator said which project is meant."""
        return self.request != ProjectRequest()

    @property
    def may_ask(self) -> bool:
        """Whether someone is there to answer: no prompt ever where stdin is no terminal."""
        return is_terminal(sys.stdin) and is_terminal(sys.stderr)


def project_request(args: argparse.Namespace, path: str | None = None) -> ProjectRequest:
    """The project as the arguments name it."""
    return ProjectRequest(
        path=path or getattr(args, "project", None),
        files=tuple(getattr(args, "file", ())),
        env_files=tuple(getattr(args, "env_file", ())),
        profiles=tuple(p for text in getattr(args, "profile", ()) for p in text.split(",") if p),
        name=getattr(args, "project_name", None),
        project_directory=getattr(args, "project_directory", None),
        context=getattr(args, "context", None),
    )


def check_project(request: ProjectRequest) -> None:
    """A PROJECT that is not there is bad input, whatever the verb."""
    if request.path is not None and not Path(request.path).exists():
        raise UsageError(msg("There is no project at {path}: it is neither a directory nor a file.", path=request.path))


def split_words(words: list[str]) -> tuple[str | None, str | None]:
    """[PROJECT] [SNAPSHOT]: of one word, what exists is the project, all else a snapshot's id."""
    if len(words) > 2:
        raise UsageError(msg("Too many words: {words}. It takes a project and a snapshot.", words=" ".join(words)))
    if len(words) == 2:
        return words[0], words[1]
    if not words:
        return None, None
    return (words[0], None) if Path(words[0]).exists() else (None, words[0])


def split_named(words: list[str]) -> str | None:
    """The project of [PROJECT] NAME, None where it is not named."""
    if len(words) > 2:
        raise UsageError(msg("Too many words: {words}. It takes a project and a name.", words=" ".join(words)))
    return words[0] if len(words) == 2 else None


def absolute(request: ProjectRequest) -> ProjectRequest:
    """The same project seen from anywhere: for a saved plan."""
    here = Path.cwd()

    def full(path: str) -> str:
        return path if path == "-" else os.path.normpath(here / path)

    return ProjectRequest(
        path=full(request.path or "."),
        files=tuple(full(p) for p in request.files),
        env_files=tuple(full(p) for p in request.env_files),
        profiles=request.profiles,
        name=request.name,
        project_directory=full(request.project_directory) if request.project_directory else None,
        context=request.context,
    )


def project_arguments(request: ProjectRequest) -> list[str]:
    """The command line that names that project."""
    several = (("-f", request.files), ("--env-file", request.env_files), ("--profile", request.profiles))
    one = (
        ("-p", request.name),
        ("--project-directory", request.project_directory),
        ("--context", request.context),
    )
    found = [part for flag, values in several for value in values for part in (flag, value)]
    found += [part for flag, value in one if value for part in (flag, value)]
    return [*found, *([request.path] if request.path else [])]


def ask(out: Output, question: str) -> bool:
    """Ask on stderr, read one line from stdin; anything but yes is no."""
    out.wipe()
    sys.stderr.write(out.clean(question) + " [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes", _("y"), _("yes"))
