"""What a Sentinel says of the servers that it watches: who is the master, who follows, and what is amiss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nftui.clients.rediscluster import Asked

OTHERS = 2
"""Sentinels beside the one that is asked."""


def fields(answer: Any) -> dict[str, str]:
    """Names and values of the first item: an item is a flat list, and redis-cli gives all items as one."""
    words = list(_flat(answer if isinstance(answer, list) else []))
    found: dict[str, str] = {}
    for name, value in zip(words[::2], words[1::2], strict=False):
        if name in found:
            break
        found[name] = value
    return found


def _flat(answer: Iterable[Any]) -> Iterable[str]:
    for item in answer:
        if isinstance(item, list):
            yield from _flat(item)
        else:
            yield str(item)


def watched(client: Asked) -> str:
    """The name of what it watches, "" for nothing."""
    return fields(client.ask("SENTINEL", "MASTERS")).get("name", "")


def master_of(client: Asked, name: str) -> str:
    """The host that it names as the master, as clients are told."""
    answer = client.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
    return str(answer[0]) if isinstance(answer, list) and answer else ""


def problem(client: Asked, name: str) -> str | None:
    """What is wrong as that Sentinel sees it, None where one master, its replica and all Sentinels are in order."""
    master = fields(client.ask("SENTINEL", "MASTER", name))
    if not master:
        return f"it does not watch {name}"
    if master.get("flags") != "master":
        return f"the master {master.get('ip')} is {master.get('flags')}"
    if master.get("num-slaves") != "1" or master.get("num-other-sentinels") != str(OTHERS):
        return f"{master.get('num-slaves')} replicas and {master.get('num-other-sentinels')} other Sentinels known"
    replica = fields(client.ask("SENTINEL", "REPLICAS", name))
    if replica.get("flags") != "slave" or replica.get("master-link-status") != "ok":
        link = replica.get("master-link-status")
        return f"the replica {replica.get('ip')} is {replica.get('flags')}, its link to the master {link}"
    if client.ask("SENTINEL", "CKQUORUM", name) is None:
        return str(getattr(client, "error", "") or "no quorum")
    return None
