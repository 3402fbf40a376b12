"""What surrounds a project and limits what nftui can do there: kinds of engines, stack managers, old containers.

Each becomes one Problem: one line that says what is the case, and what still works.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nftui.model.message import Message, msg
from nftui.model.stack import Container, Engine, Invocation, Problem
from nftui.probes.inspected import CONFIG_FILES, ENVIRONMENT_FILE, PROJECT, VERSION, WORKING_DIR, files_of, is_one_off
from nftui.probes.project import is_own

ELSEWHERE = "runs-as-another-project"
"""Id of the problem that these files run under another name."""
ARM = ("aarch64", "arm64", "armv7l", "arm")
_LABELS = {
    "coolify.": "coolify",
    "dokploy": "dokploy",
    "io.casaos": "casaos",
    "casaos": "casaos",
    "caprover": "caprover",
}
"""Start of a label's name to the manager that sets it."""
_DIRECTORIES = {
    "/data/compose/": "portainer",
    "/data/coolify/": "coolify",
    "/etc/dokploy/": "dokploy",
    "/var/lib/casaos/": "casaos",
    "/opt/stacks/": "dockge",
}
"""Where a manager keeps the Compose files of its stacks, on the host or in its own container."""
_WATCHERS = ("watchtower", "diun-updater", "ouroboros")
_REDEPLOY = ("portainer", "coolify", "dokploy", "casaos", "caprover")


def problem(id: str, message: Message, *blocks: str) -> Problem:
    """A Problem with its text rendered in English."""
    return Problem(id, str(message), None, blocks, message)


def engine_problems(engine: Engine) -> list[Problem]:
    """What is special about the engine."""
    found = [
        (not engine.local and engine.product != "desktop", problem("engine-remote", msg(
            "The engine at {host} is on another machine: nftui reads it, and applies only where it runs itself.",
            host=engine.endpoint), "apply")),
        (engine.product == "podman", problem("engine-podman", msg(
            "This is Podman, not Docker: check and plan work, apply is not supported."), "apply")),
        (engine.product == "desktop", problem("engine-desktop", msg(
            "Docker Desktop runs containers in a virtual machine with memory and disks of its own: check and plan "
            "work, apply is not supported."), "apply")),
        (engine.product == "snap", problem("engine-snap", msg(
            "Docker is a snap here: it can mount only files below the home directories, so keep the project there."))),
        (engine.rootless, problem("engine-rootless", msg(
            "The engine runs rootless: limits hold only where cgroup v2 delegates them, and owners of files are "
            "mapped; data moves are not offered."))),
        (engine.userns_remap, problem("engine-userns", msg(
            "The engine remaps user ids: files that nftui makes for services get the mapped owner."))),
        (engine.selinux, problem("engine-selinux", msg(
            "SELinux confines containers: what nftui mounts carries the label container_file_t (mount option z)."))),
        (engine.swarm, problem("engine-swarm", msg(
            "Swarm is active on this engine: nftui tunes Compose projects and leaves `docker stack` alone."))),
        (engine.architecture in ARM, problem("engine-arm", msg(
            "This is an ARM machine ({architecture}): images that nftui adds must exist for it.",
            architecture=engine.architecture))),
    ]  # fmt: skip
    return [entry for applies, entry in found if applies]


def managers(containers: Iterable[Container], neighbours: Iterable[Mapping[str, object]]) -> tuple[str, ...]:
    """Stack managers that deploy this project (by label or directory) or watch this engine (by image).

    `neighbours` are summaries of all containers of the engine.
    """
    found = {name for c in containers for name in _deployers(c)}
    for summary in neighbours:
        image = str(summary.get("Image") or "").rpartition("/")[2]
        found |= {"watchtower" for word in _WATCHERS if image.startswith(word)}
    return tuple(sorted(found))


def _deployers(container: Container) -> set[str]:
    labels = container.labels
    found = {name for start, name in _LABELS.items() if any(label.startswith(start) for label in labels)}
    place = labels.get(WORKING_DIR, "") + "/"
    found |= {name for start, name in _DIRECTORIES.items() if place.startswith(start)}
    if "com.docker.stack.namespace" in labels:
        found.add("swarm")
    return found


def manager_problems(names: Sequence[str]) -> list[Problem]:
    """Managers that would redeploy without nftui's file."""
    deployers = [n for n in names if n in _REDEPLOY]
    found = []
    if deployers:
        found.append(problem("manager-redeploys", msg(
            "{managers} deploys this stack and would drop nftui's file at the next deployment: plan and export work, "
            "apply needs --force.", managers=", ".join(deployers)), "apply"))  # fmt: skip
    if "watchtower" in names:
        text = msg("Watchtower recreates containers when their tag moves: pin the images of tuned services.")
        found.append(problem("manager-watchtower", text))
    return found


