"""The app of these tests: it writes without end, and keeps outside of Redis what was acknowledged to it."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import redis
from redis import cluster, sentinel

PASSWORD = os.environ.get("QUEUE_BULL_REDIS_PASSWORD") or os.environ.get("REDIS_AUTH") or None
NODES = os.environ.get("QUEUE_BULL_REDIS_CLUSTER_NODES")


def connect() -> Any:
    """To one server, or to the cluster, or the master of the Sentinels, that it was told of."""
    if os.environ.get("REDIS_SENTINEL_ENABLED") == "true":
        return watched()
    if not NODES:
        host = os.environ.get("QUEUE_BULL_REDIS_HOST") or os.environ["REDIS_HOST"]
        return redis.Redis(host=host, port=int(os.environ.get("QUEUE_BULL_REDIS_PORT", "6379")), password=PASSWORD)
    module: Any = cluster
    found = [module.ClusterNode(*pair.split(":")) for pair in NODES.split(",")]
    return module.RedisCluster(startup_nodes=found, password=PASSWORD, socket_timeout=2, socket_connect_timeout=2)


def watched() -> Any:
    """As the app of that name reads its variables."""
    module: Any = sentinel
    listed = (node.partition(":") for node in os.environ["REDIS_SENTINEL_NODES"].split(","))
    found = [(host, int(port)) for host, _, port in listed]
    timeouts = {"socket_timeout": 2, "socket_connect_timeout": 2}
    asked = {"password": os.environ.get("REDIS_SENTINEL_PASSWORD"), **timeouts}
    group = module.Sentinel(found, sentinel_kwargs=asked)
    return group.master_for(os.environ["REDIS_SENTINEL_MASTER_NAME"], password=PASSWORD, **timeouts)


def main() -> None:
    """Until it is stopped."""
    # Of each start: a container that is started again must not write what it wrote before.
    client, number, name = None, 0, f"{socket.gethostname()}-{time.time_ns()}"
    with Path("/acked/keys").open("a") as acked:
        while True:
            key = f"app:{name}:{number}"
            try:
                client = client or connect()
                client.set(key, key)
            except (redis.RedisError, OSError) as error:
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
                client = None
            else:
                acked.write(f"{key}\n")
                acked.flush()
                number += 1
            time.sleep(0.05)


if __name__ == "__main__":
    main()
