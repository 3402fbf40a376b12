"""What a node of a Redis Cluster says of the whole: who is there, who has which slots, and what is amiss.

`cluster_state:ok` is no proof: a survivor says it while a whole shard is out of reach (databases reference 3.2).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from typing import Any, Protocol

from nftui.model.dataclass import dataclass

SLOTS = 16384
WHOLE = "whole"
"""What is said of a node that sees nothing amiss."""
_BAD = ("fail", "fail?", "handshake", "noaddr")


class Asked(Protocol):
    """A session: one command, one answer."""

    def ask(self, *words: str) -> Any:
        """Text, a number or a list; None where it was refused."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """One line of CLUSTER NODES."""

    id: str
    flags: tuple[str, ...]
    master: str
    linked: bool
    slots: tuple[tuple[int, int], ...]


def parse_nodes(text: str) -> list[Seen]:
    """`id address flags master ping pong epoch link slot …` (redis.io, CLUSTER NODES); migrating slots left out."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 8:
            slots = [re.fullmatch(r"(\d+)(?:-(\d+))?", word) for word in words[8:]]
            ranges = tuple((int(m[1]), int(m[2] or m[1])) for m in slots if m)
            found.append(Seen(words[0], tuple(words[2].split(",")), words[3], words[7] == "connected", ranges))
    return found


def slot_of(key: bytes) -> int:
    """The slot of a key; what stands in the first braces counts alone (redis.io, cluster specification)."""
    start = key.find(b"{")
    end = key.find(b"}", start + 1)
    part = key[start + 1 : end] if start >= 0 and end > start + 1 else key
    return binascii.crc_hqx(part, 0) % SLOTS


def view(client: Asked) -> list[Seen]:
    """What that node sees."""
    return parse_nodes(str(client.ask("CLUSTER", "NODES") or ""))


def myself(seen: Sequence[Seen]) -> Seen:
    """The line of the node that was asked."""
    return next((s for s in seen if "myself" in s.flags), Seen("", (), "-", False, ()))


def info(client: Asked, *words: str) -> dict[str, str]:
    """An answer of `name:value` lines."""
    lines = (line.partition(":") for line in str(client.ask(*words) or "").splitlines())
    return {name: value.strip() for name, _, value in lines}


def node_problem(client: Asked, count: int | None = None) -> str | None:
    """What is wrong as that node sees it; `count`: how many nodes there must be."""
    state, seen = info(client, "CLUSTER", "INFO"), view(client)
    if state.get("cluster_state") != "ok" or state.get("cluster_slots_ok") != str(SLOTS):
        return f"cluster_state {state.get('cluster_state')}, {state.get('cluster_slots_ok')} of {SLOTS} slots served"
    if count is not None and len(seen) != count:
        return f"{len(seen)} of {count} nodes known"
    bad = [s for s in seen if set(_BAD) & set(s.flags) or not (s.linked or "myself" in s.flags)]
    if bad:
        return f"{len(bad)} nodes out of reach"
    if "slave" in myself(seen).flags:
        link = info(client, "INFO", "replication").get("master_link_status")
        return None if link == "up" else f"its link to its master is {link}"
    return None
