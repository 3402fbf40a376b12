"""What was applied and no longer stands, on a real engine: seen, named with its repair, and repaired by that."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nftui.model.stack import ProjectRequest
from nftui.probes.resolve import Background
from nftui.session import Session
from tests.e2e.command import Nftui, tree
from tests.e2e.shared import mtimes, stack_of
from tests.stack.running import Stack, docker, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def stack(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    yield from stack_of(tmp_path_factory)


@pytest.fixture(scope="module")
def nftui(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Nftui:
    """Tuned once."""
    command = Nftui(stack.directory, tmp_path_factory.mktemp("n") / "state")
    done = command("apply", "--only", "postgres", "--yes", "--settle", "0")
    assert done.code == 0, done.out + done.err
    return command


def drift(nftui: Nftui) -> dict[str, tuple[Any, str, str]]:
    """Target to (actual, level, command that repairs it); the exit code says the same."""
    status = nftui("status", "--json")
    found = status.json
    assert status.code == (3 if found["drift"] else 0), status.out
    repairs = {r["target"]: r["command"] for r in found["repairs"]}
    return {d["target"]: (d["actual"], d["level"], repairs[d["target"]]) for d in found["drift"]}


def repair(nftui: Nftui, command: str) -> None:
    """As an operator would: paste it, with a consent where it is nftui's own."""
    if command.startswith("nftui "):
        done = nftui(*command.split()[1:], "--yes", "--settle", "0")
        assert done.code == 0, done.out + done.err
    else:
        subprocess.run(command, shell=True, cwd=nftui.directory, check=True, capture_output=True)  # noqa: S602
    assert drift(nftui) == {}


