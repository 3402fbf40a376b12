"""What would lose or refuse keys though each value alone looks right: bounds, policies, save points, directories."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nftui.catalog.clustered import number_of
from nftui.catalog.savepoints import drops_save
from nftui.model.advice import Fragment
from nftui.model.errors import UsageError
from nftui.model.facts import Facts
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.redis import SAVE, RedisFacts
from nftui.model.stack import MountSpec
from nftui.model.units import MIB
from nftui.optimizations.redis import OPTIMIZATION
from nftui.optimizations.redis.command import written
from nftui.probes.redis import probe_redis
from nftui.steps.redis import RedisLogKind
from tests.engine.redis_world import redis_world
from tests.redis import test_cluster
from tests.redis.standin import standing_in
from tests.redis.test_advice import CACHE, QUEUE, advice, down, facts, verdict
from tests.redis.test_sentinel import LANGFUSE

# -- a bound and its policy ----------------------------------------------------------------------------------------
EVICTS = "redis-server --maxmemory 128mb --maxmemory-policy allkeys-lru"
FULL: dict[str, Any] = {
    "command": EVICTS, "config": {"maxmemory": str(128 * MIB), "maxmemory-policy": "allkeys-lru"},
    "used_memory": 128 * MIB,
}  # fmt: skip


def values(found: Facts, *sets: str, **options: Any) -> tuple[str | None, str | None]:
    lines = advice(found, *sets, **options)
    return lines["policy"].value, lines["maxmemory"].value


def test_a_full_server_ceases_to_evict_only_with_a_bound_that_holds_what_is_there(tmp_path: Path) -> None:
    both = QUEUE + CACHE
    assert values(facts(tmp_path, both, **FULL)) == ("noeviction", "160MB")
    ours = {**FULL, "config": {"maxmemory": str(160 * MIB), "maxmemory-policy": "noeviction"}}
    assert values(facts(tmp_path, both, **ours)) == ("noeviction", "160MB"), "the same once it was applied"
    assert values(facts(tmp_path, both, **{**FULL, "used_memory": 20 * MIB})) == ("noeviction", "128MB")
    assert values(facts(tmp_path, CACHE, **FULL)) == ("allkeys-lru", "128MB"), "a cache may stay full"
    with pytest.raises(UsageError, match="128 MiB are in use, and without eviction"):
        advice(facts(tmp_path, both, **FULL), "redis.maxmemory=130MB")
    live_set = {**FULL, "command": "redis-server --maxmemory 128mb"}
    assert values(facts(tmp_path, both, **live_set)) == ("noeviction", "160MB")
    after = {**live_set, "config": ours["config"]}
    assert values(facts(tmp_path, both, **after)) == ("noeviction", "160MB"), "nor is a raised bound lowered again"


def test_where_no_bound_holds_it_the_policy_stays_and_that_is_said(tmp_path: Path) -> None:
    found = facts(tmp_path, QUEUE, **FULL)
    assert values(found, grant=150 * MIB) == ("allkeys-lru", "128MB")
    why = str(advice(found, grant=150 * MIB)["policy"].why)
    assert "Give the service more memory first" in why and "n8n keeps jobs" in why and "can be lost" in why
    with pytest.raises(UsageError, match="may not hold more"):
        advice(found, "redis.policy=noeviction", grant=150 * MIB)
    inert = {**FULL, "command": "redis-server", "config": {"maxmemory-policy": "allkeys-lru"}}
    assert values(facts(tmp_path, QUEUE, **inert), grant=150 * MIB)[0] == "noeviction", "without a bound nothing goes"


# -- who is known to use it ----------------------------------------------------------------------------------------
WORKER = """
  worker:
    image: "example/web"
    command: celery -A shop worker
    profiles: [jobs]
    environment: {CELERY_BROKER_URL: "redis://cache:6379/0"}
