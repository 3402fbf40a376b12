"""A cluster in the place of one server: what forbids it, what is written for it, and in which order it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nftui.engine.consent import Consent, refusals
from nftui.engine.own import is_job
from nftui.engine.planner import draft
from nftui.engine.state import InForce
from nftui.model.advice import Advice, Fragment, Grant
from nftui.model.errors import UsageError
from nftui.model.facts import Facts
from nftui.model.plan import Draft, canonical
from nftui.model.stack import Container
from nftui.model.units import MIB
from nftui.optimizations.redis import OPTIMIZATION
from nftui.optimizations.redis.knobs import ID
from nftui.optimizations.redis.server import key_services
from nftui.probes.ranges import parse_routes
from tests.optimizations.test_contract import standing
from tests.redis import test_advice
from tests.redis.test_advice import choices

MODE = "redis.mode=cluster"
PASSWORD = "${SECRET:-fake}"
QUEUE = """
  n8n:
    image: n8nio/n8n
    environment: {EXECUTIONS_MODE: queue, QUEUE_BULL_REDIS_HOST: cache, QUEUE_BULL_REDIS_PASSWORD: "${SECRET:-fake}"}
"""
LITELLM = """
  proxy: {image: "berriai/litellm", environment: {REDIS_HOST: cache, REDIS_PASSWORD: "${SECRET:-fake}"}}
"""
DIFY = """
  api: {image: "langgenius/dify-api", environment: {REDIS_HOST: cache, REDIS_PASSWORD: "${SECRET:-fake}"}}
"""
LANGFUSE = """
  traces: {image: "langfuse/langfuse", environment: {REDIS_HOST: cache, REDIS_AUTH: "${SECRET:-fake}"}}
"""
OWN = """
  shop: {image: "acme/shop", environment: {REDIS_HOST: cache, REDIS_CLUSTER_NODES: "cache:6379"}}
