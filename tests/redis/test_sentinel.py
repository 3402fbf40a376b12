"""Sentinels and their two servers in the place of one: what forbids it, what is written, and what is asked of them."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nftui.engine.planner import draft
from nftui.engine.state import InForce
from nftui.model.advice import TOLD, Advice, Fragment, Grant
from nftui.model.errors import UsageError
from nftui.model.facts import Facts
from nftui.model.plan import Draft, canonical
from nftui.model.units import MIB
from nftui.optimizations.redis import OPTIMIZATION
from nftui.optimizations.redis.knobs import ID
from nftui.optimizations.redis.sentinel import KEEP_ROLE, KEEP_VIEW
from nftui.optimizations.redis.server import MODE_LABEL, key_services, watch_names
from tests.optimizations.test_contract import standing
from tests.redis import test_advice, test_cluster
from tests.redis.test_advice import choices
from tests.redis.test_cluster import DIFY, LITELLM, PASSWORD, QUEUE, running

MODE = "redis.mode=sentinel"
LANGFUSE = """
  web: {image: "langfuse/langfuse:3", environment: {REDIS_HOST: cache, REDIS_AUTH: "${SECRET:-fake}"}}
"""
CHATWOOT = """
  chat:
    image: chatwoot/chatwoot
    environment: {REDIS_URL: "redis://cache:6379", REDIS_PASSWORD: "${SECRET:-fake}"}
"""
SERVERS, SENTINELS = key_services("cache", "sentinel"), watch_names("cache", "sentinel")
LISTED = ",".join(f"{name}:26379" for name in SENTINELS)


def facts(path: Path, more: str = LANGFUSE, **live: Any) -> Facts:
    return test_cluster.facts(path, more, **live)


def advice(found: Facts, *sets: str, node: int = 256 * MIB) -> dict[str, Advice]:
    grants = {"cache": Grant("cache", 256 * MIB), **{name: Grant(name, node) for name in SERVERS}}
    return {line.knob: line for line in OPTIMIZATION.advise(found, choices(*sets), grants)}


def fragment(found: Facts, *sets: str) -> Fragment:
    return OPTIMIZATION.fragment(found, tuple(advice(found, MODE, *sets).values()))


def plan(found: Facts, *sets: str, in_force: InForce | None = None) -> Draft:
    return draft(found, choices(MODE, *sets), {ID: OPTIMIZATION}, standing(found, in_force))


def words(part: object) -> str:
    assert isinstance(part, list)
    return " ".join(part)


def test_two_servers_and_three_sentinels_know_each_other_by_names_of_fixed_addresses(tmp_path: Path) -> None:
    found = facts(tmp_path)
    part, net = fragment(found), str(advice(found, MODE)["subnet"].value).removesuffix("0/28")
    first, second = (part.services[name] for name in SERVERS)
    hosts = [f"{name}:{net}{number}" for number, name in enumerate((*SERVERS, *SENTINELS), start=2)]
    for name in (*SERVERS, *SENTINELS):
        assert part.services[name]["extra_hosts"] == hosts
        assert part.services[name]["volumes"][0]["source"].endswith(f"_{name}")  # type: ignore[index]
        assert part.own[name] == ("cache", "web")
    assert first["networks"] == {"default": {}, "cache-sentinels": {"ipv4_address": f"{net}2"}}
    assert second["command"][5] == "replicaof cache-server-1 6379" and first["command"][5] == ""  # type: ignore[index]
    for asked in ("/data/nftui-role.conf", "redis-server --requirepass ${SECRET:-fake}", "--appendonly yes",
                  "--masterauth ${SECRET:-fake}", "--replica-announce-ip cache-server-2", "--maxmemory 153mb",
                  "--maxmemory-policy noeviction"):  # fmt: skip
        assert asked in words(second["command"]), asked
    said = words(part.services[SENTINELS[2]]["command"])
    for asked in ("cache cache-server-1 6379 2 redis-server --sentinel --port 26379", "--requirepass ${SECRET:-fake}",
                  "--sentinel announce-ip cache-sentinel-3", "--sentinel auth-pass cache ${SECRET:-fake}",
                  "--sentinel sentinel-pass ${SECRET:-fake}", "down-after-milliseconds cache 5000"):  # fmt: skip
        assert asked in said, asked
    assert first["mem_limit"] == 256 * MIB and "deploy" not in first
    closed = part.services["cache"]
    assert "min-replicas-to-write 1000" in words(closed["command"]) and closed["labels"] == {MODE_LABEL: "sentinel"}
    assert "not-a-secret" not in str(part)


def test_without_a_password_nobody_is_asked_for_one(tmp_path: Path) -> None:
    more = LANGFUSE.replace(', REDIS_AUTH: "${SECRET:-fake}"', "")
    part = fragment(test_advice.facts(tmp_path, more))
    assert "pass" not in words(part.services[SENTINELS[0]]["command"][6:])  # type: ignore[index]
    assert "REDIS_SENTINEL_PASSWORD" not in part.services["web"]["environment"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("more", "service", "told"),
    [(LANGFUSE, "web", {"REDIS_SENTINEL_NODES": LISTED, "REDIS_SENTINEL_MASTER_NAME": "cache",
                        "REDIS_SENTINEL_ENABLED": "true", "REDIS_SENTINEL_PASSWORD": PASSWORD}),
     (DIFY, "api", {"REDIS_SENTINELS": LISTED, "REDIS_SENTINEL_SERVICE_NAME": "cache", "REDIS_USE_SENTINEL": "true",
                    "REDIS_SENTINEL_PASSWORD": PASSWORD}),
     (LITELLM, "proxy", {"REDIS_SENTINEL_NODES": json.dumps([[name, 26379] for name in SENTINELS]),
                         "REDIS_SERVICE_NAME": "cache", "REDIS_SENTINEL_PASSWORD": PASSWORD}),
     (CHATWOOT, "chat", {"REDIS_SENTINELS": LISTED, "REDIS_SENTINEL_MASTER_NAME": "cache",
                         "REDIS_SENTINEL_PASSWORD": PASSWORD})],
)  # fmt: skip
def test_each_app_is_told_by_its_own_variables(tmp_path: Path, more: str, service: str, told: dict[str, str]) -> None:
    part = fragment(facts(tmp_path, more)).services[service]
    assert part["environment"] == told
    assert set(part["depends_on"]) == {*SERVERS, *SENTINELS}  # type: ignore[call-overload]


BY_URL = """
  proxy: {image: "berriai/litellm", environment: {REDIS_URL: "redis://:fake@cache:6379"}}
