"""Docker Compose, bound to one project on one engine: every call names both explicitly.

What a child sees of the environment: nftui's own, so that `${NAME}` in Compose files resolves as in the
operator's shell, except
- NFTUI_* and what flags say explicitly (COMPOSE_FILE, COMPOSE_PATH_SEPARATOR, COMPOSE_PROJECT_NAME,
  COMPOSE_ENV_FILES, DOCKER_CONTEXT) are left out; COMPOSE_PROFILES is set even where it is empty, so
  that the one in `.env` cannot add to what nftui was told;
- COMPOSE_REMOVE_ORPHANS is forced off and COMPOSE_IGNORE_ORPHANS on: nftui removes no container;
- PWD and the working directory are `Invocation.working_directory`.
Under sudo the environment is what sudo leaves of it: variables that existed only in the shell are gone,
which shows as a pending change of the services that use them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace
from typing import Any, Protocol, cast

from nftui.model.dataclass import dataclass
from nftui.model.errors import UsageError
from nftui.model.message import Message, msg
from nftui.model.patterns import regex
from nftui.model.stack import Invocation, Problem
from nftui.system.endpoint import Endpoint
from nftui.system.processes import CommandError, CommandMissing, Commands, Completed
from nftui.system.redaction import Redactor

Json = dict[str, Any]

MINIMUM = (2, 18, 0)
"""The first Compose with `--dry-run` and `!reset`. Source: docker/compose release notes, v2.18.0."""
READ_TIMEOUT_S = 60.0
"""Seconds for `config`: it may read env files and includes over a slow disk, never the network."""
_DROPPED = ("COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR", "COMPOSE_PROJECT_NAME", "COMPOSE_ENV_FILES", "DOCKER_CONTEXT")
_DRY_RUN = regex(r"DRY-RUN MODE\s+-\s+Container\s+(?P<name>\S+)\s+(?P<word>[A-Z]\w+)")
_WORDS = {"Recreate": "recreate", "Recreated": "recreate", "Creating": "create", "Removing": "remove",
          "Stopping": "stop", "Running": "running", "Starting": "start", "Created": "start"}  # fmt: skip
_RANK = ("running", "start", "stop", "remove", "create", "recreate")
_TEMPORARY = regex(r"^[0-9a-f]{12}_")
"""Prefix of the old container's name while its successor is made."""


class ComposeError(UsageError):
    """Compose is missing, too old, or refused the project; `id` says which, `said` is its own redacted text."""

    def __init__(self, id: str, message: Message, said: str = "") -> None:
        super().__init__(message)
        self.id = id
        self.said = said

    def problem(self) -> Problem:
        """The same as a problem of the stack."""
        # Without Compose the plain files still make a plan; what Compose refuses is no project to plan for.
        blocks = ("apply",) if self.id == "compose-missing" else ("plan", "apply")
        return Problem(self.id, str(self.message), None, blocks, self.message)


class ComposePort(Protocol):
    """Port for Compose. Calls raise ComposeError, or CommandError where the child broke otherwise."""

    @property
    def invocation(self) -> Invocation: ...

    def version(self) -> str: ...
    def config(
        self, *, with_override: bool = False, interpolate: bool = True, profiles: Sequence[str] | None = None
    ) -> Json: ...
    def hashes(self, document: Mapping[str, object], ids: Mapping[str, str] | None = None) -> dict[str, str]: ...
    def dry_run_up(
        self, services: Sequence[str] = (), *, with_override: bool = True, scales: Mapping[str, int] | None = None
    ) -> dict[str, str]: ...
    def bound(self, invocation: Invocation) -> ComposePort: ...
    def with_override(self, override: str | None) -> ComposePort: ...


