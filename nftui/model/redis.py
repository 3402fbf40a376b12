"""What a running Redis (or Valkey, KeyDB) says of itself: INFO, CONFIG GET, CLIENT LIST, key names of a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from nftui.model.dataclass import dataclass

SENTINEL_PROBE = "redis-sentinel"
"""Reads `SentinelFacts`."""

CLOSE = "min-replicas-to-write"
CLOSED = "1000"
"""More replicas than any server has: it takes no writes."""
SAVE = "3600 1 300 100 60 10000"
"""A server's own save points (redis.conf)."""


@dataclass(frozen=True, slots=True)
class SentinelFacts:
    """What one Sentinel says."""

    master: str
    """The host that it names as the master, "" for none."""
    whole: str
    """"whole", or what it sees amiss."""


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """One server's live facts; sizes in bytes, None where it could not be read."""

    version: str
    mode: str = "standalone"
    """standalone, cluster or sentinel."""
    role: str = "master"
    config: Mapping[str, str] = field(default_factory=dict)
    """CONFIG GET of the settings that nftui knows; empty where the login may not read them. No secrets."""
    used_memory: int | None = None
    used_memory_rss: int | None = None
    keys: int | None = None
    """Over all databases."""
    databases: Mapping[int, int] = field(default_factory=dict)
    """Database number to its keys (INFO keyspace)."""
    lasting: int | None = None
    """Keys that have no time to live, over all databases."""
    loading: bool = False
    aof_enabled: bool | None = None
    last_save_ok: bool | None = None
    evicted_keys: int | None = None
    errors: Mapping[str, int] = field(default_factory=dict)
    """Error's name to how often it was given (INFO errorstats, since 6.2)."""
    clients: tuple[str, ...] = ()
    """Addresses of connected clients without nftui's own."""
    selected: tuple[int, ...] = ()
    """Databases that connected clients have selected."""
    queue_keys: tuple[str, ...] = ()
    """Names of keys of a known job queue, from a bounded sample: at most one per kind."""
    config_file: str | None = None
    """The configuration that it was started with, "" for none, None where it does not say."""
    file_settings: Mapping[str, str] | None = None
    """What that file says of the settings that nftui knows; None where there is one that could not be read."""
    replicas: int = 0
    """Replicas that are connected to it."""
    sentinels: bool = False
    """Whether a Sentinel is connected to it: then its role is not the Compose file's to say."""
    accounts: int = 1
    """ACL users, the default one among them."""
    functions: int = 0
    """Libraries of functions."""
    whole: str | None = None
    """Of a node of a cluster: "whole", or what it sees amiss; None of any other server."""
    master: str | None = None
    """Of a replica: the host that it follows, by the name that it was given (master_host)."""
    link: str | None = None
    """Of a replica: "up" or "down", its link to the master (master_link_status)."""
    commands: Mapping[str, int] = field(default_factory=dict)
    """Command to how often it was called since the start (INFO commandstats): "get", "cluster|slots"."""