"""
OWN = """
  shop: {image: "acme/shop", environment: {REDIS_HOST: cache, SENTINELS: "a:1"}}
"""


@pytest.mark.parametrize(
    ("more", "live", "why"),
    [(QUEUE, {}, "n8n cannot talk to Sentinel"), (test_advice.UNKNOWN, {}, "not known that web can talk to Sentinel"),
     (BY_URL, {}, "by which variables proxy is told of Sentinel"), (OWN, {}, "variables shop is told of Sentinel"),
     (CHATWOOT.replace("cache:6379", "cache:6379/2"), {}, "variables chat is told"),
     (CHATWOOT.replace(', REDIS_PASSWORD: "${SECRET:-fake}"', ""), {}, "variables chat is told"),
     (LANGFUSE, {"version": "6.2.14"}, "need Redis 7.0"), (LANGFUSE, {"replicas": 1}, "1 replicas follow it"),
     (LANGFUSE, {"accounts": 2}, "accounts or functions"), (LANGFUSE, {"clients": ("10.9.9.9:1",)}, "10.9.9.9"),
     (LANGFUSE, {"command": "redis-server --requirepass open"}, "in clear"),
     (LANGFUSE, {"command": 'sh -c "redis-server --requirepass $${P}"'}, "its name and options alone"),
     (LANGFUSE, {"used_memory": 400 * MIB}, "2 nodes need 833"), (LANGFUSE, {"sentinels": True}, "looked after by")],
)  # fmt: skip
def test_what_forbids_sentinel_is_said(tmp_path: Path, more: str, live: dict[str, Any], why: str) -> None:
    found = facts(tmp_path, more, **live)
    if live.get("sentinels"):
        assert why in str(OPTIMIZATION.applies(found).refused["cache"])
        return
    with pytest.raises(UsageError, match=why):
        advice(found, MODE)


def test_several_databases_are_no_obstacle_and_a_log_is_kept(tmp_path: Path) -> None:
    lines = advice(facts(tmp_path, databases={0: 1, 3: 7}), MODE)
    assert lines["mode"].value == "sentinel" and lines["appendonly"].value == "yes"
    notes = " ".join(str(note) for note in lines["mode"].notes)
    assert "process failover, not high availability" in notes and "asked for by the Sentinels too" in notes
    with pytest.raises(UsageError, match="keep a log and snapshots"):
        advice(facts(tmp_path), MODE, "redis.appendonly=no")


def test_they_are_tried_before_the_keys_go_there_and_once_more_after_the_apps(tmp_path: Path) -> None:
    found = plan(running(facts(tmp_path), "web"))
    first, then = found.stages
    assert first.steps[-1].id == "redis-failover:cache" and first.steps[-1].params["trial"] is True
    assert [s.target for s in first.steps if s.kind == "start"] == [*SERVERS, *SENTINELS]
    kinds = [s.kind for s in then.steps]
    assert kinds == ["hold", "redis-close", "redis-save", "redis-import", "redis-carry", "file", "recreate", "recreate",
                     "project-check", "redis-sentinel", "release"]  # fmt: skip
    assert then.steps[1].params == {"databases": True} and then.steps[9].params["trial"] is False
    assert then.steps[4].params["volumes"] == [f"{found_project(found)}_{name}" for name in SERVERS]
    told = [a for a in found.assertions if a.level == TOLD]
    assert [(a.kind, a.expected) for a in told] == [("redis-master", "cache-server-1")]


def found_project(found: Draft) -> str:
    places = next(s for s in found.steps if s.kind == "own-places")
    return places.target.removesuffix("_cache-sentinels")


def test_a_closed_server_stays_under_sentinel_and_planning_again_is_empty(tmp_path: Path) -> None:
    found = running(facts(tmp_path), "web")
    first = plan(found)
    closed = facts(
        tmp_path, running=("redis-server", "--requirepass", "not-a-secret", "--min-replicas-to-write", "1000")
    )
    services = tuple(
        replace(s, containers=(replace(s.containers[0], labels={MODE_LABEL: "sentinel"}),)) if s.name == "cache" else s
        for s in closed.stack.services
    )
    closed = replace(closed, stack=replace(closed.stack, services=services))
    assert advice(closed)["mode"].value == "sentinel", "nobody moves back by leaving a word out"
    for other in ("single", "cluster"):
        with pytest.raises(UsageError, match="take that run back"):
            advice(closed, f"redis.mode={other}")
    in_force = InForce(1, "run", first.choices, first.fragments)
    again = plan(running(closed, "web"), in_force=in_force)
    assert canonical([f.services for f in again.fragments]) == canonical([f.services for f in first.fragments])
    assert not [s.id for stage in again.stages if stage.commit_point for s in stage.steps]
    standing_now = replace(standing(closed, in_force), own=dict.fromkeys((*SERVERS, *SENTINELS), True))
    more = draft(running(closed, "web"), choices(MODE, "redis.maxmemory=100MB"), {ID: OPTIMIZATION}, standing_now)
    ids = [s.id for s in more.steps if s.kind in ("recreate", "redis-sentinel")]
    assert ids == ["recreate:cache-server-1", "redis-together:cache-server-1", "recreate:cache-server-2",
                   "redis-together:cache-server-2"], "one has all of it before the other goes"  # fmt: skip


# -- how they start ------------------------------------------------------------------------------------------------
def started(tmp_path: Path, script: str, file: str, seed: str, *options: str) -> list[str]:
    """What the script runs: the program here prints what it was given."""
    program = tmp_path / "redis-server"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    argv = ["sh", "-c", script, "nftui", str(tmp_path / file), seed, str(program), *options]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


def test_of_what_a_server_wrote_only_its_role_is_kept(tmp_path: Path) -> None:
    place = tmp_path / "role.conf"
    assert started(tmp_path, KEEP_ROLE, "role.conf", "replicaof a 6379", "--port", "1 2") == [
        str(place),
        "--port",
        "1 2",
    ]
    assert place.read_text() == "replicaof a 6379\n"
    place.write_text('appendonly yes\nrequirepass "old"\nuser default on #abc\nreplicaof b 6379\nmasterauth "old"\n')
    started(tmp_path, KEEP_ROLE, "role.conf", "replicaof a 6379")
    assert place.read_text() == "replicaof b 6379\n", "what Sentinel said last"
    place.write_text("# a master\nsave 3600 1\n")
    started(tmp_path, KEEP_ROLE, "role.conf", "replicaof a 6379")
    assert place.read_text() == "", "a master does not begin to follow again"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file away")
@pytest.mark.parametrize("script", [KEEP_ROLE, KEEP_VIEW])
def test_the_file_is_the_users_whose_the_place_is(tmp_path: Path, script: str) -> None:
    os.chown(tmp_path, 999, 1000)
    for _ in range(2):
        started(tmp_path, script, "kept.conf", "cache a 6379 2")
        found = (tmp_path / "kept.conf").stat()
        assert (found.st_uid, found.st_gid) == (999, 1000)


def test_of_what_a_sentinel_wrote_all_but_passwords_is_kept(tmp_path: Path) -> None:
    place = tmp_path / "sentinel.conf"
    started(tmp_path, KEEP_VIEW, "sentinel.conf", "cache a 6379 2", "--sentinel")
    assert place.read_text().splitlines() == [
        "sentinel resolve-hostnames yes", "sentinel announce-hostnames yes", "sentinel monitor cache a 6379 2"
    ]  # fmt: skip
    stays = "sentinel myid 1\nsentinel monitor cache b 6379 2\nsentinel known-sentinel cache c 26379 2\n"
    gone = 'requirepass "old"\nuser default on #a\nsentinel auth-pass cache old\nsentinel sentinel-pass old\n'
    place.write_text(gone + stays)
    started(tmp_path, KEEP_VIEW, "sentinel.conf", "cache a 6379 2", "--sentinel")
    assert place.read_text() == stays