"""


def test_somebody_elses_keys_are_not_evicted(tmp_path: Path) -> None:
    assert advice(facts(tmp_path, CACHE))["policy"].value == "allkeys-lru"
    strange = advice(facts(tmp_path, CACHE, clients=("172.18.0.9:5000",)))
    assert (strange["policy"].value, strange["appendonly"].value) == ("noeviction", "yes")
    lines = advice(facts(tmp_path, CACHE + WORKER))
    assert (lines["policy"].value, lines["appendonly"].value) == ("noeviction", "yes")
    assert "worker keeps jobs" in str(lines["policy"].why)
    other = WORKER.replace("CELERY_BROKER_URL", "CACHE_URL").replace("celery -A shop worker", "sleep 1")
    assert advice(facts(tmp_path, CACHE + other))["policy"].value == "allkeys-lru", "another cache"


# -- save points ---------------------------------------------------------------------------------------------------
OLD = "900 1 300 10"


def fragment(found: Facts, *sets: str) -> Fragment:
    return OPTIMIZATION.fragment(found, tuple(advice(found, *sets).values()))


def command(found: Facts, *sets: str) -> str:
    return " ".join(map(str, fragment(found, *sets).services["cache"]["command"]))  # type: ignore[call-overload]


def old(path: Path, more: str = CACHE, image: str = "redis:6.0", **live: Any) -> Facts:
    """A server of before 6.2."""
    config = {"save": OLD, **live.pop("config", {})}
    found = facts(path, more, config=config, **{"version": "6.0.16", **live})
    service = found.stack.services[0]
    changed = replace(service, image=image, version=image.partition(":")[2])
    return replace(found, stack=replace(found.stack, services=(changed, *found.stack.services[1:])))


@pytest.mark.parametrize(
    ("version", "loses"),
    [("5.0.14", True), ("6.0", True), ("6.0.16", True), ("6.2.0", False), ("6", False), ("7.2", False), (None, False)],
)
def test_which_versions_lose_their_save_points(version: str | None, loses: bool) -> None:
    assert drops_save(version) is loses


def test_the_first_argument_takes_no_save_points_away(tmp_path: Path) -> None:
    found = old(tmp_path)
    assert " --save 900 1 --save 300 10" in command(found)
    steps = {step.id: step for step in OPTIMIZATION.steps(found, fragment(found))}
    params = steps["redis-settings:cache"].params
    assert params["expected"]["save"] == OLD and params["previous"]["save"] == OLD  # type: ignore[index]
    again = old(tmp_path, running=("redis-server", "--maxmemory", "1gb", "--save", "900", "1", "--save", "300", "10"))
    assert command(again) == command(found)
    since = old(tmp_path, running=("redis-server", "--maxmemory", "1gb"), config={"save": ""})
    assert "--save 3600 1 --save 300 100 --save 60 10000" in command(since), "an argument of nftui's took them away"
    none = old(tmp_path, config={"save": ""})
    assert '--save ""' in command(none), "the operator's own word"
    assert written("save", SAVE) == ["--save", "3600", "1", "--save", "300", "100", "--save", "60", "10000"]


@pytest.mark.parametrize(
    "live", [{"version": "6.2.14"}, {"command": "redis-server --timeout 300"}, {"command": "redis-server --save 60 1"},
             {"command": "/etc/redis.conf", "config_file": "/etc/redis.conf"}],
)  # fmt: skip
def test_where_none_are_lost_none_are_said(tmp_path: Path, live: dict[str, Any]) -> None:
    found = old(tmp_path, **live)
    assert command(found).count("--save") == str(live.get("command")).count("--save")
    assert "save" not in fragment(found).values["cache"]


def test_a_server_that_does_not_run_and_a_replica_keep_them_as_well(tmp_path: Path) -> None:
    found = down(old(tmp_path))
    assert "--save 3600 1 --save 300 100" in command(found, "redis.maxmemory=64MB")
    newer = down(old(tmp_path, image="redis:7.2"))
    assert "--save" not in command(newer, "redis.maxmemory=64MB")
    off = ("redis.tune_memory=off", "redis.tune_persistence=off", "redis.mode=replica")
    made = fragment(old(tmp_path, QUEUE), *off).services
    assert "cache" not in made and "--save 900 1 --save 300 10" in " ".join(made["cache-replica"]["command"])  # type: ignore[arg-type]


# -- where its keys are --------------------------------------------------------------------------------------------
def mounted(found: Facts, *targets: tuple[str, str]) -> Facts:
    mounts = tuple(MountSpec(kind, f"v{number}", target) for number, (kind, target) in enumerate(targets))
    changed = replace(found.stack.services[0], mounts=mounts)
    return replace(found, stack=replace(found.stack, services=(changed, *found.stack.services[1:])))


DATA, SRV, TMPFS = ("volume", "/data"), ("bind", "/srv"), ("tmpfs", "/data/fast")


@pytest.mark.parametrize(
    ("directory", "targets", "fits"),
    [("/data", [DATA], True), ("/data/sub", [DATA], True), ("/tmp", [DATA], False), ("/srv/redis", [SRV], True),
     ("/srv/redis", [DATA], False), ("/data/fast", [DATA, TMPFS], False), ("/database", [DATA], False)],
)  # fmt: skip
@pytest.mark.parametrize("running", [True, False])
def test_the_directory_that_counts_is_the_servers_own(
    tmp_path: Path, directory: str, targets: list[tuple[str, str]], fits: bool, running: bool
) -> None:
    if running:
        found = facts(tmp_path, QUEUE, config={"dir": directory})
    else:
        found = replace(facts(tmp_path, QUEUE, f"redis-server --dir {directory}"), live={})
    applies = OPTIMIZATION.applies(mounted(found, *targets))
    assert applies.applicable is fits
    if not fits:
        assert f"in the container, in {directory}: recreated" in str(applies.reason)


@pytest.mark.parametrize("mode", ["cluster", "sentinel", "replica"])
def test_a_server_beside_it_would_not_have_its_directory(tmp_path: Path, mode: str) -> None:
    more = LANGFUSE if mode == "sentinel" else test_cluster.QUEUE
    found = mounted(test_cluster.facts(tmp_path, more, config={"dir": "/srv/redis"}), SRV)
    with pytest.raises(UsageError, match="/srv/redis, which another server"):
        test_cluster.advice(found, f"redis.mode={mode}")


def test_the_log_is_found_below_a_mount(tmp_path: Path) -> None:
    world = redis_world(tmp_path)
    world.up("db", scale=1, grace_s=1)
    (world.place / "sub").mkdir()
    step = StepSpec("log", "redis-log", "db", {}, msg("log"), "db")

    def place(directory: str) -> object:
        world.config["dir"] = directory
        return RedisLogKind().read(step, world.context())["place"]

    assert place("/data/sub") == str(world.place / "sub") and place("/data") == str(world.place)
    assert place("/database") is None and place("/data/none") is None


# -- the gate ------------------------------------------------------------------------------------------------------
OWN = """
  shop: {image: "acme/shop", environment: {REDIS_HOST: cache, REDIS_CLUSTER_MODE: "VALUE"}}
