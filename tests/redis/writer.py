"""The app of the cluster's tests: it writes without end, and keeps outside of Redis what was acknowledged to it."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import redis
from redis import cluster

PASSWORD = os.environ.get("QUEUE_BULL_REDIS_PASSWORD") or None
NODES = os.environ.get("QUEUE_BULL_REDIS_CLUSTER_NODES")


def connect() -> Any:
    """To one server, or to the cluster that it was told of."""
    if not NODES:
        host = os.environ["QUEUE_BULL_REDIS_HOST"]
        return redis.Redis(host=host, port=int(os.environ["QUEUE_BULL_REDIS_PORT"]), password=PASSWORD)
    module: Any = cluster
    found = [module.ClusterNode(*pair.split(":")) for pair in NODES.split(",")]
    return module.RedisCluster(startup_nodes=found, password=PASSWORD, socket_timeout=2, socket_connect_timeout=2)


def main() -> None:
    """Until it is stopped."""
    client, number, name = None, 0, socket.gethostname()
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
