"""Faults inside a worker that otherwise is the real one: every event is logged, and at one of them it dies.

An event is a journal line, a name that is switched or removed, a child that changes containers, a request to the
engine, one that changes a service. It has a name and a number (how often that name came before), so that a point of one
run is found in another.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, NoReturn

from tests.crash.disk import Disk

MOMENTS = ("spawned", "stopping", "stopped", "created", "started")
"""Of a `docker compose up`: the child runs; 150 ms later; the old container does not run any more; there is a new
one; the new one runs."""
FILES = 200
"""After so many a copy is in its middle: a new PostgreSQL cluster has about a thousand."""
UNTOLD = (".progress", "progress.json")
"""Switched twice a second, by the clock: no point that could be found again."""


@dataclass(frozen=True)
class Fault:
    """What the worker shall do to itself; `event` "" only logs."""

    log: str
    event: str = ""
    number: int = 1
    when: str = "before"
    """before, during (half of a journal line; see MOMENTS for a child) or after."""
    death: str = "worker"
    """worker: alone, its children live on; children: with them; power: and what was not synced is lost;
    torn: as power, but the names are on the disk. command: no death, `command` is run and the worker goes on;
    clock: nor this, the wall clock jumps back by a day."""
    watch: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def encode(self) -> str:
        """For the environment."""
        return json.dumps(asdict(self))


class Planted:
    """One worker's fault."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.seen: Counter[str] = Counter()
        self.dying: int | None = None
        """The thread that ends this process: no other one does anything more."""
        # It holds what it watches open: a disk that is to be remounted or unmounted must not be held.
        self.disk = Disk(Path(p) for p in fault.watch if fault.death in ("power", "torn"))
        self.disk.install()

    def tell(self, text: str) -> None:
        """One line of the log, which lies outside of all that is watched."""
        with Path(self.fault.log).open("a") as log:
            log.write(text + "\n")

    def watches(self, path: str) -> bool:
        """Whether a name lies in what is watched; a relative one is relative to an open directory of the project."""
        return not path.startswith("/") or any(Path(path).is_relative_to(root) for root in self.fault.watch)

    def begin(self, event: str) -> Callable[[str], bool]:
        """Count the event; the answer says whether a moment of it is the fault's."""
        if self.dying not in (None, threading.get_ident()):
            time.sleep(60)
        self.seen[event] += 1
        number = self.seen[event]
        self.tell(f"{event}\t{number}")
        mine = (event, number) == (self.fault.event, self.fault.number)
        return lambda when: mine and when == self.fault.when

    def strike(self) -> None:
        """The fault itself."""
        if self.fault.death == "command":
            subprocess.run(self.fault.command, check=False, stdin=subprocess.DEVNULL, start_new_session=True)
            self.tell("# struck")
        elif self.fault.death == "clock":
            Shifted.by = timedelta(days=-1)
            self.tell("# struck")
        else:
            self.die()

    def die(self) -> NoReturn:
        """End as asked; nothing after this runs."""
        self.dying = threading.get_ident()
        if self.fault.death != "worker":
            for pid in children():
                kill_session(pid)
        if self.fault.death in ("power", "torn"):
            for line in self.disk.lose_power(keep_names=self.fault.death == "torn"):
                self.tell(f"# {line}")
        self.tell("# died")
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
        raise AssertionError

    def around(self, event: str, act: Callable[[], Any]) -> Any:
        """`act` as one event."""
        is_mine = self.begin(event)
        if is_mine("before"):
            self.strike()
        result = act()
        if is_mine("after"):
            self.strike()
        return result


class Shifted(datetime):
    """A wall clock that can be set."""

    by = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        """As the machine's, and `by`."""
        return datetime.now(tz) + cls.by


def set_clock() -> None:
    """Put a clock that can be set in the place of the machine's wall clock."""
    real = time.time
    time.time = lambda: real() + Shifted.by.total_seconds()
    vars(sys.modules["datetime"])["datetime"] = Shifted