"""
COMMAND = "redis-server --requirepass ${SECRET:-fake}"
NODES = key_services("cache")
LISTED = ",".join(f"{name}:6379" for name in NODES)


def facts(path: Path, more: str = QUEUE, **live: Any) -> Facts:
    known: dict[str, Any] = {"command": COMMAND, "running": ("redis-server", "--requirepass", "not-a-secret")}
    return test_advice.facts(path, more, **{**known, **live})


def advice(found: Facts, *sets: str, node: int = 96 * MIB) -> dict[str, Advice]:
    grants = {"cache": Grant("cache", 256 * MIB), **{name: Grant(name, node) for name in NODES}}
    return {line.knob: line for line in OPTIMIZATION.advise(found, choices(*sets), grants)}


def fragment(found: Facts, *sets: str) -> Fragment:
    return OPTIMIZATION.fragment(found, tuple(advice(found, MODE, *sets).values()))


def running(found: Facts, *names: str) -> Facts:
    """Those run too."""
    services = tuple(
        replace(s, containers=(Container(s.name, s.name, s.name, 1, "running", None, "i", "i"),))
        if s.name in names else s for s in found.stack.services
    )  # fmt: skip
    return replace(found, stack=replace(found.stack, services=services))


def plan(found: Facts, *sets: str, in_force: InForce | None = None) -> Draft:
    return draft(found, choices(MODE, *sets), {ID: OPTIMIZATION}, standing(found, in_force))


def test_six_nodes_on_fixed_addresses_share_the_memory_and_the_password_by_name(tmp_path: Path) -> None:
    found = facts(tmp_path)
    part, net = fragment(found), str(advice(found, MODE)["subnet"].value).removesuffix("0/28")
    first, last = part.services[NODES[0]], part.services[NODES[5]]
    words = " ".join(first["command"]) if isinstance(first["command"], list) else str(first["command"])
    for asked in ("--cluster-enabled yes", f"--cluster-announce-ip {net}2",
                  "--cluster-announce-hostname cache-node-1", "--cluster-preferred-endpoint-type hostname",
                  "--appendonly yes", "--masterauth ${SECRET:-fake}",
                  "--requirepass ${SECRET:-fake}", "--maxmemory-policy noeviction", "--maxmemory 57mb"):  # fmt: skip
        assert asked in words, (asked, words)
    assert first["networks"] == {"default": {}, "cache-nodes": {"ipv4_address": f"{net}2"}}
    assert last["networks"]["cache-nodes"] == {"ipv4_address": f"{net}7"}  # type: ignore[index]
    assert first["mem_limit"] == 96 * MIB and "deploy" not in first
    assert "min-replicas-to-write 1000" in str(part.services["cache"]["command"]).replace("', '", " ")
    assert set(part.own) == set(NODES) and part.own[NODES[0]] == ("cache", "n8n")
    assert "not-a-secret" not in str(part)


def beside(found: Facts, mode: str) -> dict[str, Mapping[str, Any]]:
    """The servers of nftui's own that stand beside it in that mode."""
    grants = {"cache": Grant("cache", 256 * MIB)}
    lines = OPTIMIZATION.advise(found, choices(f"redis.mode={mode}"), grants)
    part = OPTIMIZATION.fragment(found, tuple(lines))
    return {name: part.services[name] for name in part.own}


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [("no", "unless-stopped"), ("on-failure:3", "unless-stopped"), (None, "unless-stopped"), ("always", "always"),
     ("unless-stopped", "unless-stopped")],
)  # fmt: skip
@pytest.mark.parametrize(("mode", "count"), [("replica", 1), ("cluster", 6), ("sentinel", 5)])
def test_servers_beside_it_come_back_whatever_the_servers_policy_says(
    tmp_path: Path, policy: str | None, wanted: str, mode: str, count: int
) -> None:
    """One that is not to come back is taken for a job, whose end is waited for."""
    found = facts(tmp_path, DIFY if mode == "cluster" else LANGFUSE)
    own = {"restart": policy} if policy else {}
    services = tuple(
        replace(s, restart=policy, config={**s.config, **own}, raw={**s.raw, **own}) if s.name == "cache" else s
        for s in found.stack.services
    )  # fmt: skip
    servers = beside(replace(found, stack=replace(found.stack, services=services)), mode)
    assert len(servers) == count and {s["restart"] for s in servers.values()} == {wanted}
    assert not any(is_job(server) for server in servers.values())


def renamed(found: Facts, name: str, *more: str) -> Facts:
    """The server is called that, and others of these names are beside it."""
    first = found.stack.services[0]
    services = (replace(first, name=name), *found.stack.services[1:], *(replace(first, name=n) for n in more))
    live = {(name, ID): replace(found.live[("cache", ID)], service=name)}
    return replace(found, stack=replace(found.stack, services=services), live=live)


def test_a_node_is_announced_by_a_name_that_redis_takes(tmp_path: Path) -> None:
    """A name with an underline is refused by the server at its start."""
    own = QUEUE.replace("REDIS_HOST: cache", "REDIS_HOST: my_cache")
    servers = beside(renamed(facts(tmp_path, own), "my_cache"), "cluster")
    assert sorted(servers) == [f"my-cache-node-{n}" for n in range(1, 7)]
    for name, server in servers.items():
        words = [str(word) for word in server["command"]]
        assert words[words.index("--cluster-announce-hostname") + 1] == name
    assert f"{key_services('my_cache', 'sentinel')[0]}" == "my_cache-server-1", "Sentinel takes it, and may have it"
    with pytest.raises(UsageError, match="nodes of my-cache would have the same names"):
        beside(renamed(facts(tmp_path / "two", own), "my_cache", "my-cache"), "cluster")


def test_a_closed_server_keeps_the_log_that_it_writes(tmp_path: Path) -> None:
    """Without it the way back would start the server by a log that lacks what was carried back."""
    config = {"appendonly": "yes", "maxmemory": str(100 * MIB)}
    words = str(fragment(facts(tmp_path, config=config)).services["cache"]["command"]).replace("', '", " ")
    assert "--appendonly yes" in words and "--maxmemory 100mb" in words, words
    assert "--appendonly" not in str(fragment(facts(tmp_path)).services["cache"]["command"])


