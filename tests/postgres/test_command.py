"""The command merge: every form that people write, with their own arguments kept in order."""

from __future__ import annotations

import pytest

from nftui.model.stack import Container
from nftui.optimizations._command.command import CannotMerge
from nftui.optimizations.postgres.command import declared_flags, merge

from .build import service

OURS = {"work_mem": "8MB", "shared_buffers": "1GB"}
TAIL = ["-c", "shared_buffers=1GB", "-c", "work_mem=8MB"]

LISTS: list[tuple[object, list[str]]] = [
    (None, ["postgres", *TAIL]),
    ([], ["postgres", *TAIL]),
    (["postgres"], ["postgres", *TAIL]),
    ("postgres", ["postgres", *TAIL]),
    (["postgres", "-c", "ssl=on"], ["postgres", "-c", "ssl=on", *TAIL]),
    ("postgres -c ssl=on -c 'log_line_prefix=%m %p'",
     ["postgres", "-c", "ssl=on", "-c", "log_line_prefix=%m %p", *TAIL]),
    ("postgres -c ssl=on\n -c jit=off\n", ["postgres", "-c", "ssl=on", "-c", "jit=off", *TAIL]),
    (["-c", "ssl=on"], ["-c", "ssl=on", *TAIL]),
    ("-c max_connections=300", ["-c", "max_connections=300", *TAIL]),
    (["postgres", "-c", "work_mem=1MB", "-p", "5433"],
     ["postgres", "-c", "work_mem=8MB", "-p", "5433", "-c", "shared_buffers=1GB"]),
    (["postgres", "-cwork_mem=1MB"], ["postgres", "-c", "work_mem=8MB", "-c", "shared_buffers=1GB"]),
    (["postgres", "--work_mem=1MB"], ["postgres", "-c", "work_mem=8MB", "-c", "shared_buffers=1GB"]),
    (["postgres", "--work-mem=1MB", "--ssl=on"],
     ["postgres", "-c", "work_mem=8MB", "--ssl=on", "-c", "shared_buffers=1GB"]),
    (["postgres", "-c", "WORK_MEM=1MB"], ["postgres", "-c", "work_mem=8MB", "-c", "shared_buffers=1GB"]),
    (["postgres", "-B", "1000"], ["postgres", "-c", "shared_buffers=1GB", "-c", "work_mem=8MB"]),
    (["postgres", "-S1000", "-N", "50"],
     ["postgres", "-c", "work_mem=8MB", "-N", "50", "-c", "shared_buffers=1GB"]),
    (["postgres", "-c", "work_mem=1MB", "-c", "work_mem=2MB"],
     ["postgres", "-c", "work_mem=8MB", "-c", "shared_buffers=1GB"]),
    (["postgres", "-c", "config_file=/etc/postgresql/postgresql.conf"],
     ["postgres", "-c", "config_file=/etc/postgresql/postgresql.conf", *TAIL]),
    (["docker-entrypoint.sh", "postgres", "-c", "ssl=on"], ["docker-entrypoint.sh", "postgres", "-c", "ssl=on", *TAIL]),
    (["docker-entrypoint.sh", "-c", "ssl=on"], ["docker-entrypoint.sh", "-c", "ssl=on", *TAIL]),
    (["/usr/local/bin/docker-entrypoint.sh", "postgres"], ["/usr/local/bin/docker-entrypoint.sh", "postgres", *TAIL]),
    (["postgres", "-c", "archive_command=test $$HOME"], ["postgres", "-c", "archive_command=test $$HOME", *TAIL]),
    (["postgres", "-D", "/data"], ["postgres", "-D", "/data", *TAIL]),
]  # fmt: skip

FLAGS = "-c shared_buffers=1GB -c work_mem=8MB"
SCRIPTS = [
    ("exec postgres", f"exec postgres {FLAGS}"),
    ("exec postgres -c ssl=on", f"exec postgres -c ssl=on {FLAGS}"),
    ("mkdir -p /x && exec postgres -c ssl=on", f"mkdir -p /x && exec postgres -c ssl=on {FLAGS}"),
    ("postgres -c ssl=on > /tmp/log 2>&1", f"postgres -c ssl=on {FLAGS} > /tmp/log 2>&1"),
    ("postgres 2>/tmp/log & wait", f"postgres {FLAGS} 2>/tmp/log & wait"),
    ("docker-entrypoint.sh postgres -c work_mem=1MB; echo done",
     "docker-entrypoint.sh postgres -c work_mem=8MB -c shared_buffers=1GB; echo done"),
    ("exec docker-entrypoint.sh postgres \\\n  -c ssl=on \\\n  -c jit=off\n",
     f"exec docker-entrypoint.sh postgres \\\n  -c ssl=on \\\n  -c jit=off {FLAGS}\n"),
    ("# postgres here\nif true; then exec postgres -c 'a.b=c d'; fi",
     f"# postgres here\nif true; then exec postgres -c 'a.b=c d' {FLAGS}; fi"),
    ("LANG=C exec gosu postgres postgres -c port=$$PORT", f"LANG=C exec gosu postgres postgres -c port=$$PORT {FLAGS}"),
    ("until pg_isready -h other; do sleep 1; done; exec postgres \"$$@\"",
     f"until pg_isready -h other; do sleep 1; done; exec postgres \"$$@\" {FLAGS}"),
    ("postgres >/tmp/log -c ssl=on", f"postgres {FLAGS} >/tmp/log -c ssl=on"),
    ("(cd / && postgres)", f"(cd / && postgres {FLAGS})"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "merged"), LISTS)
def test_lists_and_strings(command: object, merged: list[str]) -> None:
    assert merge(service(command=command), OURS) == merged