def plant(text: str) -> None:
    """Read the fault from the environment and put it around what the worker does."""
    planted = Planted(Fault(**json.loads(text)))
    set_clock()
    _journal(planted)
    _names(planted)
    _children(planted)
    _requests(planted)
    _trees(planted)
    _helpers(planted)
    _services(planted)


def _journal(planted: Planted) -> None:
    from nftui.engine.journal import Journal

    original = Journal.write

    def write(self: Journal, phase: Any, step: str | None = None, **data: object) -> Any:
        is_mine = planted.begin(f"journal {phase}" + (f" {step.rpartition('/')[2]}" if step else ""))
        if is_mine("before"):
            planted.strike()
        if is_mine("during"):
            os.write = half  # type: ignore[assignment]
        entry = original(self, phase, step, **data)
        if is_mine("after"):
            planted.strike()
        return entry

    real = os.write

    def half(handle: int, data: bytes) -> int:
        real(handle, data[: len(data) // 2])
        planted.die()

    Journal.write = write  # type: ignore[method-assign]


def _names(planted: Planted) -> None:
    """Every switch and removal of a name in what is watched."""

    def wrap(kind: str, original: Callable[..., None], which: int) -> Callable[..., None]:
        def call(*arguments: Any, **options: Any) -> None:
            path, name = str(arguments[which]), label(str(arguments[which]))
            if name in UNTOLD or not planted.watches(path):
                return original(*arguments, **options)
            planted.around(f"{kind} {name}", lambda: original(*arguments, **options))
            return None

        return call

    os.replace = wrap("replace", os.replace, 1)
    os.unlink = wrap("unlink", os.unlink, 0)


def label(path: str) -> str:
    """The last part of a path; of what has a name by chance or content, its sort."""
    name = path.rpartition("/")[2]
    if len(name) == 64:
        return "blob"
    return "temporary" if name.endswith(".tmp") else name


def _children(planted: Planted) -> None:
    from nftui.system.compose import ComposeCli

    original = ComposeCli.up

    def up(self: ComposeCli, service: str, **options: Any) -> None:
        is_mine = planted.begin(f"up {service}")
        if is_mine("before"):
            planted.strike()
        if planted.fault.when in MOMENTS and is_mine(planted.fault.when):
            watch_up(planted, self.endpoint, service)
        original(self, service, **options)
        if planted.fault.when in ("after", *MOMENTS) and is_mine(planted.fault.when):
            planted.strike()

    ComposeCli.up = up  # type: ignore[method-assign]


def watch_up(planted: Planted, endpoint: Any, service: str) -> None:
    """Die at a moment of the child that is about to be started."""
    from nftui.system.docker import DockerEngine

    engine = DockerEngine(endpoint)

    def running() -> dict[str, str]:
        label = f"com.docker.compose.service={service}"
        project = os.environ["NFTUI_TEST_PROJECT"]
        found = [c for c in engine.containers(label) if c["Labels"]["com.docker.compose.project"] == project]
        return {c["Id"]: c["State"] for c in found}

    old = set(running())

    def reached() -> bool:
        now = running()
        return {
            "stopped": not any(now.get(i) == "running" for i in old),
            "created": bool(set(now) - old),
            "started": any(now[i] == "running" for i in set(now) - old),
        }[planted.fault.when]

    def wait() -> None:
        while not children():
            time.sleep(0.01)
        if planted.fault.when == "stopping":
            time.sleep(0.15)
        while planted.fault.when not in ("spawned", "stopping") and not reached():
            time.sleep(0.02)
        planted.die()

    threading.Thread(target=wait, daemon=True).start()


def _requests(planted: Planted) -> None:
    from nftui.system.docker import DockerEngine

    original = DockerEngine._act

    def act(self: DockerEngine, method: str, path: str, *arguments: Any, **options: Any) -> None:
        kind = path.rpartition("/")[2] if method == "POST" else path.split("/")[1]
        planted.around(f"{method.lower()} {kind}", lambda: original(self, method, path, *arguments, **options))

    DockerEngine._act = act  # type: ignore[method-assign]


def _trees(planted: Planted) -> None:
    """Every change of a tree of data; a copy also in its middle."""
    from nftui.system.trees import LocalTrees

    def wrap(name: str) -> Callable[..., None]:
        original: Callable[..., None] = getattr(LocalTrees, name)
        return lambda *arguments: planted.around(f"tree {name}", lambda: original(*arguments))

    for name in ("mark", "unmark", "rename", "make_directory", "drop_directory", "unwrap", "remove"):
        setattr(LocalTrees, name, wrap(name))
    original = LocalTrees.copy

    def copy(self: LocalTrees, source: str, target: str, rename: Any, progress: Any, *more: Any) -> None:
        is_mine, files = planted.begin("tree copy"), iter(range(FILES))

        def told(text: str, fraction: float | None) -> None:
            if next(files, None) is None and is_mine("during"):
                planted.strike()
            progress(text, fraction)

        original(self, source, target, rename, told, *more)
        if is_mine("after"):
            planted.strike()

    LocalTrees.copy = copy  # type: ignore[method-assign, assignment]


def _helpers(planted: Planted) -> None:
    """Helper containers: made, given a program, removed. A program is at work by the time of its "after"."""
    from nftui.system.helpers import DockerHelpers

    start, work, remove = DockerHelpers.start, DockerHelpers.work, DockerHelpers.remove
    serve = DockerHelpers.serve

    def made(self: DockerHelpers, *arguments: Any, **options: Any) -> str:
        return str(planted.around("helper start", lambda: start(self, *arguments, **options)))

    def served(self: DockerHelpers, *arguments: Any) -> str:
        return str(planted.around("helper serve", lambda: serve(self, *arguments)))

    def begun(self: DockerHelpers, helper: str, argv: Sequence[str], *, user: str = "") -> Any:
        return planted.around(f"helper {argv[3]}", lambda: work(self, helper, argv, user=user))

    DockerHelpers.start = made  # type: ignore[method-assign]
    DockerHelpers.serve = served  # type: ignore[method-assign, assignment]
    DockerHelpers.work = begun  # type: ignore[method-assign]
    DockerHelpers.remove = lambda self, helper: planted.around("helper remove", lambda: remove(self, helper))  # type: ignore[method-assign]


def _services(planted: Planted) -> None:
    """Requests that change something, to a service's own HTTP API; what has a name by chance is left out of theirs."""
    from nftui.clients.http import HttpClient

    send, download = HttpClient.send, HttpClient.download

    def named(path: str) -> str:
        parts = path.partition("?")[0].split("/")
        return parts[3] if len(parts) > 3 else parts[-1]

    def asked(self: HttpClient, method: str, path: str, *arguments: Any, **options: Any) -> Any:
        if method == "GET" or named(path) == "points":
            return send(self, method, path, *arguments, **options)
        return planted.around(f"http {method} {named(path)}", lambda: send(self, method, path, *arguments, **options))

    def fetched(self: HttpClient, path: str, *arguments: Any, **options: Any) -> Any:
        return planted.around(f"http fetch {named(path)}", lambda: download(self, path, *arguments, **options))

    HttpClient.send = asked  # type: ignore[method-assign]
    HttpClient.download = fetched  # type: ignore[method-assign]


# -- processes ---------------------------------------------------------------------------------------------------
def stats() -> list[tuple[int, list[str]]]:
    """Every process with the fields of /proc/PID/stat that follow its name: state, parent, group, session, ..."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            found.append((int(path.parent.name), path.read_text().rpartition(")")[2].split()))
        except OSError:
            continue
    return found


def children() -> Sequence[int]:
    """Living children of this process."""
    return [pid for pid, fields in stats() if int(fields[1]) == os.getpid() and fields[0] != "Z"]


def kill_session(leader: int) -> None:
    """SIGKILL for all of a session: the Docker CLI starts Compose in a group of its own."""
    for _ in range(20):
        found = [pid for pid, fields in stats() if int(fields[3]) == leader and fields[0] != "Z"]
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if not found:
            return
