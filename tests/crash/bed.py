"""A small stack that is crashed again and again: run nftui to a fault, look, bring it back, compare everything."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nftui.engine.follow import load
from nftui.engine.journal import Entry, read_journal
from nftui.engine.place import read_identity
from nftui.engine.state import ProjectState
from nftui.system.clock import SystemClock
from nftui.system.identity import ProcessId
from tests.crash.injector import Fault
from tests.e2e.command import ROOT, Done, Nftui, at_work, tree
from tests.stack.fixtures import copy_stack, remove_by_label
from tests.stack.running import Stack, docker, wait_until

COMPOSE = Path(__file__).parent / "stack" / "compose.yaml"
INJECT = Path(__file__).parent / "inject"
APPLY = ("apply", "--only", "postgres", "--yes", "--json", "--settle", "0")
ROLLBACK = ("rollback", "--yes", "--json")
RESUME = ("apply", "--resume", "--yes", "--json")
RECOVER = ("recover", "--json")
LAST_ACTS_S = 5
"""Waited only where a run ended without its fault."""
BOOT_ID = "NFTUI_TEST_BOOT_ID"


@dataclass(frozen=True)
class Point:
    """One moment at which a run is cut off."""

    event: str
    number: int
    when: str

    def __str__(self) -> str:
        return f"{self.when} {self.event}" + (f" ({self.number})" if self.number > 1 else "")


@dataclass(frozen=True)
class Faulty(Nftui):
    """The command, with a fault planted in the worker that it starts; `docker_host` names another engine."""

    fault: Fault | None = None
    project: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    package: Path = ROOT
    """Where nftui is imported from."""

    def environment(self) -> dict[str, str]:
        # What a worker leaves must lie there for us to look at: no guardian brings it back.
        places = dict.fromkeys([str(self.package), str(ROOT)])
        found = {**super().environment(), "NFTUI_GUARDIAN": "none", "PYTHONPATH": os.pathsep.join(places), **self.extra}
        if self.fault is not None:
            found |= {"NFTUI_TEST_FAULT": self.fault.encode(), "NFTUI_TEST_PROJECT": self.project}
        if self.fault is not None or BOOT_ID in self.extra:
            found["PYTHONPATH"] = os.pathsep.join([str(INJECT), *places])
        return found


@dataclass
class Bed:
    """The stack and what it was like."""

    stack: Stack
    state: Path
    """nftui's state directory: always the same path, for nftui's file names it; empty in each life."""
    logs: Path
    """Where the events of faulty runs are told: nothing happens to that place."""
    lives: int = 0
    first_env: bytes = b""
    extra: dict[str, str] = field(default_factory=dict)
    package: Path = ROOT
    patience: int = 110
    """Seconds within which a run comes to its fault."""

    @property
    def log(self) -> Path:
        """The events of the newest faulty run."""
        return self.logs / f"events{self.lives}.log"

    @property
    def words(self) -> Path:
        """What the newest run that was to be cut off said to its follower."""
        return self.logs / "words.txt"

    @property
    def said(self) -> str:
        """The end of it."""
        return self.words.read_text(errors="replace")[-1500:] if self.words.exists() else ""

    @property
    def nftui(self) -> Faulty:
        """The command without a fault."""
        return Faulty(self.stack.directory, self.state, None, self.stack.project, self.extra, self.package)

    def new_life(self) -> None:
        """Forget every run: the stack must be as it was before the first."""
        shutil.rmtree(self.state, ignore_errors=True)
        self.lives += 1
        self.state.mkdir(mode=0o700)

    # -- runs with a fault
    def fault(self, point: Point | None = None, death: str = "worker") -> Fault:
        """A fault at `point`, or none but the log."""
        watch = [str(self.stack.directory), str(self.state)]
        plain = Fault(str(self.log), watch=watch)
        if point is None:
            return plain
        return replace(plain, event=point.event, number=point.number, when=point.when, death=death)

    def events(self, *command: str, code: int = 0) -> list[tuple[str, int]]:
        """All that a whole run does, in order."""
        self.log.unlink(missing_ok=True)
        done = replace(self.nftui, fault=self.fault())(*command, timeout=self.patience + 60)
        assert done.code == code, done.out + done.err
        return [
            (name, int(number)) for name, number in (line.split("\t") for line in self.log.read_text().splitlines())
        ]

    def crash(self, point: Point, death: str, *command: str) -> bool:
        """Run until the fault has struck; False where the run came to its end before (`said` has its last words)."""
        self.log.unlink(missing_ok=True)
        doomed = replace(self.nftui, fault=self.fault(point, death))
        with self.words.open("wb") as words, subprocess.Popen(
            doomed.command(*command), cwd=doomed.directory, env=doomed.environment(), stdin=subprocess.DEVNULL,
            stdout=words, stderr=subprocess.STDOUT,
        ) as follower:  # fmt: skip
            wait_until(lambda: follower.poll() is not None or self._died(), seconds=self.patience, what=f"{point}")
            follower.kill()
        struck = self._reached("# died")
        wait_until(lambda: not self.worker_lives(), seconds=60, what="the worker's death")
        if struck and death in ("power", "torn"):
            self.restart_machine()
        return struck

    def disturb(self, point: Point, death: str, *command: str, by: Sequence[str] = ()) -> tuple[bool, Done]:
        """A run that something happens to and that goes on; whether it happened, and how the run ended."""
        self.log.unlink(missing_ok=True)
        fault = replace(self.fault(point, death), command=list(by))
        done = replace(self.nftui, fault=fault)(*command)
        struck = self._reached("# struck")
        wait_until(lambda: not self.worker_lives(), seconds=60, what="the worker's end")
        return struck, done

    def _reached(self, mark: str) -> bool:
        """Whether it happened: a worker's last acts come after the end that its followers wait for."""
        end = time.monotonic() + LAST_ACTS_S
        while not (self.log.exists() and mark in self.log.read_text()):
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def _died(self) -> bool:
        return self.log.exists() and "# died" in self.log.read_text()

    def worker_lives(self) -> bool:
        """Whether a worker of this life still runs."""
        notes = [p for name in ("worker", "guardian") for p in self.state.glob(f"*/runs/*/{name}.json")]
        found = (ProcessId.from_json(load(path)) for path in notes)
        # Their boot is the simulated one.
        if any(replace(process, boot=SystemClock().boot_id()).alive for process in found if process is not None):
            return True
        # A disk that is gone has no notes to read; the worker's own words name its run.
        return at_work(self.state)

    def restart_machine(self) -> None:
        """What ran dies where it stands, and the engine starts it again, as after a power failure; another boot."""
        boot = self.logs / "boot_id"
        boot.write_text(f"{uuid.uuid4()}\n")
        self.extra[BOOT_ID] = str(boot)
        label = f"label=com.docker.compose.project={self.stack.project}"
        ran = docker("ps", "--quiet", "--filter", label).split()
        # One that is being stopped by now dies of that, and stays down.
        if killed := docker("kill", *ran, check=False).split() if ran else []:
            docker("start", *killed)

    def reset(self) -> None:
        """A new stack in the same place, whatever a failed trial left."""
        remove_by_label(self.stack)
        for path in self.stack.directory.glob("*nftui*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (self.stack.directory / ".env").write_bytes(self.first_env)
        self.new_life()
        self.stack.up()

    # -- comparing
    def picture(self) -> dict[str, Any]:
        """Everything that must be exactly old or exactly new: files, containers, settings, rows."""
        return {"files": self.picture_of_files(), **containers(self.stack), **database(self.stack)}

    def picture_of_files(self) -> dict[str, tuple[str, int, int]]:
        """The project's part of it."""
        return tree(self.stack.directory)

    def judge(self, expected: Mapping[str, Any]) -> list[str]:
        """What is not as expected."""
        wait_until(lambda: healthy(self.stack), seconds=60, what="health")
        now = self.picture()
        return [f"{key}: {differences(expected[key], now[key])}" for key in expected if now[key] != expected[key]]

    def invariants(self, generation: int) -> list[str]:
        """The state directory after a recovery: no run is open, every blob is whole, the generation stands."""
        found = []
        for state in self.project_states():
            if cut_off := state.interrupted():
                found.append(f"{cut_off.name} is still open")
            if state.in_force().generation != generation:
                found.append(f"generation {state.in_force().generation}, not {generation}")
            blobs = [p for p in (state.root / "blobs").glob("*/*") if len(p.name) == 64]
            found += [f"damaged blob {p}" for p in blobs if not state.blobs.whole(p.name)]
        return found

    def project_states(self) -> list[ProjectState]:
        """One, or none where nothing was written yet."""
        found = (read_identity(p) for p in self.state.iterdir())
        return [ProjectState(self.state, project) for project in found if project is not None]

    def journal(self) -> list[Entry]:
        """The newest run's."""
        runs = [run for state in self.project_states() for run in state.runs()]
        return read_journal(runs[-1] / "journal.jsonl") if runs else []


def healthy(stack: Stack) -> bool:
    """Whether the one container runs and its check is green."""
    found = _inspect_all(stack)
    return bool(found) and all((c["State"].get("Health") or {}).get("Status") == "healthy" for c in found)


def _inspect_all(stack: Stack) -> list[dict[str, Any]]:
    label = f"label=com.docker.compose.project={stack.project}"
    ids = docker("ps", "--all", "--quiet", "--filter", label).split()
    return json.loads(docker("container", "inspect", *ids)) if ids else []


NEEDS = "com.docker.compose.depends_on"
"""Compose lists them in the order of a hash table."""
CHANCE = ("com.docker.compose.replace", "com.docker.compose.image")


def containers(stack: Stack) -> dict[str, Any]:
    """Containers without what has to differ: ids, times, addresses."""
    found = []
    for item in _inspect_all(stack):
        labels = {k: v for k, v in item["Config"]["Labels"].items() if k not in CHANCE}
        if NEEDS in labels:
            labels[NEEDS] = ",".join(sorted(labels[NEEDS].split(",")))
        # Compose passes variables in the order of a hash table, and lists mounts so.
        variables = sorted(item["Config"]["Env"])
        config = {**item["Config"], "Hostname": None, "Labels": labels, "Env": variables}
        # An engine that was restarted writes an empty list where there was none.
        host = {k: v for k, v in item["HostConfig"].items() if v and k != "ContainerIDFile"}
        for key in ("Mounts", "Binds"):
            host[key] = sorted(map(str, host.get(key) or []))
        found.append({"name": item["Name"], "image": item["Image"], "config": config, "host": host,
                      "status": item["State"]["Status"]})  # fmt: skip
    return {"containers": sorted(found, key=lambda c: str(c["name"]))}


def database(stack: Stack) -> dict[str, Any]:
    """Every setting of the running server with its source, and all rows."""
    with stack.postgres() as connection:
        settings = connection.execute("SELECT name, setting, source, reset_val FROM pg_settings ORDER BY name")
        found = {row[0]: row[1:] for row in settings if row[0] not in ("application_name", "client_encoding")}
        rows = connection.execute("SELECT count(*), md5(string_agg(c::text, ',' ORDER BY id)) FROM contacts c")
        return {"settings": found, "rows": rows.fetchone()}


def differences(expected: Any, actual: Any, at: str = "") -> str:
    """Where two pictures differ, one line each."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        keys = sorted({*expected, *actual}, key=str)
        parts = [differences(expected.get(k), actual.get(k), f"{at}.{k}") for k in keys]
        return "; ".join(p for p in parts if p)
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        parts = [differences(e, a, f"{at}[{i}]") for i, (e, a) in enumerate(zip(expected, actual, strict=True))]
        return "; ".join(p for p in parts if p)
    return "" if expected == actual else f"{at}: {expected!r} became {actual!r}"


def make_bed(
    parent: Path, *, state: Path | None = None, logs: Path | None = None, extra: Mapping[str, str] | None = None,
    compose: Path = COMPOSE,
) -> Bed:  # fmt: skip
    """The stack, not started, in a directory of its own below `parent`."""
    stack = copy_stack(parent, "15", {})
    shutil.copy2(compose, stack.directory / "compose.yaml")
    env = (stack.directory / ".env").read_bytes()
    bed = Bed(stack, state or parent / "state", logs or parent, first_env=env, extra=dict(extra or {}))
    bed.new_life()
    return bed
