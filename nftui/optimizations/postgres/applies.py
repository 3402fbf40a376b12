"""Which servers may be recreated with new settings, and why the others must not be touched (engine.md 7)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from nftui.model.advice import Applicability
from nftui.model.message import Message, msg
from nftui.model.stack import Role
from nftui.optimizations._command.command import CannotMerge
from nftui.optimizations._servers import split
from nftui.optimizations.postgres.command import merge
from nftui.optimizations.postgres.data import (
    data_directory,
    deepest,
    hidden_volume,
    live_facts,
    major_version,
    running_mount,
)
from nftui.optimizations.postgres.gucs import NEWEST, OLDEST
from nftui.optimizations.postgres.images import is_bitnami, manager

if TYPE_CHECKING:
    from nftui.model.facts import Facts
    from nftui.model.stack import Service


def applicability(facts: Facts) -> Applicability:
    """Active PostgreSQL servers, split into those that can be tuned and those that are refused."""
    servers = facts.stack.with_role(Role.POSTGRES)
    if not servers:
        return Applicability(False, msg("No PostgreSQL server is active in this stack."))
    good, refused = split(servers, partial(refusal_of, facts))
    if not good:
        reason = next(iter(refused.values())) if len(refused) == 1 else msg("None of its servers can be tuned.")
        return Applicability(False, reason, (), refused)
    return Applicability(
        True, msg("PostgreSQL servers that can be tuned: {names}.", names=", ".join(good)), good, refused
    )


def refusal_of(facts: Facts, service: Service) -> Message | None:
    """Why that server must not be touched, None where it may be."""
    for check in (_managed, _version, _standby, _files_gone, _scaled, _data, _command):
        reason = check(facts, service)
        if reason is not None:
            return reason
    return None


def _managed(facts: Facts, service: Service) -> Message | None:
    name = manager(service)
    if name is not None:
        return msg("{service} is managed by {name}, which owns its settings.", service=service.name, name=name)
    if is_bitnami(service):
        return msg("{service} is a Bitnami image: its own scripts start the server.", service=service.name)
    return None


def _version(facts: Facts, service: Service) -> Message | None:
    major = major_version(facts, service)
    if major is None:
        return msg("The version of {service} cannot be told: start it, or name it in the tag.", service=service.name)
    if not OLDEST <= major <= NEWEST:
        return msg(
            "{service} is PostgreSQL {major}; {oldest} to {newest} are known.",
            service=service.name, major=major, oldest=OLDEST, newest=NEWEST,
        )  # fmt: skip
    return None


def _standby(facts: Facts, service: Service) -> Message | None:
    live = live_facts(facts, service)
    if live is None or not live.in_recovery:
        return None
    return msg("{service} is a standby: its values follow its primary's.", service=service.name)


def _files_gone(facts: Facts, service: Service) -> Message | None:
    """Recreating from other files than those it was started from would be a guess."""
    label = service.running.labels.get("com.docker.compose.project.config_files", "") if service.running else ""
    known = [facts.files.get(path) for path in label.split(",") if path]
    gone = [fact.path for fact in known if fact is not None and fact.content is None]
    if not gone:
        return None
    return msg("{service} was started from {file}, which is not there.", service=service.name, file=gone[0])


def _scaled(facts: Facts, service: Service) -> Message | None:
    if service.scale <= 1:
        return None
    return msg(
        "{service} runs {count} times; servers cannot share one data directory.",
        service=service.name,
        count=service.scale,
    )


def _data(facts: Facts, service: Service) -> Message | None:
    """A recreated container starts with what lies on its mounts, and with nothing else."""
    directory = data_directory(facts, service)
    if directory is None:
        return msg("Where {service} keeps its data cannot be told: set PGDATA.", service=service.name)
    declared = deepest(service.mounts, directory)
    running = running_mount(service, directory)
    if declared is not None and declared.type == "tmpfs":
        return msg("The data of {service} is in memory; a recreate would lose it.", service=service.name)
    hidden = hidden_volume(facts, service, directory)
    if declared is None and running is None and not hidden:
        return msg(
            "No mount holds {path} of {service}; a recreate would lose its data.", path=directory, service=service.name
        )
    if declared is None or hidden or declared.anonymous or (running is not None and running.target != declared.target):
        return msg("The data of {service} lies on an anonymous volume; name it first.", service=service.name)
    if service.running is not None and service.running.mounts and running is None:
        return msg("The running {service} has no mount on {path}.", service=service.name, path=directory)
    return None


def _command(facts: Facts, service: Service) -> Message | None:
    try:
        merge(service, {"work_mem": "4MB"})
    except CannotMerge as error:
        return msg("{service}: {reason}", service=service.name, reason=error.message)
    return None
