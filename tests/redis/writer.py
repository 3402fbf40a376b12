"""The app of the cluster's tests: it writes without end, and keeps outside of Redis what was acknowledged to it."""

import os
import socket
import time

import redis
from redis.cluster import ClusterNode, RedisCluster

PASSWORD = os.environ.get("QUEUE_BULL_REDIS_PASSWORD") or None
NODES = os.environ.get("QUEUE_BULL_REDIS_CLUSTER_NODES")


def connect():
    if not NODES:
        host = os.environ["QUEUE_BULL_REDIS_HOST"]
        return redis.Redis(host=host, port=int(os.environ["QUEUE_BULL_REDIS_PORT"]), password=PASSWORD)
    found = [ClusterNode(*pair.split(":")) for pair in NODES.split(",")]
    return RedisCluster(startup_nodes=found, password=PASSWORD, socket_timeout=2, socket_connect_timeout=2)


def main():
    client, number, name = None, 0, socket.gethostname()
    with open("/acked/keys", "a") as acked:
        while True:
            key = f"app:{name}:{number}"
            try:
                client = client or connect()
                client.set(key, key)
            except (redis.RedisError, OSError) as error:
                print(f"{type(error).__name__}: {error}")
                client = None
            else:
                acked.write(f"{key}\n")
                acked.flush()
                number += 1
            time.sleep(0.05)


main()