@dataclass(frozen=True)
class ComposeCli:
    """`docker compose` (or a stand-alone `docker-compose` of version 2)."""

    commands: Commands
    invocation: Invocation
    endpoint: Endpoint
    environ: Mapping[str, str]
    override: str | None = None
    """nftui's file; calls with_override load it last. None: there is none."""
    redactor: Redactor = field(default_factory=Redactor)
    plugin: str | None = None
    """The plugin's own program (nftui.system.plugin): asked first where only files are read."""
    _found: dict[str, tuple[tuple[str, ...], str]] = field(default_factory=dict)

    def bound(self, invocation: Invocation) -> ComposeCli:
        """The same Compose for another invocation."""
        return replace(self, invocation=invocation)

    def with_override(self, override: str | None) -> ComposeCli:
        """The same project with another file of nftui's, e.g. one that is only planned."""
        return replace(self, override=override)

    # -- the program ---------------------------------------------------------------------------------------
    def version(self) -> str:
        """Version of Compose, "2.26.1". Raises ComposeError where it is missing or older than MINIMUM."""
        return self._program()[1]

    def _program(self) -> tuple[tuple[str, ...], str]:
        if "program" not in self._found:
            self._found["program"] = self._search()
        return self._found["program"]

    def _plugin(self) -> tuple[str, ...]:
        return ("docker", *self.endpoint.arguments, "compose")

    def _search(self) -> tuple[tuple[str, ...], str]:
        for program in (self._plugin(), ("docker-compose",)):
            version = self._version_of(program)
            if version is None:
                continue
            if version_tuple(version) >= MINIMUM:
                return program, version
            if version_tuple(version) < (2,):
                raise ComposeError(
                    "compose-v1",
                    msg("Only Compose {version} is installed. Install Compose 2.18 or newer.", version=version),
                )
            raise ComposeError(
                "compose-old",
                msg(
                    "Compose {version} is too old for nftui: 2.18 or newer is needed to plan and apply.",
                    version=version,
                ),
            )
        raise ComposeError(
            "compose-missing",
            msg("Docker Compose is not installed: `docker compose version` fails. Install docker-compose-plugin."),
        )

    def _version_of(self, program: tuple[str, ...]) -> str | None:
        try:
            asked = (self.plugin,) if self.plugin and program == self._plugin() else program
            done = self.commands.run((*asked, "version", "--short"), env=self._environment(), timeout=READ_TIMEOUT_S)
        except CommandMissing:
            return None
        found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout)
        return found[0] if done.ok and found else None

    # -- reading -------------------------------------------------------------------------------------------
    def config(
        self, *, with_override: bool = False, interpolate: bool = True, profiles: Sequence[str] | None = None
    ) -> Json:
        """The project as Compose resolves it, with values as containers get them (`$`, not `$$`).

        `profiles` replaces those of the invocation. Without `interpolate` texts are as written. Raises ComposeError.
        """
        document = self._config(with_override=with_override, interpolate=interpolate, profiles=profiles)
        return cast("Json", _single_dollars(document)) if interpolate else document

    def config_with(self, override: str | None) -> Json:
        """The project resolved with that file as the last one. Raises ComposeError with Compose's words."""
        return self.with_override(override).config(with_override=override is not None)

    def _config(
        self, *, with_override: bool = False, interpolate: bool = True, profiles: Sequence[str] | None = None
    ) -> Json:
        arguments = ["config", "--format", "json", *([] if interpolate else ["--no-interpolate"])]
        done = self._by_plugin(arguments, with_override=with_override, profiles=profiles)
        if done is not None:
            return _document(done)
        if "program" in self._found:
            return _document(self._run(arguments, with_override=with_override, profiles=profiles))
        # Asking for the version first would cost half as much again; it is asked for if this fails.
        with suppress(CommandError):
            done = self._call(self._plugin(), arguments, with_override=with_override, profiles=profiles)
            if done.ok:
                return _document(done)
        if self._program()[0] == self._plugin() and done is not None:
            raise self._refused(done)
        return _document(self._run(arguments, with_override=with_override, profiles=profiles))

    def _by_plugin(
        self,
        arguments: Sequence[str],
        *,
        with_override: bool = False,
        profiles: Sequence[str] | None = None,
        input: str | None = None,
    ) -> Completed | None:
        """The plugin's own answer; None where there is no plugin, or it failed: `docker` is asked again then."""
        if self.plugin is None:
            return None
        with suppress(CommandError):
            done = self._call((self.plugin,), arguments, with_override=with_override, profiles=profiles, input=input)
            return done if done.ok else None
        return None

    def hashes(self, document: Mapping[str, object], ids: Mapping[str, str] | None = None) -> dict[str, str]:
        """Service to the config hash of a document of `config`: what the label of its container says when it is new.

        `config --hash` over the files themselves differs from the labels where a service has an env_file; over
        the resolved document it does not [X, Compose 2.26.1]. A service in another one's namespace is labelled
        with that one's container id: `ids` gives it, by service. Services with volumes_from, and those in a
        namespace without an id, are left out: nothing is known of theirs.
        """
        services = document.get("services")
        known = _placed(services if isinstance(services, Mapping) else {}, ids or {})
        text = json.dumps(_double_dollars({**document, "services": known}))
        arguments = ["config", "--no-consistency", "--hash", "*"]
        done = self._by_plugin(arguments, input=text, profiles=("*",))
        done = done or self._run(arguments, input=text, profiles=("*",))
        pairs = (line.split() for line in done.stdout.splitlines())
        return {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and pair[0] in known}

    def dry_run_up(
        self, services: Sequence[str] = (), *, with_override: bool = True, scales: Mapping[str, int] | None = None
    ) -> dict[str, str]:
        """Container name to what a plain `up` would do: recreate, create, start, stop, remove or running.

        Without `services` the whole project, which is what tells the truth: Compose 2.26 leaves dependencies that
        are not selected out of the hash, so that `--no-deps` reports a recreate where none is due [X]. What
        is made anew is decided before anything starts: with `-d` even a dry run waits half a second for each level
        of dependencies that must be healthy, and fails on one that is stopped or unhealthy [X].
        """
        return self._dry_run([*_scales(scales or {}), *services], with_override)

    def _dry_run(self, arguments: Sequence[str], with_override: bool) -> dict[str, str]:
        up = ["--dry-run", "up", "--no-start", "--no-build", "--pull", "never"]
        done = self._run([*up, *arguments], with_override=with_override)
        return actions(done.stdout + "\n" + done.stderr)

    # -- doing ---------------------------------------------------------------------------------------------
    def up(
        self,
        service: str,
        *,
        scale: int,
        grace_s: int,
        force: bool = False,
        companions: Mapping[str, int] | None = None,
        with_override: bool = True,
    ) -> None:
        """Recreate `service` where its definition changed (always with `force`), and nothing else (engine.md 7).

        `companions` are services that it depends on, with their running counts: selected along with it, they
        keep it from being recreated once more by the next plain `up` [X, Compose 2.26: the hash of a service
        contains only selected dependencies]. They are dropped where a dry run says that any would be touched.
        """
        beside = dict(companions or {})
        if beside and (force or not self._untouched(service, scale, beside, with_override)):
            beside = {}
        arguments = ["up", "-d", "--no-deps", "--no-build", "--pull", "never", "-t", str(grace_s)]
        arguments += ["--force-recreate"] if force else []
        arguments += [*_scales({service: scale, **beside}), service, *beside]
        # Stopping may take the whole grace of each container, and they are stopped one after the other at worst.
        self._run(arguments, with_override=with_override, timeout=grace_s * max(1, scale) + 600, changes=True)

    def _untouched(self, service: str, scale: int, beside: Mapping[str, int], with_override: bool) -> bool:
        arguments = ["--no-deps", *_scales({service: scale, **beside}), service, *beside]
        found = self._dry_run(arguments, with_override)
        return sum(1 for action in found.values() if action == "running") >= sum(beside.values())

    def stop(self, service: str, grace_s: int, *, with_override: bool = True) -> None:
        """Stop the containers of `service`; SIGKILL after `grace_s` seconds."""
        arguments = ["stop", "-t", str(grace_s), service]
        self._run(arguments, with_override=with_override, timeout=grace_s + 120, changes=True)

    # -- the call ------------------------------------------------------------------------------------------
    def _run(
        self,
        arguments: Sequence[str],
        *,
        with_override: bool = False,
        profiles: Sequence[str] | None = None,
        input: str | None = None,
        timeout: float = READ_TIMEOUT_S,
        changes: bool = False,
    ) -> Completed:
        program, _ = self._program()
        done = self._call(
            program, arguments, with_override=with_override, profiles=profiles, input=input, timeout=timeout,
            changes=changes,
        )  # fmt: skip
        if not done.ok:
            raise self._refused(done)
        return done

    def _call(
        self,
        program: Sequence[str],
        arguments: Sequence[str],
        *,
        with_override: bool = False,
        profiles: Sequence[str] | None = None,
        input: str | None = None,
        timeout: float = READ_TIMEOUT_S,
        changes: bool = False,
    ) -> Completed:
        chosen = self.invocation.profiles if profiles is None else tuple(profiles)
        files = [*self.invocation.files, *([self.override] if with_override and self.override else [])]
        argv = [*program, "--ansi", "never", *self._project()]
        # A document on stdin is the project, resolved already: no file, no env file.
        argv += ["-f", "-"] if input is not None else _repeat("-f", files)
        argv += [] if input is not None else _repeat("--env-file", self.invocation.env_files)
        argv += [*_repeat("--profile", chosen), *arguments]
        return self.commands.run(
            argv, env=self._environment(chosen), cwd=self._directory(), input=input, timeout=timeout, changes=changes
        )

    def _project(self) -> list[str]:
        name = ["-p", self.invocation.name] if self.invocation.name else []
        return [*name, "--project-directory", self.invocation.directory]

    def _directory(self) -> str:
        return self.invocation.working_directory or self.invocation.directory

    def _environment(self, profiles: Sequence[str] = ()) -> dict[str, str]:
        kept = {k: v for k, v in self.environ.items() if k not in _DROPPED and not k.startswith("NFTUI_")}
        kept |= {
            "COMPOSE_PROFILES": ",".join(p for p in profiles if p != "*"),
            "COMPOSE_IGNORE_ORPHANS": "1",
            "COMPOSE_REMOVE_ORPHANS": "0",
            "PWD": self._directory(),
        }
        # Also as variables, for a stand-alone docker-compose, which has no such arguments.
        if self.endpoint.context == "default":
            kept["DOCKER_HOST"] = self.endpoint.host
        else:
            kept.pop("DOCKER_HOST", None)
            kept["DOCKER_CONTEXT"] = self.endpoint.context
        return kept

    def _refused(self, done: Completed) -> ComposeError:
        lines = [line.strip() for line in self.redactor.text(done.stderr or done.stdout).splitlines()]
        words = [line for line in lines if line and "level=warning" not in line and "DRY-RUN" not in line]
        said = words[-1] if words else msg("exit code {code}", code=done.returncode)
        if done.returncode < 0:
            said = msg("ended by signal {number}, after: {reason}", number=-done.returncode, reason=said)
        return ComposeError("compose-refused", msg("Compose says: {reason}", reason=said), "\n".join(words))


