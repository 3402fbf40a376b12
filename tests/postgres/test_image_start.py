"""How the image itself starts the server: an entrypoint that names it, and settings that no file of the stack shows."""

from __future__ import annotations

from typing import Any

import pytest

from nftui.model.facts import Facts
from nftui.model.stack import Service
from nftui.model.units import GIB
from nftui.optimizations._command.command import CannotMerge
from nftui.optimizations.postgres import OPTIMIZATION
from nftui.optimizations.postgres.command import declared_flags, merge, shows_flags, written_flags

from .build import DATA, advise, choose, facts, fragment, live, ran, service, setting
from .test_command import OURS, TAIL

LARGE = 64 * GIB
CONFIG = ("-c", "config_file=/etc/pg.conf")
WRAPPER = "/usr/local/bin/docker-entrypoint.sh"


def built(entrypoint: tuple[str, ...], cmd: tuple[str, ...] | None, command: object = None, *words: str) -> Service:
    """A service of an image of one's own that runs."""
    container = ran(*(words or cmd or ()), entrypoint=entrypoint, image_command=cmd)
    return service(image="registry.local/db:16", command=command, containers=(container,))


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "command", "merged"),
    [
        ((WRAPPER, "postgres", *CONFIG), (), None, TAIL),
        ((WRAPPER, "postgres", *CONFIG), (), ["-c", "ssl=on"], ["-c", "ssl=on", *TAIL]),
        ((WRAPPER, "postgres"), ("-c", "ssl=on"), None, ["-c", "ssl=on", *TAIL]),
        ((WRAPPER, *CONFIG), (), None, TAIL),
        (("postgres", *CONFIG), (), None, TAIL),
        (("gosu", "postgres", "postgres"), (), None, TAIL),
        (("/sbin/tini", "-g", "--", WRAPPER, "postgres"), (), None, TAIL),
        (("/sbin/tini", "--", "gosu", "postgres", WRAPPER, "postgres"), (), None, TAIL),
        # These start what they are given.
        ((WRAPPER,), ("postgres", *CONFIG), None, ["postgres", *CONFIG, *TAIL]),
        (("/sbin/tini", "--", WRAPPER), ("postgres",), None, ["postgres", *TAIL]),
        (("/wait.sh",), ("postgres",), None, ["postgres", *TAIL]),
        ((WRAPPER,), ("postgres",), ["-c", "ssl=on"], ["-c", "ssl=on", *TAIL]),
        ((WRAPPER,), ("postgres", "-c", 'search_path="$user"'), None,
         ["postgres", "-c", 'search_path="$$user"', *TAIL]),
    ],
)  # fmt: skip
def test_settings_go_behind_the_server_once(
    entrypoint: tuple[str, ...], cmd: tuple[str, ...], command: object, merged: list[str]
) -> None:
    assert merge(built(entrypoint, cmd, command), OURS) == merged
    again = built(entrypoint, cmd, command, *(word.replace("$$", "$") for word in merged))
    assert merge(again, OURS) == merged, "what runs by then is no input"
    assert written_flags(again) == set(OURS)


@pytest.mark.parametrize(
    ("entrypoint", "cmd"),
    [
        (("/bin/sh", "-c", "exec docker-entrypoint.sh postgres"), ()),
        (("/bin/sh", "-c", "exec docker-entrypoint.sh postgres"), ("postgres",)),
        (("/start.sh",), ()),
    ],
)
def test_an_image_that_starts_the_server_out_of_sight_is_refused(
    entrypoint: tuple[str, ...], cmd: tuple[str, ...]
) -> None:
    with pytest.raises(CannotMerge):
        merge(built(entrypoint, cmd), OURS)


def test_a_shell_of_the_image_takes_its_script() -> None:
    found = built(("/bin/sh", "-c"), ("exec docker-entrypoint.sh postgres -c ssl=on",))
    assert merge(found, {"jit": "off"}) == ["exec docker-entrypoint.sh postgres -c ssl=on -c jit=off"]


def test_an_unread_image_is_what_runs_without_ours() -> None:
    assert merge(built((WRAPPER,), None, None, "postgres", "-c", "ssl=on", *TAIL), OURS) == [
        "postgres", "-c", "ssl=on", *TAIL,
    ]  # fmt: skip
    assert merge(built((WRAPPER, "postgres"), None, None, *TAIL), OURS) == TAIL


