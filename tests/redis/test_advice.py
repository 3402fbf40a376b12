"""What is advised for a Redis, by what is in it and who uses it; what is kept, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nftui.engine.consent import Consent, refusals
from nftui.engine.planner import draft
from nftui.model.advice import Advice, Grant
from nftui.model.choices import Choices, Selection
from nftui.model.errors import UsageError
from nftui.model.facts import Facts, Live
from nftui.model.redis import RedisFacts
from nftui.model.stack import Container
from nftui.model.units import GIB, MIB, parse_size
from nftui.optimizations.redis import OPTIMIZATION
from nftui.optimizations.redis.command import declared_flags, merge, written
from nftui.optimizations.redis.knobs import ID
from nftui.optimizations.redis.server import redis_size
from nftui.presets import build_choices
from tests.checks.build import read
from tests.optimizations.test_contract import standing

STACK = """
services:
  cache:
    image: redis:7.2
    command: {command}
    volumes: ["data:/data"{volumes}]
    deploy: {{resources: {{limits: {{memory: 256M}}}}}}
{more}
volumes: {{data: {{}}}}
"""
QUEUE = """
  n8n: {image: "n8nio/n8n", environment: {EXECUTIONS_MODE: queue, QUEUE_BULL_REDIS_HOST: cache}}
"""
CACHE = """
  web: {image: "example/web", environment: {CACHE_URL: "redis://cache:6379/0"}}
"""
UNKNOWN = """
  web: {image: "example/web", environment: {REDIS_URL: "redis://cache:6379/0"}}
