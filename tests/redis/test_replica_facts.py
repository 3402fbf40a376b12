"""What a replica says of its master, by INFO: no server."""

from __future__ import annotations

from typing import cast

import pytest

from nftui.clients.redis import RedisClient
from nftui.probes.redis import read_facts


class Session:
    """Answers INFO, and refuses all else."""

    via = "exec redis-cli"

    def __init__(self, info: str) -> None:
        self._info = info

    def ask(self, *words: str) -> object:
        return self._info if words[0] == "INFO" else None


@pytest.mark.parametrize(
    ("info", "master"),
    [("role:slave\r\nmaster_host:cache\r\nmaster_link_status:up\r\n", "cache"), ("role:master\r\n", None)],
)
def test_a_replica_tells_whom_it_follows(info: str, master: str | None) -> None:
    assert read_facts(cast("RedisClient", Session(f"redis_version:7.2.4\r\n{info}"))).master == master