def stack_services(neighbours: Iterable[Mapping[str, object]], project: str) -> list[Problem]:
    """Containers of `docker stack` (Swarm) that carry the project's name."""
    for summary in neighbours:
        labels = summary.get("Labels")
        if isinstance(labels, Mapping) and labels.get("com.docker.stack.namespace") == project:
            return [problem("stack-swarm", msg(
                "{project} also runs as a Swarm stack (`docker stack`): nftui does not touch those services.",
                project=project), "apply")]  # fmt: skip
    return []


def elsewhere(invocation: Invocation, neighbours: Iterable[Mapping[str, object]], project: str) -> tuple[str, ...]:
    """Other projects that run from the files of this one: all of them, with or without more, or some of them alone.

    Projects that only have a base file in common, each with files of its own, are different stacks.
    """
    mine, found = {os.path.realpath(path) for path in invocation.files}, set()
    for summary in neighbours:
        labels, name = summary.get("Labels"), project_of(summary)
        if isinstance(labels, Mapping) and name not in ("", project) and summary.get("State") == "running":
            theirs = _started_from(labels)
            if theirs and not is_one_off(labels) and (theirs <= mine or mine <= theirs):
                found.add(name)
    return tuple(sorted(found))


def _started_from(labels: Mapping[str, str]) -> set[str]:
    """The files in a container's labels, nftui's own left out; Compose 1 wrote them relative to the directory."""
    place = labels.get(WORKING_DIR) or "/"
    listed = (f for f in labels.get(CONFIG_FILES, "").split(",") if f and not is_own(f))
    return {os.path.realpath(Path(place) / f) for f in listed}


def elsewhere_problems(names: Sequence[str], project: str, *, running: bool) -> list[Problem]:
    """These files run under another name; `running`: something runs under this one too."""
    if not names:
        return []
    others = ", ".join(names)
    if running:
        return [problem(ELSEWHERE, msg(
            "The same files also run as {others}: what nftui writes beside them for {project} takes part in the next "
            "`docker compose up` of {others} too.", others=others, project=project))]  # fmt: skip
    return [problem(ELSEWHERE, msg(
        "Nothing runs as project {project}; the same files run as {others}. Say -p {first}.",
        project=project, others=others, first=names[0]), "apply")]  # fmt: skip


def container_problems(invocation: Invocation, containers: Sequence[Container]) -> list[Problem]:
    """What the labels of the running containers tell about how they were started."""
    live = [c for c in containers if not c.one_off]
    return [*_old_compose(live), *_absent_files(live), *_other_files(invocation, live)]


def _old_compose(containers: Sequence[Container]) -> list[Problem]:
    old = sorted({c.labels[VERSION] for c in containers if c.labels.get(VERSION, "").startswith("1.")})
    if not old:
        return []
    return [problem("compose-v1-containers", msg(
        "The containers were made by Compose {version}: the next `docker compose up` recreates all of them. Run it "
        "once in a quiet hour, then apply.", version=", ".join(old)), "apply")]  # fmt: skip


def _absent_files(containers: Sequence[Container]) -> list[Problem]:
    files = {f for c in containers for f in files_of(c)}
    absent = sorted(f for f in files if not Path(f).exists() and not is_own(f))
    if not absent:
        return []
    return [problem("started-from-absent-files", msg(
        "Containers were started from {files}, which is not on this machine: where they were started, other settings "
        "may hold. Compare before you apply.", files=", ".join(absent)), "apply")]  # fmt: skip


def _other_files(invocation: Invocation, containers: Sequence[Container]) -> list[Problem]:
    """Containers that were started from other files than nftui was pointed at; nftui's own do not count."""
    lists = {tuple(os.path.realpath(f) for f in files_of(c) if not is_own(f)) for c in containers if files_of(c)}
    mine = tuple(os.path.realpath(f) for f in invocation.files)
    others = sorted(lists - {mine})
    if not others:
        return []
    shown = " | ".join(" ".join(files) for files in others)
    if len(lists) > 1:
        return [problem("labels-disagree", msg(
            "Containers of this project were started from different lists of files ({files}): a plain `up` will "
            "change some of them.", files=shown))]  # fmt: skip
    return [problem("started-from-other-files", msg(
        "The containers were started from {files}, not from {mine}: name the same files by -f.",
        files=shown, mine=" ".join(mine)), "apply")]  # fmt: skip


def label_env_files(invocation: Invocation, containers: Sequence[Container]) -> tuple[str, ...]:
    """Env files that the containers were started with, where all agree and it is not the default; else empty."""
    lists = {c.labels.get(ENVIRONMENT_FILE, "") for c in containers if not c.one_off}
    files = tuple(f for f in (lists.pop() if len(lists) == 1 else "").split(",") if f)
    default = str(Path(invocation.directory) / ".env")
    if not files or files == (default,) or not all(Path(f).is_file() for f in files):
        return ()
    return files


def project_of(summary: Mapping[str, object]) -> str:
    """The Compose project of a container's summary, "" where it has none."""
    labels = summary.get("Labels")
    return str(labels.get(PROJECT) or "") if isinstance(labels, Mapping) else ""