def _placed(services: Mapping[str, Any], ids: Mapping[str, str]) -> Json:
    """Services with namespaces by container id; without those whose hash cannot be known."""
    found = {}
    for name, config in services.items():
        modes = {k: str(config.get(k) or "").removeprefix("service:") for k in ("network_mode", "ipc", "pid")}
        shared = {k: v for k, v in modes.items() if config.get(k) == f"service:{v}"}
        if config.get("volumes_from") or any(v not in ids for v in shared.values()):
            continue
        found[name] = {**config, **{k: f"container:{ids[v]}" for k, v in shared.items()}}
    return found


def _document(done: Completed) -> Json:
    return cast("Json", json.loads(done.stdout))


def version_tuple(version: str) -> tuple[int, ...]:
    """ "2.26.1-4" to (2, 26, 1)."""
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("-")[0].partition("+")[0])[:3])


def actions(text: str) -> dict[str, str]:
    """Container name to the weightiest action that a dry run announced for it."""
    found: dict[str, str] = {}
    for match in _DRY_RUN.finditer(text):
        action = _WORDS.get(match["word"])
        if action is None or _TEMPORARY.match(match["name"]):
            continue
        before = found.get(match["name"], action)
        found[match["name"]] = max(before, action, key=_RANK.index)
    return found


def _scales(scales: Mapping[str, int]) -> list[str]:
    return [part for name, count in scales.items() for part in ("--scale", f"{name}={count}")]


def _repeat(flag: str, values: Sequence[str]) -> list[str]:
    return [part for value in values for part in (flag, value)]


def _single_dollars(value: object) -> object:
    """`config` prints `$` as `$$`, so that its output can be read as a Compose file again."""
    return _texts(value, lambda text: text.replace("$$", "$"))


def _double_dollars(value: object) -> object:
    return _texts(value, lambda text: text.replace("$", "$$"))


def _texts(value: object, change: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _texts(entry, change) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_texts(entry, change) for entry in value]
    return value
