"""What differs before nftui touched anything, and who is recreated along: each on a real engine, each ends well."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.command import Copy, Done, copy_package, tree
from tests.e2e.shared import stack_of
from tests.e2e.test_drop_in import DROPPED
from tests.stack import images
from tests.stack.running import Stack, docker

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
SLEEP = "command: [sleep, infinity], init: true, stop_grace_period: 1s"
PROJECT = f"""
services:
  cache: {{image: "${{REDIS_IMAGE}}", command: redis-server --save "", volumes: ["data:/data"], networks: [one],
          environment: {{SECRET: "${{FROM_SHELL:-}}"}}, labels: {{mark: "${{MARK:-}}"}}}}
  near: {{image: "${{APP_IMAGE}}", network_mode: "service:cache", {SLEEP}}}
  reads: {{image: "${{APP_IMAGE}}", volumes_from: [cache], {SLEEP}}}
  other: {{image: "${{REDIS_IMAGE}}", command: redis-server --save "", networks: [one]}}
  env: {{image: "${{APP_IMAGE}}", env_file: [ENV_FILE], {SLEEP}}}
networks: {{one: }}
volumes: {{data: }}
"""
VALUE = ("--set", "grace@cache.stop_grace_period=45s")


@pytest.fixture(scope="module")
def stack(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    yield from stack_of(tmp_path_factory, PROJECT.replace("ENV_FILE", ".env"))


@pytest.fixture(scope="module")
def nftui(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """The command with an optimization of the cache."""
    base = tmp_path_factory.mktemp("n")
    return Copy(stack.directory, base / "state", copy_package(base / "copy", DROPPED))


@pytest.fixture(autouse=True)
def as_it_was(stack: Stack, nftui: Copy) -> Iterator[None]:
    """Nothing of nftui is left, and no file is another one."""
    before = tree(stack.directory)
    yield
    assert nftui("status", "--json").json["generation"] == 0
    assert tree(stack.directory) == before


def apply(nftui: Copy, *arguments: str) -> Done:
    return nftui("apply", "--only", "grace", "--yes", "--json", "--settle", "0", "--accept-irreversible", *arguments)


def steps(done: Done) -> list[str]:
    assert done.code == 0, done.out + done.err
    return [s["id"] for s in done.json["steps"] if s["id"].startswith("recreate:")]


def refused(nftui: Copy, words: str, *arguments: str) -> None:
    done = apply(nftui, *arguments)
    assert done.code == 2 and words in done.err, done.out + done.err


def take_back(nftui: Copy) -> None:
    done = nftui("rollback", "--yes", "--json")
    assert done.code == 0 and done.json["outcome"] == "rolled-back", done.out + done.err


@pytest.mark.all
def test_who_shares_a_namespace_or_volumes_is_recreated_along_and_named(nftui: Copy, stack: Stack) -> None:
    """And `.env`, which a service reads as its env_file, is left alone: Compose loads the override by its name."""
    before, env = stack.services(), (stack.directory / ".env").read_bytes()
    done = apply(nftui)
    assert steps(done) == ["recreate:cache", "recreate:near", "recreate:reads", "recreate:other"]
    assert (stack.directory / ".env").read_bytes() == env
    assert (stack.directory / "compose.override.yaml").exists()
    after = stack.services()
    assert {name for name in after if after[name] != before[name]} == {"cache", "near", "reads", "other"}
    assert stack.inspect("near")["HostConfig"]["NetworkMode"] == f"container:{stack.inspect('cache')['Id']}"
    # Compose 2.26 announces whoever shares a namespace or volumes at every `up`; not the one they share it with.
    assert f"{stack.project}-cache-1  Recreate" not in stack.compose("up", "-d", "--dry-run").stderr
    assert stack.inspect("cache")["Config"]["StopTimeout"] == 60
    assert nftui("status").code == 0
    take_back(nftui)
    assert not stack.inspect("cache")["Config"].get("StopTimeout")
    assert stack.inspect("near")["HostConfig"]["NetworkMode"] == f"container:{stack.inspect('cache')['Id']}"
    assert stack.container("env") == before["env"]


@pytest.mark.all
def test_with_a_file_of_that_name_the_operator_gets_the_command(nftui: Copy, stack: Stack) -> None:
    own = stack.directory / "compose.override.yaml"
    own.write_text("services: {env: {init: true}}\n")
    try:
        warnings = nftui("plan", "--only", "grace", "--json").json["warnings"]
        (said,) = [w for w in warnings if "would drop the tuning" in w]
        assert f"-f {own} -f {stack.directory}/compose.nftui.yaml up -d" in said
    finally:
        own.unlink()


@pytest.mark.all
def test_three_containers_stay_three(nftui: Copy, stack: Stack) -> None:
    stack.compose("up", "-d", "--no-deps", "--scale", "other=3", "other")
    try:
        assert "recreate:other" in steps(apply(nftui))
        listed = stack.compose("ps", "--format", "{{.Service}}").stdout.split()
        assert listed.count("other") == 3
        take_back(nftui)
        assert stack.compose("ps", "--format", "{{.Service}}").stdout.split().count("other") == 3
    finally:
        stack.compose("up", "-d", "--no-deps", "--scale", "other=1", "other")


@pytest.mark.all
def test_a_pending_edit_blocks_that_service_and_no_other(nftui: Copy, stack: Stack) -> None:
    path = stack.directory / "compose.yaml"
    before = path.read_bytes()
    path.write_bytes(before.replace(b'env: {image: "${APP_IMAGE}",', b'env: {image: "${APP_IMAGE}", tty: true,'))
    try:
        assert steps(apply(nftui))  # an edit of a service that is not touched is not nftui's business
        take_back(nftui)
        path.write_bytes(before.replace(b"cache: {image", b"cache: {tty: true, image"))
        refused(nftui, "cache does not run what your files say (its definition)")
    finally:
        path.write_bytes(before)


def test_a_variable_that_only_the_old_shell_had_blocks(
    nftui: Copy, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_SHELL", "shell-only-word")
    stack.compose("up", "-d", "cache", "near", "reads")
    monkeypatch.delenv("FROM_SHELL")
    done = apply(nftui)
    assert done.code == 2 and "environment: SECRET" in done.err and "shell-only-word" not in done.out + done.err
    assert "SECRET=shell-only-word" in stack.inspect("cache")["Config"]["Env"]
    stack.up()


def test_a_variable_that_only_the_old_shell_had_blocks_the_way_back(
    nftui: Copy, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made again without it, a Redis would come back without its password, and answer every ping."""
    monkeypatch.setenv("FROM_SHELL", "shell-only-word")
    stack.compose("up", "-d", "cache", "near", "reads")
    assert "recreate:cache" in steps(apply(nftui))
    monkeypatch.delenv("FROM_SHELL")
    tuned = stack.inspect("cache")["Id"]
    done = nftui("rollback", "--yes")
    assert done.code == 3 and "environment: SECRET" in done.err and "shell-only-word" not in done.out + done.err
    assert stack.inspect("cache")["Id"] == tuned
    monkeypatch.setenv("FROM_SHELL", "shell-only-word")
    take_back(nftui)
    assert "SECRET=shell-only-word" in stack.inspect("cache")["Config"]["Env"]
    monkeypatch.delenv("FROM_SHELL")
    stack.up()


