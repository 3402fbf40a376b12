"""Who is let in: a server that is at work or in trouble was reached, and one that wants a password is locked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nftui.clients.redis import ExecClient, RedisLocked, RedisUnreachable, candidates, connect
from nftui.clients.rediskeys import Refused, open_keys
from nftui.model.redis import RedisFacts
from nftui.model.stack import Container, MountSpec, Role, Service
from nftui.probes.redis import probe_redis
from nftui.probes.redis_state import redis_quiet, redis_serving
from tests.redis.standin import LOADING, MISCONF, PASSWORD, standing_in

MASTERDOWN = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
BUSY = "BUSY Redis is busy running a script."
OPENED: tuple[Callable[[Service], Any], ...] = (lambda s: connect(s, None), lambda s: open_keys(s, None, {}))


@pytest.mark.parametrize("opened", OPENED, ids=["text", "keys"])
@pytest.mark.parametrize("password", ["", PASSWORD])
@pytest.mark.parametrize("says", ["", LOADING, MISCONF, MASTERDOWN, BUSY])
def test_whoever_logs_in_is_let_in_whatever_the_server_is_at(
    opened: Callable[[Service], Any], password: str, says: str
) -> None:
    with standing_in(says=says, password=password) as server, closing(opened(server.service)) as client:
        assert client.via.startswith("address")


@pytest.mark.parametrize("opened", OPENED, ids=["text", "keys"])
@pytest.mark.parametrize(
    ("options", "locked", "why"),
    [({"password": "another", "says": LOADING}, True, "wants a password"),
     ({"password": "another", "wrong": "ERR invalid password"}, True, "wants a password"),
     ({"says": "NOPERM this user has no permissions to run the 'ping' command"}, True, "wants a password"),
     ({"says": "DENIED Redis is running in protected mode"}, False, "DENIED Redis is running"),
     ({"says": "ERR max number of clients reached"}, False, "max number of clients")],
)  # fmt: skip
def test_only_a_login_that_does_not_fit_is_called_one(
    opened: Callable[[Service], Any], options: dict[str, str], locked: bool, why: str
) -> None:
    with standing_in(**options) as server, pytest.raises(RedisUnreachable, match=why) as raised:
        opened(server.service)
    if opened is OPENED[0]:
        assert isinstance(raised.value, RedisLocked) is locked
    assert PASSWORD not in str(raised.value)


def test_a_password_that_is_not_asked_for_is_no_obstacle() -> None:
    """Before version 6, and since: the answer to AUTH of a server without one, then PING."""
    for wrong in ("ERR Client sent AUTH, but no password is set", "ERR AUTH <password> called without any password"):
        with standing_in(wrong=wrong) as server:
            service = server.service
            asked = Service("cache", Role.REDIS, containers=service.containers,
                            command=(*service.containers[0].command, "--requirepass", PASSWORD))  # fmt: skip
            with closing(connect(asked, None)) as client:
                assert server.asked == ["AUTH", "PING"] and client.error == ""


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (("redis-server", "/etc/redis.conf"), f'port 6379\nrequirepass "{PASSWORD}"\n# requirepass other\n'),
        (("redis-server", "/etc/redis.conf"), f"user default on ~* &* >{PASSWORD} +@all\n"),
        (("sh", "-c", 'exec redis-server --requirepass "$CACHE_SECRET"'), ""),
        (("sh", "-c", "exec redis-server --requirepass ${CACHE_SECRET:?unset} --appendonly yes"), ""),
        (("sh", "-c", 'redis-server --requirepass "$(cat /run/secrets/cache)"'), PASSWORD + "\n"),
        (("sh", "-c", "redis-server --requirepass `cat /run/secrets/cache`"), PASSWORD),
        (("sh", "-c", "redis-server --requirepass $(</run/secrets/cache) --save ''"), PASSWORD),
        (("redis-server", "--requirepass", PASSWORD), ""),
    ],
)
def test_a_password_is_learnt_where_the_command_takes_it_from(
    command: tuple[str, ...], text: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text(text)
    place = next((word for line in command for word in re.findall(r"/[\w/.]+", line)), "/nowhere")
    container = Container("c", "c", "cache", 1, "running", None, "redis:7", "i", command=command,
                          environment={"CACHE_SECRET": PASSWORD} if "CACHE_SECRET" in " ".join(command) else {},
                          mounts=(MountSpec("bind", str(tmp_path / "file"), place),))  # fmt: skip
    found = candidates(Service("cache", Role.REDIS), container, None, {})
    assert PASSWORD in found and set(found) <= {PASSWORD, ""}


def test_a_server_serves_once_it_has_loaded_and_takes_writes() -> None:
    with standing_in(says=LOADING, loading=["1"]) as server:
        assert redis_serving(server.service, None) == "it is still loading its data (42.00 %)"
        assert [str(reason) for reason in redis_quiet(server.service, None)] == ["it loads its data"]
        facts = probe_redis(server.service, None).value
        assert isinstance(facts, RedisFacts) and facts.loading and facts.keys is None and facts.config["save"]
    for says, why in ((MISCONF, "refuses every write"), (MASTERDOWN, "its master is out of reach")):
        with standing_in(says=says) as server:
            assert why in str(redis_serving(server.service, None))
    for says in ("", BUSY):
        with standing_in(says=says) as server:
            assert redis_serving(server.service, None) is None, "a script that runs is work"


def test_a_key_that_is_asked_for_too_early_is_refused_by_its_own_words() -> None:
    with standing_in(says=LOADING) as server, closing(open_keys(server.service, None, {})) as keys:
        assert keys.many([(b"DUMP", b"a")]) == [Refused(LOADING)]


# -- inside the container ------------------------------------------------------------------------------------------
class Cli:
    """redis-cli in a container: what it prints for PING, on both streams, and how it ends."""

    def __init__(self, out: str, code: int = 0, err: str = "") -> None:
        self.said = (code, out.encode(), err.encode())
        self.passwords: list[str] = []

    def exec(
        self, container_id: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None,
        input: bytes | None = None, timeout: float = 10.0, user: str | None = None,
    ) -> tuple[int, bytes, bytes]:  # fmt: skip
        if "--version" in argv:
            return 0, b"redis-cli 7.2.4", b""
        self.passwords.append((env or {}).get("REDISCLI_AUTH", ""))
        return self.said


BARE = Service("cache", Role.REDIS, containers=(Container("c", "c", "cache", 1, "running", None, "i", "i"),))


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("says", ["PONG", LOADING, MISCONF, MASTERDOWN, BUSY])
def test_inside_the_container_too(says: str, code: int) -> None:
    with closing(connect(BARE, Cli(f"{says}\n", code if says != "PONG" else 0))) as client:
        assert client.via == "exec redis-cli"


@pytest.mark.parametrize(
    ("cli", "locked", "why"),
    [(Cli("NOAUTH Authentication required.\n"), True, "wants a password"),
     (Cli("", 1, "Could not connect to Redis at 127.0.0.1:6379: Connection refused\n"), False, "Could not connect"),
     (Cli("", 137), False, "redis-cli ended with 137")],
)  # fmt: skip
def test_inside_the_container_only_a_password_is_called_one(cli: Cli, locked: bool, why: str) -> None:
    with pytest.raises(RedisUnreachable, match=why) as raised:
        connect(BARE, cli)
    assert isinstance(raised.value, RedisLocked) is locked


def test_an_answer_is_none_where_it_is_refused_and_text_where_it_is_not() -> None:
    for words, printed, expected in (
        (("INFO",), "# Server\nredis_version:7\n", "# Server\nredis_version:7"), (("INFO",), LOADING, None),
        (("CLIENT", "LIST"), "id=1 addr=a\n", "id=1 addr=a"), (("GET", "a"), '"LOADING it"\n', "LOADING it"),
        (("GET", "a"), f"(error) {LOADING}\n", None),
    ):  # fmt: skip
        client = ExecClient(Cli(printed), "c", "redis-cli", "")
        assert client.ask(*words) == expected
        assert client.error == (LOADING if expected is None else "")
