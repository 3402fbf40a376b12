"""What is written and what is read back: the service's keys, the read-back step, the assertions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.advice import Assertion, Fragment
from nftui.model.choices import Choices
from nftui.model.message import msg
from nftui.model.plan import StepSpec, Undo
from nftui.model.postgres import PostgresFacts
from nftui.model.units import compose_size, parse_size
from nftui.optimizations._servers import lines_by_service
from nftui.optimizations.postgres.command import merge
from nftui.optimizations.postgres.gucs import GUCS, stock
from nftui.optimizations.postgres.knobs import ID
from nftui.optimizations.postgres.server import Server, build_server
from nftui.steps.comparators import altered
from nftui.steps.settings import OF_ROLE_OR_DATABASE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.model.advice import Advice
    from nftui.model.facts import Facts

AUTOMATIC = "-1"
"""wal_buffers on its own: never written."""


def build_fragment(facts: Facts, advice: Iterable[Advice]) -> Fragment:
    """Every value that differs from what the service would have without nftui; an empty fragment where none does.

    It describes the whole of what shall be in force beside the declared files, so that it is the same after apply.
    """
    services: dict[str, dict[str, object]] = {}
    values: dict[str, dict[str, str]] = {}
    for service, lines in lines_by_service(facts, advice):
        name = service.name
        server = build_server(facts, service, Choices(), {}, ())  # whose clients bear on advice alone
        written = {line.knob: str(line.value) for line in lines if _is_written(server, line)}
        if written:
            services[name], values[name] = _keys(server, written), dict(sorted(written.items()))
    return Fragment(ID, services, values)


def _is_written(server: Server, line: Advice) -> bool:
    """True where the value differs from what would be in force without nftui."""
    value = line.value or ""
    if line.knob == "shm_size":
        return parse_size(value) != server.shm_declared
    if line.knob == "stop_grace_period":
        return int(value.removesuffix("s")) != server.grace_declared
    if line.knob not in GUCS or value in ("", AUTOMATIC):
        return False
    baseline = server.baseline(line.knob)
    if baseline is None and server.live is None:
        # Without a server to ask: the stock value needs no flag, whatever else a file in the volume may say.
        return value != stock(line.knob, server.major)
    return value != baseline


def _keys(server: Server, written: dict[str, str]) -> dict[str, object]:
    keys: dict[str, object] = {}
    settings = {name: value for name, value in written.items() if name in GUCS}
    if settings:
        keys["command"] = merge(server.service, settings)
    if "shm_size" in written:
        keys["shm_size"] = compose_size(parse_size(written["shm_size"]) or 0)
    if "stop_grace_period" in written:
        keys["stop_grace_period"] = written["stop_grace_period"]
    return keys


def settings_of(fragment: Fragment, service: str) -> dict[str, str]:
    """The server's own settings among what is written for that service."""
    return {name: value for name, value in fragment.values.get(service, {}).items() if name in GUCS}


def read_back_steps(facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
    """One step per service: every setting is read back from pg_settings and compared as SHOW prints it.

    `previous` is what stands now: the way back is proven by the same names. `files` is what the configuration files
    ask for now: what they ask for otherwise by then is somebody else's edit. `above` is what a role's or a database's
    own value hides from nftui's login.
    """
    return tuple(
        StepSpec(
            id=f"{ID}-settings:{service}",
            kind="postgres-settings",
            target=service,
            params={
                "expected": dict(sorted(expected.items())),
                "previous": _shown(facts, service, expected),
                "files": _in_files(facts, service, expected),
                **_above(facts, service, expected),
            },
            summary=msg("read {count} settings back from {service}", count=len(expected), service=service),
            service=service,
            optimization=ID,
            undo=Undo.EXACT,
        )
        for service in sorted(fragment.values)
        if (expected := settings_of(fragment, service))
    )


def _shown(facts: Facts, service: str, names: Iterable[str]) -> dict[str, str]:
    value = facts.live_value(service, "postgres")
    settings = value.settings if isinstance(value, PostgresFacts) else {}
    return {name: settings[name].shown for name in sorted(names) if name in settings}


def _in_files(facts: Facts, service: str, names: Iterable[str]) -> dict[str, str]:
    value = facts.live_value(service, "postgres")
    files = value.file_settings if isinstance(value, PostgresFacts) else {}
    return {name: files[name] for name in sorted(names) if name in files}


def _above(facts: Facts, service: str, names: Iterable[str]) -> dict[str, object]:
    found = {name: text for name, text in _shown(facts, service, names).items() if _is_above(facts, service, name)}
    return {"above": found} if found else {}


def _is_above(facts: Facts, service: str, name: str) -> bool:
    value = facts.live_value(service, "postgres")
    setting = value.settings.get(name) if isinstance(value, PostgresFacts) else None
    return setting is not None and setting.source in OF_ROLE_OR_DATABASE


def assertions(facts: Facts, fragment: Fragment) -> tuple[Assertion, ...]:
    """What shall hold from then on: each setting, what ALTER SYSTEM says of it, and the container's /dev/shm."""
    found: list[Assertion] = []
    for service, values in sorted(fragment.values.items()):
        live = facts.live_value(service, "postgres")
        for name, value in sorted(settings_of(fragment, service).items()):
            params = {"service": service, "name": name}
            if not _is_above(facts, service, name):
                found.append(Assertion("postgres-setting", f"{service}.{name}", value, params))
            if isinstance(live, PostgresFacts):
                target = f"{service}.{name} (ALTER SYSTEM)"
                found.append(Assertion("postgres-altered", target, altered(live, name), params))
        if "shm_size" in values:
            size = str(parse_size(values["shm_size"]))
            found.append(
                Assertion("container", f"{service}.shm_size", size, {"service": service, "field": "shm_bytes"})
            )
    return tuple(found)