def test_what_was_started_by_nftuis_file_without_it_is_taken_back_too(nftui: Copy, stack: Stack) -> None:
    assert apply(nftui, "--files-only").code == 0
    assert not stack.inspect("cache")["Config"].get("StopTimeout")
    stack.compose("up", "-d")
    assert stack.inspect("cache")["Config"]["StopTimeout"] == 60
    take_back(nftui)
    assert not stack.inspect("cache")["Config"].get("StopTimeout")
    assert "Recreate" not in stack.compose("up", "-d", "--dry-run", "cache").stderr


@pytest.mark.all
def test_a_tag_that_moved_blocks(nftui: Copy, stack: Stack) -> None:
    tag = f"{stack.project}:moved"
    docker("tag", images.reference("redis:7"), tag)
    env = (stack.directory / ".env").read_bytes()
    stack.set_env(REDIS_IMAGE=tag)
    try:
        stack.up()
        docker("tag", images.reference("app:latest"), tag)
        refused(nftui, "is another one now")
    finally:
        (stack.directory / ".env").write_bytes(env)
        stack.up()
        docker("rmi", tag)


@pytest.mark.all
def test_what_docker_update_and_network_connect_did_blocks(nftui: Copy, stack: Stack) -> None:
    container, network = stack.container("cache"), f"{stack.project}-by-hand"
    docker("update", "--restart", "always", "--pids-limit", "500", container)
    docker("network", "create", "--label", f"com.docker.compose.project={stack.project}", network)
    try:
        docker("network", "connect", network, container)
        refused(nftui, f"(pids limit; restart policy; attached by hand to the network {network})")
        docker("network", "disconnect", network, container)
        docker("update", "--restart", "no", "--pids-limit", "-1", container)
        docker("network", "disconnect", f"{stack.project}_one", container)
        refused(nftui, f"(detached by hand from the network {stack.project}_one)")
    finally:
        docker("network", "rm", network)
        stack.up("--force-recreate", "cache", "near", "reads")