@pytest.mark.parametrize(
    ("more", "service", "told"),
    [(QUEUE, "n8n", {"QUEUE_BULL_REDIS_CLUSTER_NODES": LISTED}),
     (DIFY, "api", {"REDIS_CLUSTERS": LISTED, "REDIS_USE_CLUSTERS": "true", "REDIS_CLUSTERS_PASSWORD": PASSWORD}),
     (OWN, "shop", {"REDIS_CLUSTER_NODES": LISTED})],
)  # fmt: skip
def test_each_app_is_told_by_its_own_variables(tmp_path: Path, more: str, service: str, told: dict[str, str]) -> None:
    part = fragment(facts(tmp_path, more)).services[service]
    assert part["environment"] == told
    assert set(part["depends_on"]) == set(NODES)  # type: ignore[call-overload]


def test_a_list_in_json_is_written_as_json(tmp_path: Path) -> None:
    environment = fragment(facts(tmp_path, LITELLM)).services["proxy"]["environment"]
    assert environment["REDIS_CLUSTER_NODES"].startswith('[{"host": "cache-node-1", "port": "6379"}, ')  # type: ignore[index]


UNTOLD = """
  shop: {image: "acme/shop", environment: {REDIS_HOST: cache, IN_A_CLUSTER: "perhaps"}}
"""


