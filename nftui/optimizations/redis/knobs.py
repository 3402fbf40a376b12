"""The knobs of the Redis optimization: settings have Redis's own names and bounds."""

from __future__ import annotations

from nftui.model.knobs import Kind, Knob
from nftui.model.message import msg
from nftui.model.units import MIB, TIB

ID = "redis"
MEMORY = "databases reference 3.5"
CLIENTS = "databases reference 3.4"
LOG = "databases reference 3.5; redis#12484"
GRACE_SOURCE = "databases reference 3.5: a clean stop writes what is in memory"
SINGLE = "single"
REPLICA = "replica"
CLUSTER = "cluster"
SENTINEL = "sentinel"
MODES = (SINGLE, REPLICA, SENTINEL, CLUSTER)
SHARES = {SENTINEL: 1, CLUSTER: 3}
"""Modes whose keys go to servers of nftui's own, each with a replica: among how many masters they are divided."""
SUBNET, NODE_MEMORY = "subnet", "node_memory"
ADDRESSES = "databases reference 3.2: nodes whose addresses were dealt anew lost a whole shard"
NOEVICTION = "noeviction"
POLICIES = (
    NOEVICTION, "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random",
    "volatile-ttl",
)  # fmt: skip
NAMES = {
    "maxmemory": "maxmemory", "policy": "maxmemory-policy", "appendonly": "appendonly", "appendfsync": "appendfsync",
}  # fmt: skip
"""Knob to the server's own name of it."""
SETTINGS = frozenset(NAMES.values())
STOCK = {"maxmemory": "0", "policy": NOEVICTION, "appendonly": "no", "appendfsync": "everysec"}
"""What a server does that is told nothing (redis.conf)."""
GRACE = "stop_grace_period"


def _part(name: str, label: str, why: str) -> Knob:
    return Knob(
        f"tune_{name}", Kind.BOOLEAN, msg(label), msg(why), "design: each part can be switched off",
        unit="switch", per_service=False, main=False,
    )  # fmt: skip


KNOBS: tuple[Knob, ...] = (
    Knob(
        "mode", Kind.ENUM, msg("mode"), msg("One server, or several that take over from each other."), CLIENTS,
        unit="choice", choices=MODES,
    ),
    Knob(
        "image", Kind.TEXT, msg("image"),
        msg("Image of a replica: any with the server on its PATH, of no older version."), CLIENTS,
        unit="image reference", main=False,
    ),
    Knob(
        SUBNET, Kind.TEXT, msg("address range of the nodes"),
        msg("The nodes of a cluster, or Sentinels and their servers, find each other by fixed addresses, in a network "
            "of their own."), ADDRESSES,
        unit="CIDR", main=False,
    ),
    Knob(
        NODE_MEMORY, Kind.SIZE, msg("memory of each node"),
        msg("Each of three masters and three replicas of a cluster holds a third of the keys, each of two servers with "
            "Sentinel all of them; with room for the fork of a save."),
        MEMORY, unit="bytes", minimum=32 * MIB, maximum=TIB, main=False,
    ),
    Knob(
        "appendonly", Kind.ENUM, msg("appendonly"),
        msg("Each write is logged to the disk: a crash loses at most a second, not all since the last snapshot."), LOG,
        unit="yes or no", choices=("yes", "no"),
    ),
    Knob(
        "appendfsync", Kind.ENUM, msg("appendfsync"), msg("How often the log is forced to the disk."),
        MEMORY, unit="choice", choices=("always", "everysec", "no"), main=False,
    ),
    Knob(
        "maxmemory", Kind.SIZE, msg("maxmemory"),
        msg("Most that keys may take: below the service's memory, for a save holds changed pages twice."), MEMORY,
        unit="bytes", minimum=MIB, maximum=TIB, ratio=True,
    ),
    Knob(
        "policy", Kind.ENUM, msg("maxmemory-policy"),
        msg("What happens when it is full: a cache evicts, a queue must refuse instead."), MEMORY, unit="choice",
        choices=POLICIES,
    ),
    Knob(
        GRACE, Kind.SECONDS, msg("Stop timeout"), msg("A stop writes what is in memory and must not be cut short."),
        GRACE_SOURCE, unit="seconds", minimum=1, maximum=3600, main=False,
    ),
    _part("persistence", "Persistence", "appendonly, appendfsync and the stop timeout are chosen by nftui."),
    _part("memory", "Memory", "maxmemory and its policy are chosen by nftui."),
)  # fmt: skip
BY_NAME = {knob.name: knob for knob in KNOBS}

PART_DAYS = {"tune_persistence": 0.5, "tune_memory": 0.5}
MODE_DAYS = {REPLICA: 1.0, SENTINEL: 1.5, CLUSTER: 2.0}
"""Beside those of the parts."""
PART_OF = {
    "appendonly": "tune_persistence", "appendfsync": "tune_persistence", GRACE: "tune_persistence",
    "maxmemory": "tune_memory", "policy": "tune_memory",
}  # fmt: skip
