"""A client's variables, pointed to the nodes of a Redis Cluster."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nftui.catalog.connections import Connection, Rewrite

if TYPE_CHECKING:
    from nftui.catalog.apps import ClusterKeys

_LISTED = re.compile(r"CLUSTER", re.IGNORECASE)


def to_cluster(connection: Connection, source: Mapping[str, str], nodes: Sequence[tuple[str, int]]) -> Rewrite:
    """New source texts of variables; `refused` names what is missing: how it is told of a cluster is not known.

    `source` are the variables as they are written: a password stays the variable that it was.
    """
    keys = connection.use.cluster_keys if connection.use else None
    if keys is not None:
        return _known(connection, keys, source, nodes)
    own = _own_list(connection, source)
    return Rewrite({own: _list(nodes)}) if own else Rewrite({}, connection.key)


def _list(nodes: Sequence[tuple[str, int]]) -> str:
    return ",".join(f"{host}:{port}" for host, port in nodes)


def _known(
    connection: Connection, keys: ClusterKeys, source: Mapping[str, str], nodes: Sequence[tuple[str, int]]
) -> Rewrite:
    listed = json.dumps([{"host": host, "port": str(port)} for host, port in nodes]) if keys.json else _list(nodes)
    values = {keys.nodes: listed, **keys.fixed}
    ordinary = connection.use.keys.get("password") if connection.use else None
    if keys.password and ordinary and ordinary in source:
        values[keys.password] = source[ordinary]
    return Rewrite(values)


def _own_list(connection: Connection, source: Mapping[str, str]) -> str | None:
    """A variable of its own that names a cluster and lists nothing but the present server, as host:port."""
    item = rf"{re.escape(connection.server.name)}(:\d+)?"
    listed = re.compile(rf"{item}(\s*,\s*{item})*")
    return next((key for key, text in sorted(source.items()) if _LISTED.search(key) and listed.fullmatch(text)), None)