def test_looking_twice_at_an_untouched_stack_differs_in_nothing_and_writes_nothing(nftui: Nftui) -> None:
    before = mtimes(nftui.state), mtimes(nftui.directory)
    handle = os.open(nftui.directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        looks = [nftui("status", "--json") for _ in range(2)]
    finally:
        os.close(handle)
    assert looks[0] == looks[1]
    assert (looks[0].code, looks[0].json["drift"], looks[0].json["unknown"]) == (0, [], [])
    assert (mtimes(nftui.state), mtimes(nftui.directory)) == before


def test_alter_system_beneath_the_command_line_is_drift(nftui: Nftui, stack: Stack) -> None:
    value = stack.show("work_mem")
    with stack.postgres() as connection:
        connection.execute("ALTER SYSTEM SET work_mem = '77MB'")
        connection.execute("SELECT pg_reload_conf()")
    assert stack.show("work_mem") == value
    found = drift(nftui)
    assert list(found) == ["postgres.work_mem (ALTER SYSTEM)"]
    actual, level, command = found["postgres.work_mem (ALTER SYSTEM)"]
    assert (actual, level) == ("77MB", "medium")
    repair(nftui, command)


def test_docker_update_is_drift(nftui: Nftui, stack: Stack) -> None:
    docker("update", "--memory", "900m", "--memory-swap", "-1", stack.container("postgres"))
    docker("update", "--cpus", "1.5", stack.container("postgres"))
    found = drift(nftui)
    assert found["postgres.memory_limit_bytes"][0] == str(900 << 20)
    assert found["postgres.cpus"][0] == "1.5" and len(found) == 2
    container = stack.container("postgres")
    subprocess.run(found["postgres.memory_limit_bytes"][2], shell=True, check=True, capture_output=True)  # noqa: S602
    assert list(drift(nftui)) == ["postgres.cpus"] and stack.container("postgres") == container
    refused = nftui("apply", "--repair", "--only", "postgres", "--yes")
    assert refused.code == 2 and "--repair excludes --only" in refused.err
    blocked = nftui("apply", "--only", "postgres", "--set", "postgres.work_mem=4MB", "--yes")
    assert blocked.code == 2 and "postgres does not run what your files say (cpu limit)" in blocked.err
    # The new container is made by a plain `up`, which keeps the tuning.
    repair(nftui, found["postgres.cpus"][2])
    wait_until(lambda: stack.inspect("postgres")["State"]["Health"]["Status"] == "healthy", what="health")


@pytest.mark.all
def test_an_edited_file_is_drift_and_is_put_back_without_a_restart(nftui: Nftui, stack: Stack) -> None:
    path, container = nftui.directory / "compose.nftui.yaml", stack.container("postgres")
    before = tree(nftui.directory)
    path.write_text(path.read_text() + "# mine\n")
    ((target, (_actual, level, command)),) = drift(nftui).items()
    assert (target, level) == (str(path), "high")
    repair(nftui, command)
    assert tree(nftui.directory) == before and stack.container("postgres") == container


def test_a_service_made_without_nftuis_file_is_drift_of_level_high(nftui: Nftui, stack: Stack) -> None:
    tuned = stack.show("work_mem"), stack.show("random_page_cost")
    stack.compose("-f", "compose.yaml", "up", "-d", "--wait", "postgres")
    assert stack.show("random_page_cost") != tuned[1]
    found = drift(nftui)
    assert found["postgres.files"][1] == "high" and "compose.nftui.yaml" not in found["postgres.files"][0]
    assert "postgres.random_page_cost" in found
    repair(nftui, found["postgres.files"][2])
    assert (stack.show("work_mem"), stack.show("random_page_cost")) == tuned
    # The repair can be taken back: its way back is to what was in force, not to what had drifted.
    done = nftui("rollback", "--yes", "--json")
    assert (done.code, done.json["outcome"]) == (0, "rolled-back"), done.out + done.err
    assert stack.show("random_page_cost") == tuned[1] and drift(nftui) == {}


def test_a_role_s_own_value_is_drift_with_the_statement_that_takes_it_back(nftui: Nftui, stack: Stack) -> None:
    with stack.postgres() as connection:
        connection.execute("ALTER ROLE CURRENT_USER SET random_page_cost = 3")
    found = drift(nftui)
    assert list(found) == ["postgres.random_page_cost"] and found["postgres.random_page_cost"][0] == "3"
    idle = nftui("apply", "--repair", "--yes")
    assert idle.code == 0 and "ALTER ROLE" in idle.err
    repair(nftui, found["postgres.random_page_cost"][2])


@pytest.mark.all
def test_an_edit_that_was_also_started_is_put_back(nftui: Nftui, stack: Stack) -> None:
    path = nftui.directory / "compose.nftui.yaml"
    tuned = stack.show("random_page_cost")
    path.write_text(path.read_text().replace(f"random_page_cost={tuned}", "random_page_cost=3"))
    stack.up("postgres")
    assert stack.show("random_page_cost") == "3"
    found = drift(nftui)
    assert {str(path), "postgres.random_page_cost"} <= set(found)
    repair(nftui, found[str(path)][2])
    assert stack.show("random_page_cost") == tuned
    # Taken back, the repair leaves what it found: the edited file, and a server that runs it.
    done = nftui("rollback", "--yes", "--json")
    assert (done.code, done.json["outcome"]) == (0, "rolled-back"), done.out + done.err
    assert stack.show("random_page_cost") == "3" and "random_page_cost=3" in path.read_text()
    repair(nftui, found[str(path)][2])


def test_other_memory_of_the_machine_is_drift_and_a_kernels_share_is_not(nftui: Nftui) -> None:
    def seen(factor: float) -> list[str]:
        session = Session(ProjectRequest(str(nftui.directory)), state_dir=nftui.state)
        wiring = session.gatherer.wiring
        host = replace(wiring.host, memory_bytes=int((wiring.host.memory_bytes or 0) * factor))
        wiring.__dict__["_machine"] = Background(lambda: host)
        try:
            return [d.target for d in session.runs.status().drift]
        finally:
            if wiring.engine:
                wiring.engine.close()

    assert seen(2) == ["host.memory_bytes"] and seen(0.5) == ["host.memory_bytes"] and seen(1.01) == []


def test_what_cannot_be_read_is_unknown_and_no_drift(nftui: Nftui, stack: Stack) -> None:
    stack.compose("stop", "-t", "20", "postgres")
    try:
        status = nftui("status", "--json")
        assert status.code == 0 and status.json["drift"] == []
        assert any(u["target"] == "postgres.work_mem" and u["actual"] is None for u in status.json["unknown"])
        # What depends on it still runs; Compose would wait for it.
        planned = nftui("plan", "--set", "postgres.random_page_cost=2", "--only", "postgres", "--json")
        assert planned.code == 0 and any("does not run" in w for w in planned.json["warnings"]), planned.err
    finally:
        stack.up()
    assert drift(nftui) == {}


def test_a_foreign_edit_is_shown_kept_and_needs_force(nftui: Nftui, stack: Stack, tmp_path: Path) -> None:
    path, env = nftui.directory / "compose.nftui.yaml", nftui.directory / ".env"
    path.write_text(path.read_text() + "# mine, once more\n")
    env.write_text(env.read_text() + "OPERATOR=1\n")
    first = nftui("snapshots", "list", "--json").json["snapshots"][-1]["id"]
    shown = nftui("rollback", first, "--dry-run", "--json").json["way_back"]
    assert (shown["foreign"], shown["merged"], shown["generation"]) == ([str(path)], [str(env)], 0)
    assert "postgres" in shown["services"] and shown["downtime_seconds"] > 0
    refused = nftui("rollback", first, "--yes")
    assert refused.code == 3 and str(path) in refused.err and path.exists()
    done = nftui("rollback", first, "--yes", "--force", "--json")
    assert done.code == 0, done.out + done.err
    (note,) = done.json["notes"]
    assert str(path) in note and "overwritten" in note
    kept = Path(note.split(" is kept in ")[1].split(" as ")[0]) / note.rsplit(" ", 1)[1].rstrip(".")
    assert kept.read_bytes().endswith(b"# mine, once more\n")
    assert nftui("status", "--json").json["generation"] == 0
    assert not path.exists() and "COMPOSE_FILE" not in env.read_text() and "OPERATOR=1" in env.read_text()


def test_alter_system_after_an_apply_does_not_stop_the_way_back(nftui: Nftui, stack: Stack) -> None:
    assert nftui("rollback", "--yes", "--force").code == 0
    before, files = {name: stack.show(name) for name in ("shared_buffers", "random_page_cost")}, tree(nftui.directory)
    assert nftui("apply", "--only", "postgres", "--yes", "--settle", "0").code == 0
    assert stack.show("random_page_cost") != before["random_page_cost"]
    with stack.postgres() as connection:
        connection.execute("ALTER SYSTEM SET work_mem = '77MB'")
        connection.execute("SELECT pg_reload_conf()")
    done = nftui("rollback", "--yes", "--json")
    assert done.code == 0 and done.json["outcome"] == "rolled-back", done.out + done.err
    (note,) = done.json["notes"]
    assert "work_mem of postgres is 77MB and was 4MB before nftui" in note
    assert stack.show("work_mem") == "77MB" and {name: stack.show(name) for name in before} == before
    assert tree(nftui.directory) == files
    status = nftui("status", "--json")
    assert (status.code, status.json["generation"]) == (0, 0)


def test_a_value_that_the_login_has_of_its_own_is_applied_below_it_and_told(nftui: Nftui, stack: Stack) -> None:
    with stack.postgres() as connection:
        connection.execute("ALTER SYSTEM RESET work_mem")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("ALTER ROLE CURRENT_USER SET work_mem = '7MB'")
    done = nftui("apply", "--set", "postgres.work_mem=5MB", "--only", "postgres", "--yes", "--settle", "0", "--json")
    assert (done.code, done.json["outcome"]) == (0, "applied"), done.out + done.err
    assert any("work_mem of postgres is 5MB" in note for note in done.json["notes"])
    assert stack.show("work_mem") == "7MB" and drift(nftui) == {}
    assert nftui("rollback", "--yes").code == 0