"""


@pytest.mark.parametrize(("value", "told"), [("false", False), ("0", False), ("No", False), ("", False), ("on", True)])
def test_a_variable_that_says_no_is_no_word_for_a_cluster(tmp_path: Path, value: str, told: bool) -> None:
    text = verdict(facts(tmp_path, OWN.replace("VALUE", value)))
    assert ("not known that shop can talk to a cluster" not in text) is told


@pytest.mark.parametrize(
    ("url", "number"),
    [("redis://cache:6379/3", 3), ("redis://:p%2F@cache/0", 0), ("redis://cache:6379", 0), ("redis://c?db=2", 2),
     ("redis://cache:6379/15?timeout=5", 15), ("redis://:a/3@cache:6379/0", 0)],
)  # fmt: skip
def test_the_database_of_a_url(url: str, number: int) -> None:
    assert number_of(url) == number


def test_a_database_that_is_used_and_holds_nothing_now_is_in_use(tmp_path: Path) -> None:
    assert "databases other than 0" not in verdict(facts(tmp_path, CACHE, selected=(0,)))
    assert "4 (connected clients)" in verdict(facts(tmp_path, CACHE, selected=(0, 4)))
    assert "3 (web)" in verdict(facts(tmp_path, CACHE.replace("6379/0", "6379/3")))


def test_the_databases_of_connected_clients_are_read() -> None:
    mine, replica = "id=1 addr=a:1 db=7 cmd=client|list", "id=2 addr=b:1 flags=S db=6 cmd=replconf"
    others = "\n".join(f"id={n} addr=172.18.0.{n}:1 flags=N db={db} cmd=get" for n, db in ((3, 0), (4, 4), (5, 4)))
    with standing_in(clients=f"{mine}\n{replica}\n{others}\n") as server:
        found = probe_redis(server.service, None).value
    assert isinstance(found, RedisFacts) and found.selected == (0, 4) and len(found.clients) == 3


def test_commands_that_may_name_one_key_are_told_and_forbid_nothing(tmp_path: Path) -> None:
    found = test_cluster.facts(tmp_path, commands={"brpop": 9, "xreadgroup": 2, "get": 5})
    text = " ".join(str(n) for n in test_cluster.advice(found, test_cluster.MODE)["mode"].notes)
    assert "BRPOP 9×, XREADGROUP 2×" in text and "GET" not in text
    for name in ("lcs", "zunion", "geosearchstore", "blmove", "sintercard"):
        with pytest.raises(UsageError, match=f"{name.upper()} 1×"):
            test_cluster.advice(test_cluster.facts(tmp_path, commands={name: 1}), test_cluster.MODE)


@pytest.mark.parametrize(("name", "refused"), [("FT.SEARCH", True), ("ft._list", True), ("ftsearch", False)])
def test_search_indexes_do_not_go_with_the_keys(tmp_path: Path, name: str, refused: bool) -> None:
    found = test_cluster.facts(tmp_path, commands={name: 2})
    if not refused:
        assert test_cluster.advice(found, test_cluster.MODE)["mode"].value == "cluster"
        return
    with pytest.raises(UsageError, match=r"2 calls of FT"):
        test_cluster.advice(found, test_cluster.MODE)
