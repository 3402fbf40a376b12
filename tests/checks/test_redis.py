"""Findings about Redis: each id is found where it holds, at its line, and not where the same pattern is right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.model.facts import Facts, Live
from nftui.model.redis import RedisFacts
from tests.checks.build import check, read

_N8N = """
  n8n:
    image: n8nio/n8n:1.60
    environment: {EXECUTIONS_MODE: MODE, QUEUE_BULL_REDIS_HOST: redis}
"""
QUEUE = _N8N.replace(": MODE,", ": queue,")
REGULAR = _N8N.replace(": MODE,", ": regular,")
CELERY = """
  worker:
    image: example/shop:1
    command: celery -A shop worker
    environment: {CELERY_BROKER_URL: "redis://redis:6379/0"}
"""
CACHE = """
  web:
    image: example/shop:1
    environment: {CACHE_URL: "redis://redis:6379/0"}
"""
UNKNOWN = """
  web:
    image: example/shop:1
    environment: {REDIS_URL: "redis://redis:6379/0"}
"""


def stack(command: str = "", more: str = "", image: str = "redis:7.2", others: str = "") -> str:
    line = f"    command: {command}\n" if command else ""
    return f"services:\n  redis:\n    image: {image}\n{line}{more}{others}"


VOLUME = "volumes: {conf: {}}\n"
EVICT = "redis-server --maxmemory 256mb --maxmemory-policy allkeys-lru"
LIMIT = "    mem_limit: 1g\n"
HEALTH = "    healthcheck: {test: [CMD, redis-cli, ping]}\n"
INCR = '    healthcheck: {test: ["CMD", "redis-cli", "--raw", "incr", "ping"]}\n'
SECRET = "redis-server --requirepass not-a-real-secret"


def shell(script: str) -> str:
    return f'["sh", "-c", "{script}"]'


TRUE = [
    ("redis-queue-eviction", stack(EVICT, others=QUEUE)),
    ("redis-queue-eviction", stack(EVICT, others=CELERY)),
    ("redis-queue-eviction", stack(shell(f"exec {EVICT}"), others=QUEUE)),
    ("redis-queue-eviction", stack("--maxmemory 256mb --maxmemory-policy allkeys-lfu", others=QUEUE)),
    (
        "redis-queue-eviction",
        stack(EVICT, "    container_name: broker\n", others=QUEUE.replace(": redis}", ": broker}")),
    ),
    (
        "redis-queue-eviction",
        stack("", '    environment: {REDIS_ARGS: "--maxmemory 1gb --maxmemory-policy allkeys-lru"}\n',
              "redis/redis-stack-server:7.2.0-v6", QUEUE),
    ),
    (
        "redis-queue-eviction",
        stack("", '    environment: {VALKEY_EXTRA_FLAGS: "--maxmemory 1gb --maxmemory-policy allkeys-lru"}\n',
              "valkey/valkey:8", QUEUE),
    ),
    ("redis-queue-eviction", stack("dragonfly --cache_mode=true", "", "dragonflydb/dragonfly:v1.20.0", QUEUE)),
    ("redis-no-persistence", stack('["redis-server", "--save", "", "--appendonly", "no"]', others=QUEUE)),
    ("redis-no-persistence", stack("redis-server --save ''", others=CELERY)),
    ("redis-no-persistence", stack("", "    tmpfs: [/data]\n", others=QUEUE)),
    # Up to 6.0 any argument takes the default save points away [X].
    ("redis-no-persistence", stack("redis-server --maxmemory 1gb", "", "redis:6.0-alpine", QUEUE)),
    ("redis-no-persistence", stack("redis-server --maxmemory 1gb", "", "redis:5", QUEUE)),
    ("redis-maxmemory-unset", stack()),
    ("redis-maxmemory-unset", stack("redis-server --appendonly yes", LIMIT)),
    ("redis-maxmemory-unset", stack(shell("docker-entrypoint.sh --requirepass $$P"))),
    ("redis-policy-inert", stack("redis-server --maxmemory-policy allkeys-lru")),
    ("redis-queue-memory-small", stack("redis-server --maxmemory 16mb", others=QUEUE)),
    ("redis-fork-headroom", stack("redis-server --maxmemory 900mb --appendonly yes", LIMIT)),
    ("redis-fork-headroom", stack("redis-server --maxmemory 900mb", LIMIT)),
    ("redis-healthcheck-noauth", stack(SECRET, HEALTH)),
    ("redis-healthcheck-noauth", stack(SECRET, '    healthcheck: {test: "redis-cli ping || exit 1"}\n')),
    (
        "redis-healthcheck-noauth",
        stack("", HEALTH + "    environment: {REDIS_PASSWORD: not-a-real-secret}\n", "bitnami/redis:7.2"),
    ),
    ("redis-healthcheck-noauth", stack("redis-server --requirepass ${REDIS_PASSWORD}", HEALTH)),  # given where it runs
    ("redis-healthcheck-noauth", stack(SECRET, INCR)),
    ("redis-healthcheck-writes", stack("", INCR)),
    ("redis-healthcheck-writes", stack(SECRET, INCR + "    environment: {REDISCLI_AUTH: not-a-real-secret}\n")),
    ("redis-save-errors-hidden", stack("redis-server --save 60 1 --stop-writes-on-bgsave-error no", others=QUEUE)),
    ("redis-argument-missing", stack("redis-server --requirepass --appendonly yes")),
    ("redis-argument-missing", stack('["redis-server", "--requirepass"]')),
    ("redis-flag-renamed", stack("redis-server --hash-max-ziplist-entries 512")),
    ("redis-flag-renamed", stack("redis-server --slave-read-only yes", "", "redis:6")),
]  # fmt: skip

NEAR = [
    ("redis-queue-eviction", stack("redis-server --maxmemory 256mb --maxmemory-policy noeviction", others=QUEUE)),
    ("redis-queue-eviction", stack("redis-server --maxmemory 256mb --maxmemory-policy volatile-lru", others=QUEUE)),
    ("redis-queue-eviction", stack(EVICT, others=REGULAR)),  # n8n without a queue does not use it
    ("redis-queue-eviction", stack(EVICT, others=CACHE)),
    ("redis-queue-eviction", stack(EVICT, others=UNKNOWN)),
    ("redis-queue-eviction", stack("redis-server --maxmemory-policy allkeys-lru", others=QUEUE)),  # inert
    ("redis-queue-eviction", stack("dragonfly --maxmemory=1gb", "", "dragonflydb/dragonfly:v1.20.0", QUEUE)),
    # Redirected past the network: another Redis, which this stack does not show.
    ("redis-queue-eviction", stack(EVICT, others=QUEUE + "    extra_hosts: ['redis:10.0.0.9']\n")),
    ("redis-no-persistence", stack('["redis-server", "--save", ""]', others=CACHE)),
    ("redis-no-persistence", stack('["redis-server", "--save", ""]', others=UNKNOWN)),
    ("redis-no-persistence", stack("redis-server --save '' --appendonly yes", others=QUEUE)),
    ("redis-no-persistence", stack("", others=QUEUE)),  # the image saves by default
    ("redis-no-persistence", stack("redis-server --maxmemory 1gb", "", "redis:6", QUEUE)),  # 6.2
    ("redis-no-persistence", stack("redis-server --maxmemory 1gb", "", "redis:7.2", QUEUE)),
    ("redis-no-persistence", stack("redis-server --maxmemory 1gb --save 60 1", "", "redis:5", QUEUE)),
    ("redis-no-persistence", stack("redis-server", "", "redis:5", QUEUE)),
    ("redis-maxmemory-unset", stack("redis-server --maxmemory 1gb")),
    ("redis-maxmemory-unset", stack("redis-server /etc/redis.conf", "    volumes: [conf:/etc]\n", others=VOLUME)),
    ("redis-maxmemory-unset", stack("", "", "example/redis-custom:1")),
    ("redis-maxmemory-unset", stack("", "", "dragonflydb/dragonfly:v1.20.0")),  # it takes the container's limit
    ("redis-maxmemory-unset", stack("/start.sh")),
    ("redis-policy-inert", stack(EVICT)),
    ("redis-policy-inert", stack("redis-server --maxmemory-policy noeviction")),
    ("redis-queue-memory-small", stack("redis-server --maxmemory 1gb", others=QUEUE)),
    ("redis-queue-memory-small", stack("redis-server --maxmemory 16mb", others=CACHE)),
    ("redis-fork-headroom", stack("redis-server --maxmemory 600mb --appendonly yes", LIMIT)),
    ("redis-fork-headroom", stack("redis-server --maxmemory 900mb --save ''", LIMIT)),
    ("redis-fork-headroom", stack("redis-server --maxmemory 900mb")),
    ("redis-healthcheck-noauth", stack("", HEALTH)),
    ("redis-healthcheck-noauth", stack(SECRET, HEALTH + "    environment: {REDISCLI_AUTH: not-a-real-secret}\n")),
    ("redis-healthcheck-noauth", stack(SECRET, "    healthcheck: {test: 'redis-cli -a x ping'}\n")),
    ("redis-healthcheck-noauth", stack(SECRET, "    healthcheck: {test: 'redis-cli --pass x ping'}\n")),
    ("redis-healthcheck-noauth", stack(SECRET, "    healthcheck: {test: 'redis-cli ping | grep PONG'}\n")),
    ("redis-healthcheck-noauth", stack(SECRET, "    healthcheck: {test: 'redis-cli -e ping'}\n")),
    ("redis-healthcheck-noauth", stack(SECRET, "    healthcheck: {test: 'nc -z localhost 6379'}\n")),
    ("redis-healthcheck-noauth", stack("redis-server --aclfile /acl", HEALTH)),
    ("redis-healthcheck-noauth", stack("redis-server --requirepass ''", HEALTH)),
    ("redis-healthcheck-writes", stack("", HEALTH)),
    ("redis-healthcheck-writes", stack(SECRET, INCR)),  # refused: NOAUTH
    ("redis-healthcheck-writes", stack("redis-server --requirepass ${REDIS_PASSWORD}", INCR)),
    ("redis-healthcheck-writes", stack("", "    healthcheck: {test: 'redis-cli -h localhost -n 1 info'}\n")),
    ("redis-save-errors-hidden", stack("redis-server --save '' --stop-writes-on-bgsave-error no", others=QUEUE)),
    ("redis-save-errors-hidden", stack("redis-server --stop-writes-on-bgsave-error no", others=CACHE)),
    ("redis-save-errors-hidden", stack("redis-server --save 60 1", others=QUEUE)),
    ("redis-argument-missing", stack('["redis-server", "--requirepass", ""]')),  # starts, open
    ("redis-argument-missing", stack("redis-server --requirepass ${REDIS_PASSWORD}")),  # deployed with an .env
    ("redis-argument-missing", stack(SECRET)),
    ("redis-flag-renamed", stack("redis-server --hash-max-ziplist-entries 512", "", "redis:6.2")),
    ("redis-flag-renamed", stack("redis-server --hash-max-listpack-entries 512")),
]  # fmt: skip


@pytest.mark.parametrize(("id", "text"), TRUE)
def test_what_holds_is_found_with_its_line(tmp_path: Path, id: str, text: str) -> None:
    found = check(read(tmp_path, text)).get(("redis", id))
    assert found is not None
    assert found.evidence and found.source and str(found.title) and str(found.detail)
    assert any(e.file and e.line for e in found.evidence)


@pytest.mark.parametrize(("id", "text"), NEAR)
def test_what_is_right_stays_silent(tmp_path: Path, id: str, text: str) -> None:
    facts = read(tmp_path, text)
    assert [s.name for s in facts.stack.services][:1], facts.stack.problems
    assert ("redis", id) not in check(facts)


def test_the_evidence_names_the_flag_its_value_and_line(tmp_path: Path) -> None:
    found = check(read(tmp_path, stack(EVICT, others=QUEUE)))[("redis", "redis-queue-eviction")]
    first, user = found.evidence[0], found.evidence[-1]
    assert (first.key, first.value, first.line) == ("--maxmemory-policy", "allkeys-lru", 4)
    assert (user.key, user.value) == ("QUEUE_BULL_REDIS_HOST", "n8n: queue")


CONF = {"redis/redis.conf": "# ours\nmaxmemory 256mb\nmaxmemory-policy allkeys-lru\nrequirepass not-a-real-secret\n"}
MOUNTED = stack("redis-server /etc/redis/redis.conf", "    volumes: ['./redis:/etc/redis']\n" + HEALTH, others=QUEUE)


def test_a_mounted_configuration_is_read_and_cited(tmp_path: Path) -> None:
    found = check(read(tmp_path, MOUNTED, CONF))
    policy = found[("redis", "redis-queue-eviction")].evidence[0]
    assert (Path(policy.file or "").name, policy.line, policy.value) == ("redis.conf", 3, "allkeys-lru")
    assert ("redis", "redis-healthcheck-noauth") in found
    assert "not-a-real-secret" not in repr(found)


def test_a_configuration_that_is_not_there_leaves_it_open(tmp_path: Path) -> None:
    assert not [k for k in check(read(tmp_path, MOUNTED)) if k[0] == "redis" and k[1].startswith("redis-maxmemory")]


def test_an_option_beats_the_configuration(tmp_path: Path) -> None:
    text = MOUNTED.replace("redis.conf\n", "redis.conf --maxmemory-policy noeviction\n", 1)
    assert ("redis", "redis-queue-eviction") not in check(read(tmp_path, text, CONF))


def test_a_password_that_env_says_is_empty_stops_the_start(tmp_path: Path) -> None:
    text = stack("redis-server --requirepass ${REDIS_PASSWORD}")
    assert ("redis", "redis-argument-missing") in check(read(tmp_path, text, {".env": "REDIS_PASSWORD=\n"}))


def test_a_blank_default_stops_the_start_unless_a_template_asks_for_it(tmp_path: Path) -> None:
    text = stack("redis-server --requirepass ${REDIS_PASSWORD:-}")
    assert ("redis", "redis-argument-missing") in check(read(tmp_path / "a", text))
    found = check(read(tmp_path / "b", text, {".env.example": "REDIS_PASSWORD=change-me\n"}))
    assert ("redis", "redis-argument-missing") not in found


def live(facts: Facts, value: RedisFacts) -> Facts:
    return replace(facts, live={("redis", "redis"): Live("redis", "redis", value)})


def test_aof_by_flag_on_a_server_without_one_is_a_trap(tmp_path: Path) -> None:
    facts = read(tmp_path, stack("redis-server --appendonly yes"))
    assert ("redis", "redis-aof-restart-trap") not in check(facts)
    found = check(live(facts, RedisFacts("7.0.15", config={"appendonly": "no"}, keys=500)))
    trap = found[("redis", "redis-aof-restart-trap")]
    assert (trap.level, trap.evidence[0].value) == ("high", "yes (in force: no)")
    for right in (RedisFacts("7.0.15", config={"appendonly": "yes"}, keys=500),
                  RedisFacts("7.0.15", config={"appendonly": "no"}, keys=0)):  # fmt: skip
        assert ("redis", "redis-aof-restart-trap") not in check(live(facts, right))


def test_the_running_server_decides(tmp_path: Path) -> None:
    facts = read(tmp_path, stack(EVICT, others=QUEUE))
    calm = RedisFacts("7.2", config={"maxmemory": "268435456", "maxmemory-policy": "noeviction"}, used_memory=1)
    assert ("redis", "redis-queue-eviction") not in check(live(facts, calm))
    full = replace(calm, used_memory=260_000_000)
    assert check(live(facts, full))[("redis", "redis-queue-memory-small")].level == "high"
    assert ("redis", "redis-queue-memory-small") not in check(live(facts, calm))


def test_its_own_keys_tell_a_queue(tmp_path: Path) -> None:
    facts = read(tmp_path, stack(EVICT, others=UNKNOWN))
    server = RedisFacts("7.2", config={"maxmemory": "9", "maxmemory-policy": "allkeys-lru"}, queue_keys=("bull:a:id",))
    found = check(live(facts, server))[("redis", "redis-queue-eviction")]
    assert found.evidence[-1].key == "key bull:a:id"
