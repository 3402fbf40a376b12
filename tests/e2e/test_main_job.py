"""The main job on a real PostgreSQL: detect, check, plan, apply, read back, apply again, roll back to the byte."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import Nftui, everything_written, tree
from tests.e2e.runs import journal, kill_all
from tests.stack.running import Stack, docker, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]
FAST = ("--settle", "1")
ONLY = ("--only", "postgres")


@pytest.fixture
def nftui(running_stack: Stack, tmp_path: Path) -> Iterator[Nftui]:
    yield Nftui(running_stack.directory, tmp_path / "state")


def apply(nftui: Nftui, *arguments: str) -> dict:  # type: ignore[type-arg]
    done = nftui("apply", *ONLY, "--yes", "--json", *FAST, *arguments)
    assert done.code == 0, done.err + done.out
    return done.json  # type: ignore[no-any-return]


def knobs(plan: dict) -> dict[str, dict]:  # type: ignore[type-arg]
    found = next(o for o in plan["optimizations"] if o["id"] == "postgres")
    return {k["name"]: k for k in found["knobs"]}


def test_detect_sees_host_stack_and_engine(nftui: Nftui, running_stack: Stack) -> None:
    found = nftui("detect", "--json").json
    services = {s["name"]: s for s in found["stack"]["services"]}
    assert found["schema"] == "nftui/detect/1" and found["host"]["memory_bytes"] > 0
    assert services["postgres"]["role"] == "postgres" and services["postgres"]["version"].startswith("15")
    assert services["postgres"]["memory_limit_bytes"] == 1024**3 and services["postgres"]["state"] == "running"
    assert services["redis"]["role"] == "redis" and services["api"]["role"] == "app"
    assert services["backup"]["role"] == "client" and services["backup"]["active"] is False
    assert found["engine"]["id"] == docker("info", "--format", "{{.ID}}")


def test_check_finds_what_is_set_in_vain(nftui: Nftui) -> None:
    found = nftui("check", "--json").json["findings"]
    inert = next(f for f in found if f["id"] == "postgres-env-inert")
    keys = {e["key"]: e for e in inert["evidence"]}
    assert {"POSTGRES_SHARED_BUFFERS", "POSTGRES_MAX_CONNECTIONS"} <= set(keys)
    assert "POSTGRES_USER" not in keys and keys["POSTGRES_SHARED_BUFFERS"]["line"] > 0
    assert any(f["id"] == "postgres-defaults" and f["service"] == "postgres" for f in found)
    assert all(f["service"] != "backup" for f in found if f["id"].startswith("postgres-"))


def test_plan_changes_nothing_and_knows_the_live_values(nftui: Nftui, running_stack: Stack) -> None:
    before = tree(running_stack.directory)
    plan = nftui("plan", *ONLY, "--json").json
    assert plan["changes"] is True and tree(running_stack.directory) == before
    assert not nftui.state.exists()
    shared = knobs(plan)["shared_buffers"]
    assert shared["current"] == "128MB" and shared["recommended"] == "256MB"
    assert all(k["why"] and k["source"] for k in knobs(plan).values())
    assert nftui("plan", *ONLY, "--json").json["id"] == plan["id"]


def test_apply_reads_back_and_rollback_restores_every_byte(nftui: Nftui, running_stack: Stack) -> None:
    before = tree(running_stack.directory)
    old = {name: running_stack.show(name) for name in ("work_mem", "max_wal_size", "random_page_cost", "jit")}
    config_before = running_stack.compose("config").stdout
    plan = nftui("plan", *ONLY, "--json").json
    result = apply(nftui)
    assert result["outcome"] == "applied" and result["plan"] == plan["id"]
    assert all(s["state"] == "verified" for s in result["steps"])
    for name, knob in knobs(plan).items():
        if name not in ("workload", "shm_size", "stop_grace_period", "wal_buffers") and not name.startswith("tune_"):
            assert running_stack.show(name) == knob["value"], name
    assert running_stack.inspect("postgres")["HostConfig"]["ShmSize"] > 64 * 1024**2
    _again_does_nothing(nftui, running_stack)
    rolled = nftui("rollback", "--yes", "--json")
    assert rolled.code == 0 and rolled.json["outcome"] == "rolled-back", rolled.err + rolled.out
    assert tree(running_stack.directory) == before
    assert {name: running_stack.show(name) for name in old} == old
    assert running_stack.compose("config").stdout == config_before
    assert nftui("status", "--json").json["generation"] == 0


def _again_does_nothing(nftui: Nftui, stack: Stack) -> None:
    container = stack.container("postgres")
    again = nftui("apply", *ONLY, "--yes", "--json")
    assert again.code == 0 and again.json["outcome"] == "unchanged", again.out
    assert stack.container("postgres") == container
    plain = stack.compose("up", "-d", "--dry-run").stderr
    assert "Recreate" not in plain, plain
    status = nftui("status", "--json")
    assert status.code == 0 and status.json["drift"] == [] and status.json["state"] == "idle", status.out


def test_a_chosen_value_is_applied_as_chosen(nftui: Nftui, running_stack: Stack) -> None:
    apply(nftui, "--set", "postgres.work_mem=5MB")
    assert running_stack.show("work_mem") == "5MB"


def test_an_edited_plan_and_a_moved_world_are_refused(nftui: Nftui, running_stack: Stack, tmp_path: Path) -> None:
    saved = tmp_path / "plan.json"
    assert nftui("plan", *ONLY, "--out", str(saved)).code == 0
    document = json.loads(saved.read_text())
    text = json.dumps(document).replace("compose.nftui.yaml", "compose.evil.yaml")
    edited = tmp_path / "edited.json"
    edited.write_text(text)
    assert nftui("apply", "--plan", str(edited), "--yes", *FAST).code in (2, 3)
    before = tree(running_stack.directory)
    compose = running_stack.directory / "compose.yaml"
    compose.write_text(compose.read_text() + "\n# edited meanwhile\n")
    refused = nftui("apply", "--plan", str(saved), "--yes", "--json", *FAST)
    assert refused.code == 3, refused.out + refused.err
    assert {k: v for k, v in tree(running_stack.directory).items() if k != "compose.yaml"} == {
        k: v for k, v in before.items() if k != "compose.yaml"
    }


def test_no_secret_in_anything_that_was_written(nftui: Nftui, running_stack: Stack) -> None:
    said = [nftui(*a) for a in (("detect", "--json"), ("check", "--json"), ("plan", "--json"), ("plan",))]
    apply(nftui)
    said += [nftui("log"), nftui("snapshots", "list", "--json"), nftui("status", "--json")]
    text = "".join(d.out + d.err for d in said).encode() + everything_written(nftui.state)
    text += (running_stack.directory / "compose.nftui.yaml").read_bytes()
    for secret in running_stack.secrets:
        assert secret.encode() not in text


def test_unconfirmed_is_taken_back_and_confirmed_stays(nftui: Nftui, running_stack: Stack) -> None:
    before = tree(running_stack.directory)
    done = nftui("apply", *ONLY, "--yes", "--json", *FAST, "--confirm-within", "2")
    assert done.code == 1 and done.json["outcome"] == "rolled-back", done.out + done.err
    assert tree(running_stack.directory) == before and running_stack.show("work_mem") == "4MB"
    with subprocess.Popen(
        nftui.command("apply", *ONLY, "--yes", "--json", *FAST, "--confirm-within", "120"), cwd=nftui.directory,
        env=nftui.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as child:  # fmt: skip
        wait_until(lambda: nftui("status").code == 12, seconds=90, what="waiting for confirm")
        assert nftui("confirm").code == 0
        assert child.wait(60) == 0
    assert nftui("status", "--json").json["generation"] == 1


def test_the_run_outlives_its_follower_and_a_second_one_is_refused(nftui: Nftui, running_stack: Stack) -> None:
    with subprocess.Popen(
        nftui.command("apply", *ONLY, "--yes", "--settle", "4"), cwd=nftui.directory, env=nftui.environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    ) as child:  # fmt: skip
        wait_until(lambda: nftui("status").code == 4, seconds=60, what="the run")
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(10)
    second = nftui("apply", *ONLY, "--yes", *FAST)
    assert second.code == 4, second.err
    wait_until(lambda: nftui("status").code == 0, seconds=90, what="the end of the run")
    assert nftui("status", "--json").json["generation"] == 1


def test_worker_and_guardian_killed_in_the_middle_are_recovered_by_rollback(nftui: Nftui, running_stack: Stack) -> None:
    before = tree(running_stack.directory)
    child = subprocess.Popen(
        nftui.command("apply", *ONLY, "--yes", "--settle", "30"), cwd=nftui.directory, env=nftui.environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_until(lambda: "intent" in journal(nftui), seconds=60, what="the worker")
    kill_all(nftui)
    assert child.wait(30) != 0
    wait_until(lambda: nftui("status").code == 5, seconds=20, what="the cut-off run")
    assert nftui("apply", *ONLY, "--yes", *FAST).code == 5
    rolled = nftui("rollback", "--yes", "--json")
    assert rolled.code == 0 and rolled.json["outcome"] == "rolled-back", rolled.out + rolled.err
    assert tree(running_stack.directory) == before and running_stack.show("work_mem") == "4MB"
    assert nftui("status").code == 0


def test_drift_is_seen_and_a_foreign_edit_needs_force(nftui: Nftui, running_stack: Stack) -> None:
    apply(nftui)
    override = running_stack.directory / "compose.nftui.yaml"
    override.write_text(override.read_text() + "# mine\n")
    status = nftui("status", "--json")
    assert status.code == 3 and any(d["target"].endswith("compose.nftui.yaml") for d in status.json["drift"])
    refused = nftui("rollback", "--yes")
    assert refused.code == 3 and "--force" in refused.err, refused.err
    assert nftui("rollback", "--yes", "--force").code == 0
    assert not override.exists()
