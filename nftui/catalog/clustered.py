"""A client's variables, pointed to the nodes of a Redis Cluster, or to Sentinels."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nftui.catalog.connections import Connection, Rewrite

if TYPE_CHECKING:
    from nftui.catalog.apps import NodeKeys

_LISTED = re.compile(r"CLUSTER", re.IGNORECASE)
_DATABASE = re.compile(r"/(\d+)/?(?:\?|$)|[?&]db=(\d+)")


def to_cluster(connection: Connection, source: Mapping[str, str], nodes: Sequence[tuple[str, int]]) -> Rewrite:
    """New source texts of variables; `refused` names what is missing: how it is told of a cluster is not known.

    `source` are the variables as they are written: a password stays the variable that it was.
    """
    keys = connection.use.cluster_keys if connection.use else None
    if keys is not None:
        return _known(connection, keys, source, nodes)
    own = _own_list(connection, source)
    return Rewrite({own: _list(nodes)}) if own else Rewrite({}, connection.key)


def to_sentinel(
    connection: Connection,
    source: Mapping[str, str],
    sentinels: Sequence[tuple[str, int]],
    master: str,
    *,
    locked: bool,
) -> Rewrite:
    """The same for Sentinels, which ask for the server's own password where it is `locked`."""
    keys = connection.use.sentinel_keys if connection.use else None
    if keys is None or keys.master is None or _by_url_alone(connection, keys):
        return Rewrite({}, connection.key)
    listed = json.dumps([list(pair) for pair in sentinels]) if keys.json else _list(sentinels)
    values = {keys.nodes: listed, keys.master: master, **keys.fixed}
    if locked:
        ordinary = connection.use.keys.get("password", "") if connection.use else ""
        if not keys.password or ordinary not in source:
            return Rewrite({}, keys.password or connection.key)
        values[keys.password] = source[ordinary]
    return Rewrite(values)


def _by_url_alone(connection: Connection, keys: NodeKeys) -> bool:
    """A URL that counts more than Sentinels, or that names another database than they would."""
    if connection.use is None or connection.key not in connection.use.urls:
        return False
    url = connection.client.environment.get(connection.key) or ""
    return not keys.over_url or number_of(url) != 0


def number_of(url: str) -> int:
    """The database that a Redis URL names; 0 where it names none, or another one."""
    return max((int(one or other) for one, other in _DATABASE.findall(url)), default=0)


def _list(nodes: Sequence[tuple[str, int]]) -> str:
    return ",".join(f"{host}:{port}" for host, port in nodes)


def _known(
    connection: Connection, keys: NodeKeys, source: Mapping[str, str], nodes: Sequence[tuple[str, int]]
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