@pytest.mark.all
def test_what_a_recreate_loses_is_asked_about(nftui: Copy, stack: Stack) -> None:
    plain = ("apply", "--only", "grace", "--yes", "--settle", "0")
    anonymous = next(m["Name"] for m in stack.inspect("other")["Mounts"] if m["Destination"] == "/data")
    stack.exec("cache", "sh", "-c", "echo 1 > /etc/by-hand && echo 1 > /tmp/passing")
    saved = nftui.state.parent / "plan.json"
    assert nftui("plan", "--only", "grace", "--out", str(saved)).code == 0
    done = nftui(*plain)
    assert done.code == 2 and "cache: what was changed in its container would be lost: /etc/by-hand" in done.err
    assert "/tmp/passing" not in done.err
    assert "other: its data at /data lies in a volume without a name" in done.err
    assert "--accept-irreversible" in done.err and stack.exec("cache", "cat", "/etc/by-hand") == "1"
    stack.exec("near", "sh", "-c", "touch /srv-by-hand || touch /home/by-hand || true")
    assert steps(apply(nftui))
    assert "by-hand" not in stack.exec("cache", "ls", "/etc")
    handed = next(m["Name"] for m in stack.inspect("other")["Mounts"] if m["Destination"] == "/data")
    assert handed == anonymous
    stack.exec("cache", "touch", "/etc/again")
    assert "/etc/again" in nftui("rollback", "--dry-run", "--json").json["way_back"]["losses"][0]
    lost = nftui("rollback", "--yes")
    assert lost.code == 2 and "/etc/again" in lost.err and "--force" in lost.err
    done = nftui("rollback", "--yes", "--force", "--json")
    assert done.code == 0, done.out + done.err


@pytest.mark.all
def test_the_file_that_started_the_project_is_gone(nftui: Copy, stack: Stack) -> None:
    old, new = stack.directory / "compose.yaml", stack.directory / "docker-compose.yml"
    old.rename(new)
    try:
        refused(nftui, f"started from {old}, which is not on this machine")
    finally:
        new.rename(old)


# -- saved plans -------------------------------------------------------------------------------------------------
@pytest.mark.all
def test_each_precondition_that_does_not_hold_any_more_is_named(nftui: Copy, stack: Stack) -> None:
    saved, path = nftui.state.parent / "plan.json", stack.directory / "compose.yaml"
    assert nftui("plan", "--only", "grace", "--out", str(saved)).code == 0
    before = path.read_bytes()

    def differs(words: str) -> None:
        done = nftui("apply", "--plan", str(saved), "--yes", "--accept-irreversible", "--settle", "0")
        assert done.code == 3 and words in done.err and "nothing was touched" in done.err, done.out + done.err

    path.write_bytes(before + b"# later\n")
    try:
        differs(f"file:{path} was ")
    finally:
        path.write_bytes(before)
    stack.compose("up", "-d", "--no-deps", "--scale", "other=2", "other")
    differs("scale:other was 1, is 2")
    stack.compose("up", "-d", "--no-deps", "--scale", "other=1", "other")
    docker("update", "--memory", "200m", "--memory-swap", "-1", stack.container("cache"))
    differs("limit:cache was None, is 209715200")
    stack.up("--force-recreate", "cache", "near", "reads")
    stack.exec("cache", "touch", "/etc/by-hand")
    differs("losses:cache was absent, is 1")
    stack.up("--force-recreate", "cache", "near", "reads")


@pytest.mark.all
def test_a_plan_from_elsewhere_or_with_other_steps_is_refused(nftui: Copy, stack: Stack) -> None:
    from nftui.cli.planfile import seal

    saved = nftui.state.parent / "plan.json"
    assert nftui("plan", "--only", "grace", "--out", str(saved)).code == 0
    data = json.loads(saved.read_text())

    def changed(**more: object) -> tuple[int, str]:
        other = {**data, **more}
        saved.write_text(json.dumps({**other, "seal": seal(other)}))
        done = nftui("apply", "--plan", str(saved), "--yes", "--accept-irreversible")
        return done.code, done.err

    code, words = changed(project="another-0123456789abcdef")
    assert code == 2 and "another project or another Docker engine" in words
    code, words = changed(request={**data["request"], "path": "/nowhere/at/all"})
    assert code == 2 and "/nowhere/at/all, which is not on this machine" in words
    evil = json.loads(json.dumps(data["core"]).replace("compose.override.yaml", "compose.evil.yaml"))
    code, words = changed(core=evil)
    assert code == 3 and "compose.evil.yaml" in words
    saved.write_text(json.dumps({**data, "core": evil}))
    assert nftui("apply", "--plan", str(saved), "--yes").code == 2