@pytest.mark.parametrize(
    ("more", "live", "why"),
    [(QUEUE, {"databases": {0: 1, 2: 7}}, r"2 \(7 keys\)"), (QUEUE, {"commands": {"mset": 3}}, "MSET 3×"),
     (QUEUE, {"queue_keys": ("bull:mail:id",)}, "bull:mail:id"), (QUEUE, {"version": "6.2.14"}, "need Redis 7.0"),
     (QUEUE, {"replicas": 1}, "1 replicas follow it"), (QUEUE, {"accounts": 2}, "accounts or functions"),
     (QUEUE, {"functions": 1}, "accounts or functions"), (QUEUE, {"clients": ("10.9.9.9:1",)}, "10.9.9.9"),
     (UNTOLD, {}, "by which variables shop is told"),
     (QUEUE, {"command": "redis-server --requirepass open"}, "in clear"),
     (QUEUE, {"used_memory": 400 * MIB}, "6 nodes need 277")],
)  # fmt: skip
def test_what_forbids_a_cluster_is_said(tmp_path: Path, more: str, live: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        advice(facts(tmp_path, more, **live), MODE)


ASLEEP = """
  worker:
    image: "{image}"
    profiles: [jobs]
    environment: {{{told}}}
"""
ABLE = ASLEEP.format(image="langgenius/dify-api", told='REDIS_HOST: cache, REDIS_PASSWORD: "${SECRET:-fake}"')
OTHER = ASLEEP.format(image="acme/worker", told='REDIS_URL: "redis://cache:6379/3", REDIS_CLUSTER_NODES: "cache:6379"')
UNABLE = ASLEEP.format(image="acme/worker", told='REDIS_URL: "redis://cache:6379/0"')
UNSAID = ASLEEP.format(image="acme/worker", told='REDIS_HOST: cache, REDIS_CLUSTER: "yes"')


@pytest.mark.parametrize(
    ("worker", "why"),
    [(OTHER, r"3 \(worker\)"), (UNABLE, "not known that worker can talk to a cluster"),
     (UNSAID, "by which variables worker is told")],
)  # fmt: skip
def test_who_is_not_active_now_counts_as_well(tmp_path: Path, worker: str, why: str) -> None:
    """Started tomorrow it would read what the closed server had, and could write nothing."""
    with pytest.raises(UsageError, match=why):
        advice(facts(tmp_path, QUEUE + worker), MODE)
    asleep = "\n".join(line for line in worker.splitlines() if "cache" not in line)
    assert advice(facts(tmp_path, QUEUE + asleep), MODE)["mode"].value == "cluster", "it uses another one"


def test_who_is_not_active_now_is_told_with_the_others(tmp_path: Path) -> None:
    found = running(facts(tmp_path, QUEUE + ABLE), "n8n")
    part = fragment(found)
    assert part.services["worker"]["environment"]["REDIS_CLUSTERS"] == LISTED  # type: ignore[index]
    assert part.own[NODES[0]] == ("cache", "n8n", "worker")
    first, then = plan(found).stages
    assert b"worker" not in (first.files[0].content or b""), "it would be told before the keys are there"
    assert b"worker" in (then.files[0].content or b"")
    assert not [s.id for s in then.steps if "worker" in s.id], "it is not started"
    assert then.switch and then.switch.writers == ("n8n",)


def notes(found: Facts) -> str:
    return " ".join(map(str, advice(found)["mode"].notes))


def test_commands_that_take_several_keys_where_they_are_told_to_are_doubts(tmp_path: Path) -> None:
    several = {"del": 9, "unlink": 8, "exists": 7, "touch": 6}
    told = notes(facts(tmp_path, commands=several))
    assert "may name several keys were called (DEL 9×, UNLINK 8×, EXISTS 7×, TOUCH 6×)" in told
    assert advice(facts(tmp_path, commands=several), MODE)["mode"].value == "cluster", "they forbid nothing"
    assert "several keys" not in notes(facts(tmp_path, commands={"get": 9, "expire": 3}))


def test_what_the_server_saw_of_its_clients_is_shown(tmp_path: Path) -> None:
    """Errors are counted by the server since 6.2; which client got them it does not say."""
    asked = notes(facts(tmp_path, commands={"cluster|slots": 3, "cluster|help": 2}))
    assert "Seen since its start: a client asked for the nodes of a cluster (CLUSTER SLOTS 3×)" in asked
    away = notes(facts(tmp_path, errors={"READONLY": 4, "ERR": 9}))
    assert "turned clients away (READONLY 4×), which did not go where it sent them" in away
    assert "Seen since" not in notes(facts(tmp_path, errors={"ERR": 9, "WRONGTYPE": 1}, commands={"cluster|info": 2}))
    closed = ("redis-server", "--requirepass", "not-a-secret", "--min-replicas-to-write", "1000")
    late = notes(facts(tmp_path, running=closed, errors={"NOREPLICAS": 5}))
    assert "the closed server turned clients away (NOREPLICAS 5×)" in late


def test_a_server_that_lets_nobody_in_is_not_made_a_cluster(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="could not be asked what is in it"):
        advice(replace(facts(tmp_path), live={}), MODE)


@pytest.mark.parametrize(
    ("value", "why"),
    [("10.109.0.0/28", "taken by other"), ("10.0.5.0/24", "taken by route through eth1"),
     ("10.7.0.0/30", "16 addresses"), ("8.8.8.0/24", "private"),
     ("10.7.0.1/24", "no range"), ("fd00::/64", "no range")],
)  # fmt: skip
def test_a_range_that_is_taken_is_refused_with_whose_it_is(tmp_path: Path, value: str, why: str) -> None:
    ranges = {"other": ("10.109.0.0/24", "fd00:1::/64"), "route through eth1": ("10.0.0.0/16",), "host": ()}
    found = replace(facts(tmp_path), ranges=ranges)
    assert advice(found, MODE, "redis.subnet=10.7.0.0/24")["subnet"].value == "10.7.0.0/24"
    with pytest.raises(UsageError, match=why):
        advice(found, MODE, f"redis.subnet={value}")


def test_projects_that_plan_at_the_same_moment_choose_ranges_of_their_own(tmp_path: Path) -> None:
    """Neither sees the other's network yet; one that is taken is passed over, and the choice is always the same."""
    found = []
    for name in ("shop", "blog"):
        (tmp_path / name).mkdir()
        found.append(facts(tmp_path / name))
    first, second = (str(advice(one, MODE)["subnet"].value) for one in found)
    assert first != second and first == advice(facts(tmp_path / "shop"), MODE)["subnet"].value
    taken = replace(found[0], ranges={"other": (first,)})
    number = (int(first.split(".")[2]) + 1) % 256
    assert advice(taken, MODE)["subnet"].value == f"10.109.{number}.0/28"


def test_the_range_in_use_stays(tmp_path: Path) -> None:
    found = facts(tmp_path)
    mine = f"{found.stack.name}_cache-nodes"
    found = replace(found, ranges={mine: ("10.109.7.0/28",), "other": ("10.109.0.0/28",)})
    assert advice(found, MODE)["subnet"].value == "10.109.7.0/28"


def test_routes_of_the_machine_are_read_as_the_kernel_writes_them() -> None:
    rows = ["eth0\t00000000\t0114A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0",
            "eth0\t0014A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0", "short"]  # fmt: skip
    assert parse_routes(rows) == {"route through eth0": ("192.168.20.0/24",)}


def test_nothing_is_called_more_than_it_is(tmp_path: Path) -> None:
    notes = [str(note) for note in advice(facts(tmp_path), MODE)["mode"].notes]
    assert any("process failover, not high availability" in note for note in notes)


def test_the_nodes_stand_first_and_the_apps_come_last(tmp_path: Path) -> None:
    found = running(facts(tmp_path), "n8n")
    first, then = (stage for stage in plan(found).stages)
    ids = [s.id for s in first.steps]
    assert ids[0] == "redis-places:cache" and ids[-1] == "redis-cluster:cache", ids
    assert b"QUEUE_BULL_REDIS_CLUSTER_NODES" not in (first.files[0].content or b"")
    assert b"min-replicas-to-write" not in (first.files[0].content or b"")
    kinds = [s.kind for s in then.steps]
    assert kinds == ["hold", "redis-close", "redis-save", "redis-import", "redis-carry", "file", "recreate", "recreate",
                     "project-check", "redis-shards", "release"]  # fmt: skip
    assert then.commit_point and then.loss is None and not any(s.opens or s.lossy for s in then.steps)
    carry = then.steps[4]
    assert carry.first_back and carry.params["services"] == ["n8n"]


def test_it_may_be_tried_for_a_while_for_nothing_is_lost_by_going_back(tmp_path: Path) -> None:
    found = plan(running(facts(tmp_path), "n8n"))
    assert not list(refusals(found, Consent(without_backup=True), confirm=True, files_only=False))
    (bare,) = refusals(found, Consent(), confirm=False, files_only=False)
    assert "no proven backup" in str(bare)


def test_a_closed_server_stays_closed_and_planning_again_is_empty(tmp_path: Path) -> None:
    found = running(facts(tmp_path), "n8n")
    first = plan(found)
    closed = facts(
        tmp_path, running=("redis-server", "--requirepass", "not-a-secret", "--min-replicas-to-write", "1000")
    )
    assert advice(closed)["mode"].value == "cluster", "nobody moves back by leaving a word out"
    with pytest.raises(UsageError, match="take that run back"):
        advice(closed, "redis.mode=single")
    again = plan(running(closed, "n8n"), in_force=InForce(1, "run", first.choices, first.fragments))
    assert canonical([f.services for f in again.fragments]) == canonical([f.services for f in first.fragments])
    assert not [s.id for stage in again.stages if stage.commit_point for s in stage.steps]


def test_switched_off_it_would_start_the_server_on_what_was_left(tmp_path: Path) -> None:
    found = running(facts(tmp_path), "n8n")
    first = plan(found)
    off = choices().select(ID, type(choices().selection(ID)).OFF)
    then = draft(found, off, {ID: OPTIMIZATION}, standing(found, InForce(1, "run", first.choices, first.fragments)))
    assert any("would start cache on what was left behind" in str(r) for r in then.refusals)