@pytest.mark.parametrize(
    ("found", "flags"),
    [
        (built((WRAPPER,), ("postgres", "-c", "max_connections=1000")), {"max_connections": "1000"}),
        (built((WRAPPER, "postgres", "-c", "jit=off"), ("-N", "9")), {"jit": "off", "max_connections": "9"}),
        (built((WRAPPER,), ("/bin/sh", "-c", "exec postgres -c jit=off")), {"jit": "off"}),
        (built((WRAPPER,), ("postgres", "-c", "jit=off"), ["postgres"]), {}),
        (built((WRAPPER,), None, None, "postgres", "-c", "ssl=on"), {}),
        (built(("/start.sh",), ()), {}),
        (service(), {}),
    ],
)
def test_flags_of_the_image_are_seen(found: Service, flags: dict[str, str]) -> None:
    assert declared_flags(found) == flags


def test_an_image_whose_start_cannot_be_read_shows_nothing() -> None:
    assert not shows_flags(built(("/start.sh",), ()))
    assert shows_flags(built((WRAPPER,), ("postgres",))) and shows_flags(service())


def by_command(**values: str) -> Any:
    rows = {name: setting(name, value, "command line") for name, value in values.items()}
    return live(changed=rows, data_directory=DATA.target)


SCRIPT = ["sh", "-c", "exec docker-entrypoint.sh postgres $$PG_OPTS"]
RUNS = ("sh", "-c", "exec docker-entrypoint.sh postgres $PG_OPTS")


@pytest.mark.parametrize(
    "found",
    [
        built((WRAPPER,), ("postgres", "-c", "max_connections=1000", "-c", "work_mem=5MB")),
        built((WRAPPER,), None, SCRIPT, *RUNS),
        service(command=SCRIPT, containers=(ran(*RUNS),)),
        built((WRAPPER, "postgres", "-c", "max_connections=1000", "-c", "work_mem=5MB"), ()),
    ],
)
def test_what_the_image_or_a_variable_sets_is_the_operator_s(found: Service) -> None:
    world = facts(found, server=by_command(max_connections="1000", work_mem="5MB"))
    lines = advise(world, memory=LARGE)
    assert [(lines[n].value, lines[n].current, lines[n].kept) for n in ("max_connections", "work_mem")] == [
        ("1000", "1000", True), ("5MB", "5MB", True),
    ]  # fmt: skip
    assert not {"max_connections", "work_mem"} & fragment(world, memory=LARGE).values["db"].keys()
    small = advise(world)["work_mem"]
    assert "1000 connections" in str(small.why), "the proof counts those that the server has"
    assert any("Your work_mem = 5MB does not fit" in str(n) for n in small.notes)


def test_a_value_equal_to_the_stock_one_is_kept_too() -> None:
    world = facts(service(command=SCRIPT, containers=(ran(*RUNS),)), server=by_command(jit="on"))
    assert (advise(world)["jit"].value, advise(world)["jit"].kept) == ("on", True)


@pytest.mark.parametrize("shell", [True, False])
def test_what_nftui_wrote_is_still_told_from_it(shell: bool) -> None:
    words = (
        (*RUNS[:2], RUNS[2] + " -c jit=on -c work_mem=99MB")
        if shell
        else ("postgres", "-c", "jit=on", "-c", "work_mem=99MB")
    )
    world: Facts = facts(service(command=SCRIPT if shell else None, containers=(ran(*words),)),
                         server=by_command(jit="on", work_mem="99MB", random_page_cost="3"))  # fmt: skip
    lines = advise(world)
    assert not lines["jit"].kept and not lines["work_mem"].kept
    assert lines["random_page_cost"].kept and lines["random_page_cost"].value == "3"
    chosen = OPTIMIZATION.fragment(world, tuple(advise(world, choose(random_page_cost="2")).values()))
    assert chosen.values["db"]["random_page_cost"] == "2"


def test_a_role_s_value_is_nobody_s_command_line() -> None:
    world = facts(service(containers=(ran("postgres"),)), server=live(changed={"jit": setting("jit", "on", "user")}))
    assert not advise(world)["jit"].kept