@pytest.mark.parametrize(("script", "merged"), SCRIPTS)
@pytest.mark.parametrize("shell", [["sh", "-c"], ["/bin/bash", "-ec"]])
def test_shell_scripts(script: str, merged: str, shell: list[str]) -> None:
    assert merge(service(command=[*shell, script]), OURS) == [*shell, merged]


def test_a_shell_as_the_entrypoint() -> None:
    found = service(command=["exec docker-entrypoint.sh postgres -c ssl=on"], entrypoint=("/bin/sh", "-c"))
    assert merge(found, OURS) == [f"exec docker-entrypoint.sh postgres -c ssl=on {FLAGS}"]


def test_a_string_of_a_shell() -> None:
    assert merge(service(command='sh -c "exec postgres -c ssl=on"'), OURS) == [
        "sh",
        "-c",
        f"exec postgres -c ssl=on {FLAGS}",
    ]


@pytest.mark.parametrize(
    ("entrypoint", "command", "merged"),
    [
        (("docker-entrypoint.sh",), ["postgres"], ["postgres", *TAIL]),
        (("docker-entrypoint.sh", "postgres"), None, TAIL),
        (("docker-entrypoint.sh", "postgres", "-c", "ssl=on"), ["-c", "jit=off"], ["-c", "jit=off", *TAIL]),
        (("/wait-for-it.sh",), ["postgres", "-c", "ssl=on"], ["postgres", "-c", "ssl=on", *TAIL]),
    ],
)
def test_entrypoints(entrypoint: tuple[str, ...], command: object, merged: list[str]) -> None:
    assert merge(service(command=command, entrypoint=entrypoint), OURS) == merged


def test_variables_of_the_operator_stay_variables() -> None:
    found = service(
        command=["postgres", "-c", "max_connections=300", "-c", "work_mem=4MB"],
        raw={"command": ["postgres", "-c", "max_connections=${MAX:-300}", "-c", "work_mem=${WM}"]},
    )
    assert merge(found, OURS) == [
        "postgres", "-c", "max_connections=${MAX:-300}", "-c", "work_mem=8MB", "-c", "shared_buffers=1GB",
    ]  # fmt: skip
    assert declared_flags(found) == {"max_connections": "300", "work_mem": "4MB"}


def test_variables_in_a_string() -> None:
    raw = {"command": "postgres -c max_connections=${MAX:-300} -c ssl=on"}
    found = service(command=["postgres", "-c", "max_connections=300", "-c", "ssl=on"], raw=raw)
    assert merge(found, OURS) == ["postgres", "-c", "max_connections=${MAX:-300}", "-c", "ssl=on", *TAIL]


def test_a_variable_that_holds_several_words_keeps_its_string() -> None:
    raw = {"command": "postgres ${FLAGS}"}
    found = service(command=["postgres", "-c", "ssl=on", "-c", "work_mem=1MB"], raw=raw)
    assert merge(found, OURS) == f"postgres ${{FLAGS}} {FLAGS}"


def test_a_dollar_that_is_not_in_the_source_is_doubled() -> None:
    found = service(command=["postgres", "-c", "a.b=$$x"], raw={})
    assert merge(found, OURS) == ["postgres", "-c", "a.b=$$x", *TAIL]


def test_an_image_with_a_command_of_its_own() -> None:
    container = Container(
        "1", "n", "db", 1, "running", None, "x", "y", image_command=("postgres", "-c", "config_file=/c")
    )
    found = service(image="ghcr.io/x/postgres:16", containers=(container,))
    assert merge(found, OURS) == ["postgres", "-c", "config_file=/c", *TAIL]


def test_a_running_command_without_what_nftui_put_there() -> None:
    running = ("postgres", "-D", "/etc/postgresql", "-c", "shared_buffers=9GB", "-c", "work_mem=1MB")
    container = Container("1", "n", "db", 1, "running", None, "x", "y", command=running)
    found = service(image="supabase/postgres:15", containers=(container,))
    assert merge(found, OURS) == ["postgres", "-D", "/etc/postgresql", *TAIL]


@pytest.mark.parametrize(
    ("command", "entrypoint"),
    [
        (["sh", "-c", "exec postgres $$(cat /flags)"], None),
        (["sh", "-c", "exec postgres `cat /flags`"], None),
        (["sh", "-c", "cat <<E\nx\nE\nexec postgres"], None),
        (["sh", "-c", "su postgres -c 'postgres -c ssl=on'"], None),
        (["sh", "-c", "postgres & postgres -p 1"], None),
        (["sh", "-c", "echo 'open"], None),
        (["/start.sh"], None),
        (["pg_ctl", "start"], None),
        (["-c", "x=y"], ("sh", "-c", "exec docker-entrypoint.sh postgres")),
        (None, ("/start.sh",)),
        (["-c", "x=y"], ("/start.sh",)),
    ],
)
def test_what_cannot_be_read_is_refused(command: object, entrypoint: tuple[str, ...] | None) -> None:
    with pytest.raises(CannotMerge):
        merge(service(command=command, entrypoint=entrypoint), OURS)


def test_unknown_images_are_refused_until_they_run() -> None:
    with pytest.raises(CannotMerge):
        merge(service(image="ghcr.io/x/postgres:16"), OURS)


def test_a_source_that_disagrees_is_refused() -> None:
    with pytest.raises(CannotMerge):
        merge(service(command=["postgres", "-c", "ssl=on"], raw={"command": ["postgres", "-c", "ssl=off"]}), OURS)


def test_merging_twice_changes_nothing() -> None:
    for command, _ in LISTS:
        once = merge(service(command=command), OURS)
        assert isinstance(once, list)
        assert merge(service(command=once), OURS) == once
