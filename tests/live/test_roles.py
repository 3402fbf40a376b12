"""The probes of Redis, Qdrant and Ollama: against real Redis servers, and against stand-ins of the other two."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from nftui.clients.ollama import port_of
from nftui.clients.redis import parse_reply
from nftui.model.ai import Model, OllamaFacts, QdrantFacts
from nftui.model.redis import RedisFacts
from nftui.model.stack import Container, Role, Service
from nftui.probes.live import PROBES
from nftui.probes.ollama import probe_ollama
from nftui.probes.qdrant import probe_qdrant
from nftui.probes.redis import probe_redis
from tests.e2e.command import Nftui
from tests.live.conftest import DockerExec, docker, until
from tests.stack.running import Stack
from tests.stack.standins import OLLAMA, QDRANT, serve

PASSWORD = "not a 'real\" secret$"


@dataclass
class Redis:
    """A container that the test owns."""

    name: str
    command: tuple[str, ...]

    def cli(self, *words: str) -> str:
        args = ("exec", "-e", f"REDISCLI_AUTH={PASSWORD}", self.name, "redis-cli", "--raw", *words)
        return docker(*args).stdout.decode().strip()

    @property
    def service(self) -> Service:
        data = json.loads(docker("inspect", self.name).stdout)[0]
        addresses = {k: v["IPAddress"] for k, v in data["NetworkSettings"]["Networks"].items()}
        container = Container(data["Id"], self.name, "redis", 1, "running", None, "redis", data["Image"],
                              command=self.command, addresses=addresses)  # fmt: skip
        return Service("redis", Role.REDIS, containers=(container,), command=self.command)


@pytest.fixture(scope="module", params=[6, 7])
def redis(request: pytest.FixtureRequest) -> Iterator[Redis]:
    image = f"nftui-test/redis:{request.param}"
    try:
        docker("image", "inspect", image)
    except (AssertionError, OSError):
        pytest.skip(f"no engine, or no image {image}")
    command = ("redis-server", "--requirepass", PASSWORD, "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru")
    one = Redis(f"nftui-t-{secrets.token_hex(4)}", command)
    # A network of its own: the default bridge belongs to whoever set the engine up, who may have none.
    docker("network", "create", one.name)
    try:
        docker("run", "-d", "--name", one.name, "--network", one.name, image, *command)
        until(lambda: one.cli("ping") == "PONG")
        one.cli("hset", "bull:mail:meta", "opts", "1")
        one.cli("set", "plain", "x")
        one.cli("-n", "3", "sadd", "_kombu.binding.celery", "x")
        yield one
    finally:
        docker("rm", "-fv", one.name, check=False)
        docker("network", "rm", one.name, check=False)


def without_network(service: Service) -> Service:
    return replace(service, containers=(replace(service.containers[0], addresses={}),))


def test_over_the_address_everything_is_read(redis: Redis) -> None:
    live = probe_redis(redis.service, None)
    facts = live.value
    assert live.via.startswith("address ") and isinstance(facts, RedisFacts)
    assert facts.version[0] in "67"
    assert (facts.config["maxmemory"], facts.config["maxmemory-policy"]) == ("67108864", "allkeys-lru")
    assert (facts.config["appendonly"], facts.aof_enabled, facts.role) == ("no", False, "master")
    assert (facts.keys, dict(facts.databases)) == (3, {0: 2, 3: 1})
    assert facts.queue_keys == ("bull:mail:meta", "_kombu.binding.celery")
    assert (facts.used_memory or 0) > 0 and facts.last_save_ok is True


def test_inside_the_container_where_the_address_is_out_of_reach(redis: Redis) -> None:
    live = probe_redis(without_network(redis.service), DockerExec())
    facts = live.value
    assert live.via == "exec redis-cli" and isinstance(facts, RedisFacts)
    assert (facts.config["maxmemory-policy"], facts.keys) == ("allkeys-lru", 3)
    assert facts.queue_keys == ("bull:mail:meta",)  # another database costs a process per question


def test_reading_changes_nothing(redis: Redis) -> None:
    before = redis.cli("info", "keyspace")
    probe_redis(redis.service, None)
    assert redis.cli("info", "keyspace") == before
    assert "cmdstat_keys" not in redis.cli("info", "commandstats")


@pytest.mark.parametrize("network", [True, False])
def test_a_password_that_does_not_fit_is_told_without_showing_it(redis: Redis, network: bool) -> None:
    wrong = ("redis-server", "--requirepass", "also-not-real")
    service = redis.service
    service = replace(service, command=wrong, containers=(replace(service.containers[0], command=wrong),))
    live = probe_redis(service if network else without_network(service), None if network else DockerExec())
    assert live.value is None and "wants a password" in str(live.error)
    assert "also-not-real" not in str(live.error)


def test_the_password_is_found_in_the_environment_and_never_on_a_command_line(redis: Redis) -> None:
    seen: list[str] = []

    class Watching(DockerExec):
        def exec(
            self,
            container_id: str,
            argv: Sequence[str],
            *,
            env: Mapping[str, str] | None = None,
            input: bytes | None = None,
            timeout: float = 10.0,
            user: str | None = None,
        ) -> tuple[int, bytes, bytes]:
            seen.extend(argv)
            return super().exec(container_id, argv, env=env, input=input, timeout=timeout, user=user)

    service = without_network(redis.service)
    container = replace(service.containers[0], command=("/start.sh",), environment={"REDIS_PASSWORD": PASSWORD})
    live = probe_redis(replace(service, command=None, containers=(container,)), Watching())
    assert isinstance(live.value, RedisFacts)
    assert PASSWORD not in " ".join(seen)


def test_a_server_that_is_not_there_is_a_reason() -> None:
    container = Container("c", "c", "redis", 1, "running", None, "redis", "i", addresses={"n": "127.0.0.1"},
                          command=("redis-server", "--port", "1"))  # fmt: skip
    live = probe_redis(Service("redis", Role.REDIS, containers=(container,)), None)
    assert live.value is None and "127.0.0.1:1" in str(live.error)
    assert probe_redis(Service("redis", Role.REDIS), None).error == "not running"


REPLIES = [
    ('1) "save"\n2) "3600 1 300 100"\n', ["save", "3600 1 300 100"]),
    ('1) "a\\"b"\n2) "\\xc3"\n', ['a"b', "\u00c3"]),
    ('1) "0"\n2) 1) "x"\n   2) "y"\n', ["0", "x", "y"]),
    ("(integer) 7\n", 7),
    ("(empty array)\n", []),
    ("(nil)\n", None),
    ("OK\n", "OK"),
]


@pytest.mark.parametrize(("text", "expected"), REPLIES)
def test_redis_clis_notation(text: str, expected: object) -> None:
    assert parse_reply(text) == expected


def service(role: Role, port: int, **environment: str) -> Service:
    container = Container("c", "c", "s", 1, "running", None, "i", "i", network_mode="host", environment=environment)
    number = {Role.QDRANT: "QDRANT__SERVICE__HTTP_PORT", Role.OLLAMA: "OLLAMA_HOST"}[role]
    value = f"0.0.0.0:{port}" if role is Role.OLLAMA else str(port)
    return Service("s", role, environment={number: value}, containers=(container,))


@pytest.mark.parametrize("key", [None, "not-a-real-key"])
def test_qdrant_is_read_with_and_without_a_key(key: str | None) -> None:
    given = {"QDRANT__SERVICE__API_KEY": key} if key else {}
    with serve(QDRANT, key) as port:
        live = probe_qdrant(service(Role.QDRANT, port, **given), None)
    assert isinstance(live.value, QdrantFacts)
    docs, named = live.value.collections
    assert (live.value.version, live.value.open) == ("1.9.0", key is None)
    assert (docs.name, docs.points, docs.dimensions, docs.m, docs.quantized) == ("docs", 50_000, 768, 16, False)
    assert (named.name, named.dimensions, named.quantized, named.on_disk) == ("a b", 8, True, True)
    assert docs.vector_bytes == 50_000 * 768 * 4


def test_a_qdrant_that_refuses_is_a_reason() -> None:
    with serve(QDRANT, "not-a-real-key") as port:
        live = probe_qdrant(service(Role.QDRANT, port), None)
    assert live.value is None and "status 401" in str(live.error)


def test_ollama_is_read() -> None:
    with serve(OLLAMA) as port:
        given = {"OLLAMA_KEEP_ALIVE": "1h", "LLAMA_ARG_CACHE_RAM": "512", "HF_TOKEN": "not-a-real-token"}
        live = probe_ollama(service(Role.OLLAMA, port, **given), None)
    assert isinstance(live.value, OllamaFacts)
    assert live.value.given == {"OLLAMA_KEEP_ALIVE": "1h", "LLAMA_ARG_CACHE_RAM": "512"}
    assert live.value.version == "0.5.7" and live.value.stored[0].name == "llama3:8b"
    assert live.value.loaded == (
        Model("llama3:8b", 6654289920, 6000000000, "2318-03-05T13:26:50.187268719Z"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("image", "code", "has"),
    [("registry.example/ai/ollama:1", 0, True), ("registry.example/ai/ollama:1", 127, False),
     ("ollama/ollama:0.12.3", 127, None), ("docker.io/ollama/ollama", 127, None)],
)  # fmt: skip
def test_bash_is_asked_for_in_an_ollama_that_the_catalog_does_not_know(image: str, code: int, has: bool | None) -> None:
    class Answering:
        def exec(self, container_id: str, argv: Sequence[str], **more: Any) -> tuple[int, bytes, bytes]:
            assert list(argv[:2]) == ["bash", "-c"]
            return code, b"", b""

    with serve(OLLAMA) as port:
        server = replace(service(Role.OLLAMA, port), image=image)
        live, blind = probe_ollama(server, Answering()), probe_ollama(server, None)
    assert isinstance(live.value, OllamaFacts) and live.value.has_bash is has
    assert isinstance(blind.value, OllamaFacts) and blind.value.has_bash is None


def test_an_old_ollama_without_ps_has_nothing_loaded() -> None:
    pages = {k: v for k, v in OLLAMA.items() if k != "/api/ps"}
    with serve(pages) as port:
        live = probe_ollama(service(Role.OLLAMA, port), None)
    assert isinstance(live.value, OllamaFacts) and live.value.loaded == ()


@pytest.mark.parametrize("page", ["no JSON", '{"models": 7}', '{"models": [7, {}, {"name": "a", "size": "7"}]}'])
def test_whatever_answers_in_ollamas_place_is_a_reason_or_read(page: str) -> None:
    """A page in the place of what is in memory: that is unknown, which is not nothing."""
    with serve({**OLLAMA, "/api/ps": page}) as port:
        live = probe_ollama(service(Role.OLLAMA, port), None)
    if page == "no JSON":
        assert live.value is None and "/api/ps" in str(live.error)
    else:
        assert isinstance(live.value, OllamaFacts)
        assert live.value.loaded == ((Model("a", 0),) if "size" in page else ())


def test_a_version_in_another_form_is_none() -> None:
    with serve({**OLLAMA, "/api/version": "[7]"}) as port:
        live = probe_ollama(service(Role.OLLAMA, port), None)
    assert isinstance(live.value, OllamaFacts) and live.value.version is None


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("a", 11434), (":8080", 8080), ("http://a", 80), ("https://a:8443/", 8443), ("[::]:9000", 9000),
        ("http://a:8080/ollama", 8080), ("a:8080/ollama", 8080), ("[::1]", 11434), ("a:70000", 11434),
        ("'a:8080'", 8080), ("", 11434),
    ],
)  # fmt: skip
def test_ollamas_port_is_read_as_it_reads_it(host: str, port: int) -> None:
    """envconfig.Host: what follows a slash is a path, and a port that there cannot be is its default."""
    assert port_of(Service("s", Role.OLLAMA, environment={"OLLAMA_HOST": host})) == port


def test_the_checks_ask_for_probes_that_there_are() -> None:
    from nftui.checks import load_needs

    assert set(load_needs()) == {"redis", "qdrant", "ollama"} <= set(PROBES)


@pytest.mark.engine
def test_check_tells_what_is_in_force_on_the_running_stack(running_stack: Stack, tmp_path: Path) -> None:
    nftui = Nftui(running_stack.directory, tmp_path / "state")

    def found() -> dict[str, dict[str, object]]:
        return {f["id"]: f for f in nftui("check", "--json").json["findings"] if f["service"] == "redis"}

    assert not {"redis-maxmemory-unset", "redis-policy-inert"} & set(found())
    running_stack.exec("redis", "redis-cli", "config", "set", "maxmemory", "0")
    running_stack.exec("redis", "redis-cli", "config", "set", "maxmemory-policy", "allkeys-lru")
    evidence = found()["redis-policy-inert"]["evidence"]
    assert isinstance(evidence, list)
    assert [e["value"] for e in evidence] == ["allkeys-lru", "64mb (in force: 0)"]
