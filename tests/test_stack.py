"""The test bed itself: what other tests build on must hold."""

from __future__ import annotations

import subprocess

import pytest

from tests.stack import images
from tests.stack.fixtures import SESSION, StackFactory, session_leftovers, tear_down
from tests.stack.running import Stack, docker, wait_until

pytestmark = pytest.mark.engine


def test_the_stack_comes_up_and_is_reachable_from_the_host(running_stack: Stack) -> None:
    assert set(running_stack.services()) == {"postgres", "redis", "api", "jobs"}
    # Inert variables stay inert: the server runs on its default.
    assert running_stack.show("shared_buffers") == "128MB"
    with running_stack.redis() as client:
        assert client.config_get("maxmemory") == {"maxmemory": str(64 * 1024**2)}
    for app in ("api", "jobs"):
        assert running_stack.http(app, "/health") == (200, {"healthy": True})
        stats = running_stack.http(app, "/stats")[1]
        assert stats["postgres"]["ok"] and stats["redis"]["ok"], stats
    memory = running_stack.inspect("postgres")["HostConfig"]["Memory"]
    assert memory == 1024**3


def test_apps_notice_a_lost_database_and_come_back(running_stack: Stack) -> None:
    running_stack.compose("stop", "--timeout", "5", "postgres")
    wait_until(lambda: running_stack.http("api", "/health")[0] == 503, what="api unhealthy")
    running_stack.up("postgres")
    wait_until(lambda: running_stack.http("api", "/health")[0] == 200, what="api healthy again")
    stats = running_stack.http("api", "/stats")[1]
    assert stats["postgres"]["failed"] and stats["postgres"]["longest_gap_seconds"] > 1, stats


def test_a_recreated_database_keeps_its_data(running_stack: Stack) -> None:
    before = running_stack.container("postgres")
    running_stack.up("--force-recreate", "postgres")
    assert running_stack.container("postgres") != before
    with running_stack.postgres() as connection:
        assert connection.execute("SELECT count(*) FROM contacts").fetchone() == (5000,)


def test_a_one_shot_client_of_a_profile_runs(running_stack: Stack) -> None:
    done = running_stack.compose("run", "--rm", "backup", check=False)
    assert done.returncode == 0, done.stderr


def test_two_stacks_do_not_meet(stack_factory: StackFactory) -> None:
    one, two = stack_factory(up=False), stack_factory(up=False, postgres="17")
    for stack in (one, two):
        stack.up("postgres")
    assert one.show("server_version_num")[:2] == "15"
    assert two.show("server_version_num")[:2] == "17"
    assert one.address("postgres") != two.address("postgres")


def test_tearing_down_leaves_nothing_and_says_so_if_it_does(stack_factory: StackFactory) -> None:
    stack = stack_factory(up=False)
    stack.up("redis")
    volume = f"{stack.project}_forgotten"
    docker("volume", "create", "--label", f"com.docker.compose.project={stack.project}", volume)
    assert tear_down(stack) == [f"volume {volume}"]
    assert any(volume in thing for thing in session_leftovers())
    docker("volume", "rm", volume)
    assert stack.leftovers() == []


def test_a_stack_without_its_files_is_still_removed(stack_factory: StackFactory) -> None:
    stack = stack_factory(up=False)
    stack.up("redis")
    (stack.directory / "compose.yaml").unlink()
    assert tear_down(stack) == []


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ([], "superuser password is not specified"),
        (["POSTGRES_PASSWORD=x", "POSTGRES_PASSWORD_FILE=/etc/hostname"], "are exclusive"),
    ],
)
def test_the_postgres_image_refuses_what_the_official_one_refuses(
    engine: None, environment: list[str], message: str
) -> None:
    options = [f"--env={pair}" for pair in environment]
    done = subprocess.run(
        ["docker", "run", "--rm", *options, images.reference("postgres:15")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1 and message in done.stderr


def test_the_postgres_image_reads_secrets_from_files(engine: None) -> None:
    name = session_name("secret")
    docker("run", "--detach", "--rm", f"--name={name}", "--env=POSTGRES_DB=shop",
           "--env=POSTGRES_PASSWORD_FILE=/etc/hostname", images.reference("postgres:15"), "-c",
           "work_mem=5MB")  # fmt: skip
    try:
        ask = ("psql", "-h", "127.0.0.1", "-U", "postgres", "-d", "shop", "-Atc", "SHOW work_mem")
        ready = ("exec", name, "pg_isready", "-h", "127.0.0.1")
        wait_until(lambda: "accepting" in docker(*ready, check=False), what="start")
        password = docker("exec", name, "cat", "/etc/hostname")
        assert docker("exec", f"--env=PGPASSWORD={password}", name, *ask) == "5MB"
    finally:
        docker("rm", "--force", "--volumes", name)


def session_name(suffix: str) -> str:
    """A container name that the check at the end of the session would find."""

    return f"{SESSION}-{suffix}"
