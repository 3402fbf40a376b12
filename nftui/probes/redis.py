"""The `redis` probe: a running server's INFO, settings and a bounded sample of key names. Read-only; never KEYS."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace

from nftui.catalog.programs import split_words
from nftui.clients.pglogin import file_content
from nftui.clients.redis import RedisClient, connect
from nftui.clients.rediscluster import WHOLE, node_problem
from nftui.clients.redissentinel import master_of, problem, watched
from nftui.model.errors import NftuiError
from nftui.model.facts import Live
from nftui.model.redis import SENTINEL_PROBE, RedisFacts, SentinelFacts
from nftui.model.stack import Container, Service
from nftui.system.exec import Exec

PROBE = "redis"

SETTINGS = ("maxmemory", "maxmemory-policy", "appendonly", "appendfsync", "save", "stop-writes-on-bgsave-error",
             "dir", "dbfilename", "appendfilename", "appenddirname", "min-replicas-to-write")  # fmt: skip
_SAMPLE_ROUNDS = 5
_SAMPLE_COUNT = "200"
_DATABASES = 4
_QUEUE_KEYS = (
    re.compile(r"^\{?bull\}?:[^:]+:(?:meta|wait|active|id|completed|failed|delayed|events)"),
    re.compile(r"^_kombu\.binding\."),
    re.compile(r"^rq:(?:queue|queues|job|workers)"),
    re.compile(r"^(?:[\w-]+:)?(?:resque:queues?|queues|queue:default)$"),
)
"""BullMQ, Celery, RQ, Resque and Sidekiq; their own key names."""


def probe_redis(service: Service, exec_port: Exec | None, environ: Mapping[str, str] | None = None) -> Live:
    """Read RedisFacts from the first running container. Never raises for a server that will not answer."""
    if service.running is None:
        return Live(PROBE, service.name, None, "not running")
    try:
        client = connect(service, exec_port, environ)
    except NftuiError as error:
        return Live(PROBE, service.name, None, str(error))
    try:
        facts = read_facts(client)
        file = _file_settings(service.running, facts.config_file, exec_port)
        return Live(PROBE, service.name, replace(facts, file_settings=file), via=client.via)
    except OSError as error:
        return Live(PROBE, service.name, None, f"{client.via}: {error or type(error).__name__}", client.via)
    finally:
        client.close()


def probe_sentinel(service: Service, exec_port: Exec | None, environ: Mapping[str, str] | None = None) -> Live:
    """Read SentinelFacts from a Sentinel. Never raises for one that will not answer."""
    try:
        with closing(connect(service, exec_port, environ)) as client:
            name = watched(client)
            facts = SentinelFacts(master_of(client, name), problem(client, name) or WHOLE)
            return Live(SENTINEL_PROBE, service.name, facts, via=client.via)
    except (OSError, NftuiError) as error:
        return Live(SENTINEL_PROBE, service.name, None, str(error) or type(error).__name__)


def read_facts(client: RedisClient) -> RedisFacts:
    """Facts over an open session; what the login may not see is left None or empty."""
    info = read_info(client, "everything") or read_info(client)
    keyspace = {int(k[2:]): v for k, v in info.items() if re.fullmatch(r"db\d+", k)}
    databases = {number: _number(text, "keys") for number, text in keyspace.items()}
    loading = info.get("loading") == "1"
    return RedisFacts(
        version=info.get("valkey_version") or info.get("redis_version") or "",
        mode=info.get("redis_mode", "standalone"),
        role=info.get("role", "master"),
        config={name: value for name in SETTINGS if (value := setting(client, name)) is not None},
        used_memory=_int(info.get("used_memory")),
        used_memory_rss=_int(info.get("used_memory_rss")),
        keys=None if loading or not info else sum(databases.values()),
        databases=databases,
        lasting=None if loading or not info else sum(_lasting(text) for text in keyspace.values()),
        loading=loading,
        aof_enabled={"0": False, "1": True}.get(info.get("aof_enabled", "")),
        last_save_ok={"ok": True, "err": False}.get(info.get("rdb_last_bgsave_status", "")),
        evicted_keys=_int(info.get("evicted_keys")),
        errors={k[10:]: _number(v, "count") for k, v in info.items() if k.startswith("errorstat_")},
        clients=tuple(client_addresses(client)),
        selected=tuple(sorted({int(c.get("db") or 0) for c in _clients(client)})),
        queue_keys=() if loading else tuple(_queue_keys(client, databases)),
        config_file=info.get("config_file"),
        sentinels="name=sentinel-" in str(client.ask("CLIENT", "LIST") or ""),
        master=info.get("master_host"),
        link=info.get("master_link_status"),
        whole=(node_problem(client) or WHOLE) if info.get("redis_mode") == "cluster" and not loading else None,
        accounts=_count(client, "ACL", "LIST") or 1,
        functions=_count(client, "FUNCTION", "LIST"),
        replicas=_int(info.get("connected_slaves")) or 0,
        commands={k[8:]: _number(v, "calls") for k, v in info.items() if k.startswith("cmdstat_")},
    )


def _count(client: RedisClient, *words: str) -> int:
    """How many items the answer has; 0 where the command is refused or not known."""
    answer = client.ask(*words)
    return len(answer) if isinstance(answer, list) else 0


def read_info(client: RedisClient, *sections: str) -> dict[str, str]:
    """INFO by line; {} where it is refused."""
    text = str(client.ask("INFO", *sections) or "")
    lines = (line.partition(":") for line in text.splitlines() if ":" in line and not line.startswith("#"))
    return {name: value.strip() for name, _, value in lines}


def _file_settings(container: Container | None, path: str | None, exec_port: Exec | None) -> Mapping[str, str] | None:
    """What a configuration says of the known settings; one that includes others leaves that open."""
    if not path:
        return {} if path == "" else None
    text = file_content(container, exec_port, path) if container else None
    lines = [split_words(line) for line in (text or "").splitlines() if not line.lstrip().startswith("#")]
    if text is None or any(words[:1] == ["include"] for words in lines):
        return None
    found: dict[str, str] = {}
    for words in lines:
        name, value = (words[0].lower(), " ".join(words[1:])) if words else ("", "")
        if name in SETTINGS:
            more = name == "save" and found.get(name) and value.strip("\"' ")
            found[name] = f"{found[name]} {value}" if more else value
    return found


def setting(client: RedisClient, name: str) -> str | None:
    """CONFIG GET of one setting, None where the login may not."""
    answer = client.ask("CONFIG", "GET", name)
    return str(answer[1]) if isinstance(answer, list) and len(answer) == 2 else None


def _number(text: str, name: str) -> int:
    match = re.search(rf"\b{name}=(\d+)", text)
    return int(match[1]) if match else 0


def _lasting(text: str) -> int:
    return _number(text, "keys") - _number(text, "expires")


def _int(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def client_addresses(client: RedisClient) -> Iterator[str]:
    """Addresses of normal clients."""
    return (fields["addr"] for fields in _clients(client))


def _clients(client: RedisClient) -> Iterator[Mapping[str, str]]:
    """What it says of each normal client; nftui's own session is the one that runs CLIENT LIST."""
    for line in str(client.ask("CLIENT", "LIST") or "").splitlines():
        fields = dict(part.partition("=")[::2] for part in line.split(" "))
        if fields.get("addr") and not fields.get("cmd", "").startswith("client") and "S" not in fields.get("flags", ""):
            yield fields


def _queue_keys(client: RedisClient, databases: Mapping[int, int]) -> Iterator[str]:
    """One key name per kind of queue, from a few SCAN calls per database; the session's database is put back."""
    if not client.via.startswith("exec"):
        for number in sorted(databases)[:_DATABASES]:
            if client.ask("SELECT", str(number)) == "OK":
                yield from _of_kinds(_sample(client))
        client.ask("SELECT", "0")
    elif 0 in databases:
        yield from _of_kinds(_sample(client))


def _of_kinds(names: list[str]) -> Iterator[str]:
    for pattern in _QUEUE_KEYS:
        found = next((name for name in names if pattern.search(name)), None)
        if found is not None:
            yield found


def _sample(client: RedisClient) -> list[str]:
    cursor, names = "0", list[str]()
    for _ in range(_SAMPLE_ROUNDS):
        answer = client.ask("SCAN", cursor, "COUNT", _SAMPLE_COUNT)
        if not isinstance(answer, list) or not answer:
            break
        cursor = str(answer[0])
        rest = answer[1] if len(answer) > 1 and isinstance(answer[1], list) else answer[1:]
        names += [str(name) for name in rest]
        if cursor == "0":
            break
    return names