"""
CONFIG = {"maxmemory": "0", "maxmemory-policy": "noeviction", "appendonly": "no", "appendfsync": "everysec",
          "save": "3600 1 300 100 60 10000"}  # fmt: skip


def facts(
    path: Path, more: str = "", command: str = "redis-server", config: dict[str, str] | None = None,
    running: tuple[str, ...] = ("redis-server",), volumes: str = "", **live: Any,
) -> Facts:  # fmt: skip
    found = read(path, STACK.format(command=command, more=more, volumes=volumes))
    service = found.stack.service("cache")
    assert service is not None
    container = Container("c", "c", "cache", 1, "running", None, "i", "i", command=running)
    services = tuple(replace(s, containers=(container,)) if s is service else s for s in found.stack.services)
    known = {"version": "7.2", "keys": 5, "lasting": 5, "used_memory": MIB, "config_file": "", "file_settings": {}}
    value = RedisFacts(config={**CONFIG, **(config or {})}, **{**known, **live})
    stack = replace(found.stack, services=services)
    return replace(found, stack=stack, live={("cache", ID): Live(ID, "cache", value)})


def choices(*sets: str) -> Choices:
    return build_choices({ID: OPTIMIZATION}, sets=sets)[0].select(ID, Selection.ON)


def advice(found: Facts, *sets: str, grant: int = 256 * MIB) -> dict[str, Advice]:
    lines = OPTIMIZATION.advise(found, choices(*sets), {"cache": Grant("cache", grant)})
    return {line.knob: line for line in lines}


def command(found: Facts, *sets: str) -> object:
    fragment = OPTIMIZATION.fragment(found, tuple(advice(found, *sets).values()))
    return fragment.services.get("cache", {}).get("command")


def test_a_queue_gets_a_log_a_bound_and_is_never_evicted(tmp_path: Path) -> None:
    lines = advice(facts(tmp_path, QUEUE, config={"maxmemory-policy": "allkeys-lru"}))
    assert {k: lines[k].value for k in ("appendonly", "maxmemory", "policy", "stop_grace_period")} == {
        "appendonly": "yes", "maxmemory": "153MB", "policy": "noeviction", "stop_grace_period": "30s",
    }  # fmt: skip
    assert "n8n" in str(lines["policy"].why) and "n8n" in str(lines["appendonly"].why)
    assert any("writes its log first" in str(n) for n in lines["appendonly"].notes)


@pytest.mark.parametrize("value", ["allkeys-lru", "volatile-lru", "volatile-ttl"])
def test_eviction_of_a_queue_is_refused_also_where_it_is_asked_for(tmp_path: Path, value: str) -> None:
    with pytest.raises(UsageError, match="n8n keeps jobs"):
        advice(facts(tmp_path, QUEUE), f"redis.policy={value}")
    with pytest.raises(UsageError, match="bull:mail:id"):
        advice(facts(tmp_path, UNKNOWN, queue_keys=("bull:mail:id",)), f"redis.policy={value}")
    assert advice(facts(tmp_path, CACHE), f"redis.policy={value}")["policy"].value == value


def test_a_cache_forgets_the_oldest_and_needs_no_log(tmp_path: Path) -> None:
    lines = advice(facts(tmp_path, CACHE))
    assert (lines["policy"].value, lines["appendonly"].value) == ("allkeys-lru", "no")
    lines = advice(facts(tmp_path, CACHE, config={"save": ""}))
    assert lines["maxmemory"].value == "192MB", "without a fork three quarters fit"


def down(found: Facts) -> Facts:
    """The same, and it does not run."""
    stopped = replace(found.stack.services[0], containers=())
    return replace(found, live={}, stack=replace(found.stack, services=(stopped, *found.stack.services[1:])))


def test_a_server_that_does_not_run_gets_nothing_that_would_hide_or_refuse_what_it_held(tmp_path: Path) -> None:
    found = down(facts(tmp_path, QUEUE))
    lines = advice(found)
    assert lines["appendonly"].value == "no" and "it would be empty" in str(lines["appendonly"].why)
    assert command(found) is None, "its bound is not known to fit either"
    with pytest.raises(UsageError, match="it would be empty"):
        advice(found, "redis.appendonly=yes")
    assert not any(lines[knob].changes for knob in ("appendonly", "maxmemory", "policy"))
    assert all("how much it holds is not known" in str(lines[knob].why) for knob in ("maxmemory", "policy"))
    chosen = advice(found, "redis.maxmemory=100MB", "redis.policy=noeviction")["maxmemory"]
    assert chosen.value == "100MB" and any("how much it holds" in str(note) for note in chosen.notes)
    with pytest.raises(UsageError, match="none of those may be evicted"):
        advice(found, "redis.policy=allkeys-lru")
    configured = down(facts(tmp_path, QUEUE, "redis-server /etc/redis.conf"))
    assert {advice(configured)[k].value for k in ("appendonly", "maxmemory", "policy")} == {None}
    assert command(configured) is None
    declared = down(facts(tmp_path, QUEUE, "redis-server --appendonly yes --maxmemory 2gb"))
    assert (advice(declared)["appendonly"].value, advice(declared)["maxmemory"].value) == ("yes", "2GB")


def test_a_server_that_runs_and_cannot_be_asked_is_not_touched(tmp_path: Path) -> None:
    found = facts(tmp_path, QUEUE)
    found = replace(found, live={("cache", ID): Live(ID, "cache", None, "it wants a password")})
    (refusal,) = draft(found, choices(), {ID: OPTIMIZATION}, standing(found)).refusals
    assert "wants a password. Nothing could be read back" in str(refusal)


def test_the_log_is_written_before_the_files_ask_for_it(tmp_path: Path) -> None:
    """Whoever runs a plain `docker compose up` in between must not start it empty."""
    found = facts(tmp_path, QUEUE)
    plan = draft(found, choices(), {ID: OPTIMIZATION}, standing(found))
    ids = [s.id for s in plan.steps]
    assert ids.index("redis-log:cache") == 0 and "redis-settings:cache" in ids
    (refusal,) = refusals(plan, Consent(True, True), confirm=False, files_only=True)
    assert "cache must be changed while it runs" in str(refusal)
    assert not list(refusals(plan, Consent(True, True), confirm=False, files_only=False))


def test_what_nobody_knows_is_logged_and_not_evicted(tmp_path: Path) -> None:
    lines = advice(facts(tmp_path, UNKNOWN))
    assert (lines["policy"].value, lines["appendonly"].value) == ("noeviction", "yes")


def test_the_operators_own_values_are_kept_unless_they_are_unsafe(tmp_path: Path) -> None:
    own = "redis-server --maxmemory 100mb --maxmemory-policy volatile-lru --appendonly no"
    config = {"maxmemory": str(100 * MIB), "maxmemory-policy": "volatile-lru"}
    kept = advice(facts(tmp_path, CACHE, own, config))
    assert {k: (kept[k].value, kept[k].kept) for k in ("maxmemory", "policy", "appendonly")} == {
        "maxmemory": ("100MB", True), "policy": ("volatile-lru", True), "appendonly": ("no", False),
    }  # fmt: skip
    unsafe = advice(facts(tmp_path, QUEUE, own.replace("100mb", "2gb"), config | {"maxmemory": str(2 * GIB)}))
    assert unsafe["policy"].value == "noeviction" and unsafe["maxmemory"].value == "153MB"
    assert unsafe["appendonly"].value == "no" and unsafe["appendonly"].kept
    memory = advice(facts(tmp_path, QUEUE, own + ' --save ""', config | {"save": ""}))
    assert memory["appendonly"].value == "yes", "nothing would survive a restart"


def test_what_was_set_in_the_running_server_counts_as_the_operators(tmp_path: Path) -> None:
    lines = advice(facts(tmp_path, UNKNOWN, config={"maxmemory": str(50 * MIB), "maxmemory-policy": "volatile-lru"}))
    assert (lines["maxmemory"].value, lines["policy"].value) == ("50MB", "volatile-lru")
    ours = ("redis-server", "--maxmemory", "50mb")
    lines = advice(facts(tmp_path, UNKNOWN, config={"maxmemory": str(50 * MIB)}, running=ours))
    assert lines["maxmemory"].value == "153MB", "nftui's own value is no input to its advice"


def test_a_configuration_counts_and_one_that_cannot_be_read_leaves_things_alone(tmp_path: Path) -> None:
    named = {"command": "redis-server /etc/redis.conf", "config_file": "/etc/redis.conf"}
    found = facts(tmp_path, CACHE, file_settings={"maxmemory": "64mb"}, config={"maxmemory": str(64 * MIB)}, **named)  # type: ignore[arg-type]
    assert advice(found)["maxmemory"].value == "64MB"
    assert "--maxmemory'" not in str(command(found)) and "/etc/redis.conf" in str(command(found))


def test_a_bound_below_what_is_in_use_is_never_set(tmp_path: Path) -> None:
    full = facts(tmp_path, QUEUE, used_memory=200 * MIB)
    line = advice(full)["maxmemory"]
    assert line.value == "250MB" and any("65 %" in str(n) for n in line.notes)
    with pytest.raises(UsageError, match="200 MiB are in use"):
        advice(full, "redis.maxmemory=100MB")
    with pytest.raises(UsageError, match="killed before that"):
        advice(full, "redis.maxmemory=1GB")
    assert advice(facts(tmp_path, QUEUE), "redis.maxmemory=25%")["maxmemory"].value == "64MB"


@given(used=st.integers(0, 4 * GIB), memory=st.integers(64 * MIB, 16 * GIB))
def test_every_bound_holds_what_is_there_and_fits_where_it_can(tmp_path_factory: Any, used: int, memory: int) -> None:
    found = FACTS.setdefault("facts", facts(tmp_path_factory.mktemp("f"), QUEUE))
    live = found.live[("cache", ID)].value
    assert isinstance(live, RedisFacts)
    found = replace(found, live={("cache", ID): Live(ID, "cache", replace(live, used_memory=used))})
    size = parse_size(advice(found, grant=memory)["maxmemory"].value or "")
    assert size is not None and size >= used and (size <= memory * 0.6 or size < used * 1.25 + MIB)


FACTS: dict[str, Facts] = {}


def test_parts_that_are_off_change_nothing_and_cost_no_days(tmp_path: Path) -> None:
    found = facts(tmp_path, QUEUE)
    assert OPTIMIZATION.effort(found, tuple(advice(found).values())).high == 1.0
    off = ("redis.tune_memory=off", "redis.tune_persistence=off")
    assert command(found, *off) is None
    assert OPTIMIZATION.effort(found, tuple(advice(found, *off).values())).high == 0.0


# -- the gate ----------------------------------------------------------------------------------------------------
def verdict(found: Facts) -> str:
    return " ".join(str(n) for n in advice(found)["mode"].notes)


def test_the_verdict_names_each_obstacle_with_what_it_was_seen_by(tmp_path: Path) -> None:
    found = facts(
        tmp_path, QUEUE + UNKNOWN, databases={0: 3, 2: 7}, queue_keys=("bull:mail:id",),
        commands={"mset": 12, "evalsha": 400, "get": 10_000}, clients=("172.18.0.9:5000",),
    )  # fmt: skip
    text = verdict(found)
    for words in ("2 (7 keys)", "bull:mail:id", "MSET 12×", "EVALSHA 400×", "not known that web can talk to a cluster",
                  "172.18.0.9", "n8n cannot talk to Sentinel"):  # fmt: skip
        assert words in text, words
    assert "GET 10" not in text and "n8n can talk to a cluster" not in text and "n8n cannot talk to a c" not in text
    with pytest.raises(UsageError, match=r"cluster is refused for cache: databases other than 0"):
        advice(found, "redis.mode=cluster")


def test_where_nothing_stands_in_the_way_that_is_said_with_what_a_cluster_is_not(tmp_path: Path) -> None:
    able = CACHE.replace("CACHE_URL", 'REDIS_CLUSTER_NODES: "cache:6379", REDIS_SENTINELS: "x", CACHE_URL')
    found = facts(tmp_path, able, databases={0: 3}, queue_keys=(), commands={"get": 5})
    line = advice(found)["mode"]
    assert line.notes == () and "protects from the end of a process only" in str(line.why)
    tagged = facts(tmp_path, able, databases={0: 3}, queue_keys=("{bull}:mail:id",))
    assert "tag" not in verdict(tagged)


# -- which servers -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("live", "why"),
    [({"mode": "cluster"}, "runs as cluster"), ({"role": "slave"}, "is a replica"), ({"loading": True}, "still load"),
     ({"sentinels": True}, "looked after by Sentinel")],
)  # fmt: skip
def test_servers_that_are_left_alone(tmp_path: Path, live: dict[str, Any], why: str) -> None:
    found = OPTIMIZATION.applies(facts(tmp_path, QUEUE, **live))
    assert not found.applicable and why in str(found.reason)


def test_files_that_ask_for_a_log_the_server_never_wrote(tmp_path: Path) -> None:
    trap = facts(tmp_path, QUEUE, "redis-server --appendonly yes")
    assert "would start empty" in str(OPTIMIZATION.applies(trap).reason)
    right = facts(tmp_path, QUEUE, "redis-server --appendonly yes", {"appendonly": "yes"})
    assert OPTIMIZATION.applies(right).applicable


def test_no_volume_no_change(tmp_path: Path) -> None:
    found = facts(tmp_path, QUEUE)
    (service, *others) = found.stack.services
    bare = replace(found, stack=replace(found.stack, services=(replace(service, mounts=()), *others)))
    assert "recreated, it would lose them" in str(OPTIMIZATION.applies(bare).reason)


# -- the command -------------------------------------------------------------------------------------------------
OURS = {"appendonly": "yes", "maxmemory": "64mb"}
TAIL = ["--appendonly", "yes", "--maxmemory", "64mb"]
COMMANDS: list[tuple[str, list[str]]] = [
    ("redis-server", ["redis-server", *TAIL]),
    ("redis-server --save 900 1 --save 60 10", ["redis-server", "--save", "900", "1", "--save", "60", "10", *TAIL]),
    ("redis-server --appendonly no --port 6380", ["redis-server", "--appendonly", "yes", "--port", "6380", *TAIL[2:]]),
    ('["redis-server", "--maxmemory 1gb", "--save", ""]',
     ["redis-server", "--maxmemory", "64mb", "--save", "", *TAIL[:2]]),
    ('["--requirepass", "${PW}"]', ["--requirepass", "${PW}", *TAIL]),
    ("redis-server --maxmemory 1gb --maxmemory 2gb", ["redis-server", "--maxmemory", "64mb", *TAIL[:2]]),
    ("/etc/redis.conf", ["/etc/redis.conf", *TAIL]),
    ("redis-server /etc/redis.conf --APPENDONLY no", ["redis-server", "/etc/redis.conf", *TAIL]),
    ("docker-entrypoint.sh redis-server", ["docker-entrypoint.sh", "redis-server", *TAIL]),
    ('["sh", "-c", "exec redis-server --requirepass $$PW > /log"]',
     ["sh", "-c", f"exec redis-server --requirepass $$PW {' '.join(TAIL)} > /log"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "merged"), COMMANDS)
def test_the_operators_own_arguments_stay_in_their_order(tmp_path: Path, text: str, merged: list[str]) -> None:
    service = facts(tmp_path, command=text).stack.service("cache")
    assert service is not None and merge(service, OURS) == merged


def test_a_script_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    text = '["sh", "-c", "redis-server $$(cat /flags)"]'
    assert "add the flags there" in str(OPTIMIZATION.applies(facts(tmp_path, command=text)).reason)


def test_sizes_are_read_as_the_server_reads_them() -> None:
    assert [redis_size(t) for t in ("64mb", "64m", "1GB", "100", "x")] == [64 * MIB, 64_000_000, GIB, 100, None]
    assert written("replicaof", "cache 6379") == ["--replicaof", "cache", "6379"]


# -- the replica -------------------------------------------------------------------------------------------------
def test_a_replica_is_the_operators_definition_without_what_only_one_can_have(tmp_path: Path) -> None:
    more = '    environment: {PW: "${PW}"}\n    ports: ["6379:6379"]\n    container_name: the-cache\n' + QUEUE
    found = facts(tmp_path, more, "redis-server --requirepass ${PW:-x}", {"maxmemory": "0"}, volumes=', "./x:/x"')
    fragment = OPTIMIZATION.fragment(found, tuple(advice(found, "redis.mode=replica").values()))
    made = fragment.services["cache-replica"]
    assert fragment.own == {"cache-replica": ("cache",)}
    assert made["command"] == [
        "redis-server", "--requirepass", "${PW:-x}", "--appendonly", "yes", "--masterauth", "${PW:-x}", "--maxmemory",
        "153mb", "--replicaof", "cache", "6379",
    ]  # fmt: skip
    assert not {"ports", "container_name", "labels"} & set(made)
    assert made["volumes"] == [{"type": "bind", "source": str(tmp_path / "x"), "target": "/x", "read_only": True}]
    assert OPTIMIZATION.effort(found, tuple(advice(found, "redis.mode=replica").values())).high == 2.0


REPLICA = "redis.mode=replica"


def replica(found: Facts, image: str) -> dict[str, Any]:
    lines = advice(found, REPLICA, f"redis.image={image}")
    made = OPTIMIZATION.fragment(found, tuple(lines.values())).services["cache-replica"]
    return {**made, "notes": " ".join(str(note) for note in lines["image"].notes)}


@pytest.mark.parametrize("command", ["redis-server --maxmemory 1gb", "--maxmemory 1gb"])
def test_a_replica_of_an_image_that_nothing_is_known_of_has_nothing_of_it_but_the_program(
    tmp_path: Path, command: str
) -> None:
    made = replica(facts(tmp_path, '    user: "999"\n' + QUEUE, command), "acme/keys:7")
    assert made["entrypoint"] == ["redis-server"] and made["user"] == "0:0" and made["image"] == "acme/keys:7"
    assert made["command"][0].startswith("--")
    assert "--replicaof cache 6379" in " ".join(made["command"]) and "--dir /data" in " ".join(made["command"])
    assert made["volumes"] == [{"type": "volume", "target": "/data"}] and "as root" in made["notes"]


@pytest.mark.parametrize("image", ["redis:8.2-alpine", "docker.io/library/redis:7.4"])
def test_a_replica_of_an_official_image_is_started_by_its_own_script(tmp_path: Path, image: str) -> None:
    made = replica(facts(tmp_path, QUEUE), image)
    assert made["command"][0] == "redis-server" and made["image"] == image and made["volumes"] == []
    assert not {"entrypoint", "user"} & set(made) and not made["notes"]


def test_a_replica_of_an_image_that_cannot_be_started_is_refused(tmp_path: Path) -> None:
    found = replace(facts(tmp_path, QUEUE), images=frozenset({"acme/keys:7"}))
    assert replica(found, "acme/keys:7")["image"] == "acme/keys:7"
    with pytest.raises(UsageError, match="'docker pull acme/keys:8'"):
        advice(found, REPLICA, "redis.image=acme/keys:8")
    with pytest.raises(UsageError, match="by its name and options alone"):
        advice(facts(tmp_path, QUEUE, "sh -c 'redis-server --port 6379'"), REPLICA, "redis.image=acme/keys:7")


@pytest.mark.parametrize(
    ("text", "live", "why"),
    [("redis-server --requirepass fake-in-clear", {}, "stands in clear"),
     ("redis-server /etc/redis.conf", {"config_file": "/etc/redis.conf"}, "stand in a configuration")],
)  # fmt: skip
def test_a_replica_that_would_need_a_copied_secret_is_refused(
    tmp_path: Path, text: str, live: dict[str, Any], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        advice(facts(tmp_path, QUEUE, text, **live), "redis.mode=replica")


def test_declared_flags_take_the_last_one(tmp_path: Path) -> None:
    service = facts(tmp_path, command="redis-server --maxmemory 1gb --maxmemory 2gb").stack.service("cache")
    assert service is not None and declared_flags(service) == {"maxmemory": "2gb"}


def test_a_value_for_a_service_that_is_not_there_is_warned_of(tmp_path: Path) -> None:
    found = facts(tmp_path, QUEUE)
    for service, told in (("cash", True), ("cache", False)):
        wanted = build_choices({ID: OPTIMIZATION}, sets=[f"redis@{service}.maxmemory=100MB"])[0]
        plan = draft(found, wanted, {ID: OPTIMIZATION}, standing(found))
        warned = [str(w) for w in plan.warnings if "redis@cash.maxmemory" in str(w)]
        assert bool(warned) is told and all("cache" in text for text in warned)


def test_one_keeps_and_several_keep(tmp_path: Path) -> None:
    assert str(advice(facts(tmp_path, QUEUE))["policy"].why).startswith("n8n keeps jobs")
    two = advice(facts(tmp_path, QUEUE + QUEUE.replace("n8n:", "second:", 1)))["policy"]
    assert "n8n, second keep jobs" in str(two.why)


def test_no_reason_is_the_knobs_own_description(tmp_path: Path) -> None:
    lines = advice(facts(tmp_path, QUEUE))
    same = [k.name for k in OPTIMIZATION.knobs if k.name in lines and str(lines[k.name].why) == str(k.why)]
    assert not [name for name in same if not name.startswith("tune_")]
