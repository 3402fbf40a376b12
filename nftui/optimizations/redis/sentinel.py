"""Two servers and three Sentinels in the place of one server: how they start, and who is told of them.

A server's role is Sentinel's to say, and must last: what it was told stands in a file beside its keys, which it writes
itself (CONFIG REWRITE). Of that file only the role is kept at a start: all else is in the command, so that a changed
setting or password counts. So it is with what a Sentinel writes.

Names stand for fixed addresses in each of the five, in /etc/hosts: a name that is not resolved while its container is
down keeps Sentinel from failing over, and from starting (bitnami/containers#51638, redis#9103).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.catalog.clustered import to_sentinel
from nftui.model.message import Message, msg
from nftui.model.units import MIB
from nftui.optimizations.redis.beside import data_mount, data_place, logged, member
from nftui.optimizations.redis.command import program, source_of, started_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nftui.catalog.connections import Connection, Rewrite
    from nftui.optimizations.redis.beside import Layout
    from nftui.optimizations.redis.server import Server

PORT = 26379
QUORUM = 2
"""Of three."""
DOWN_MS = "5000"
"""A master that does not answer for so long is down: writes are back within 10 s (databases reference 3.7)."""
FAILOVER_MS = "10000"
"""A failover that came to nothing is tried again after twice that."""
MEMORY = 64 * MIB
"""Of a Sentinel: it holds no keys."""
_ROLE_FILE, _VIEW_FILE = "nftui-role.conf", "sentinel.conf"
_START = """[ "$(id -u)" != 0 ] || chown "$(stat -c %u:%g "${f%/*}")" "$f.new"
mv "$f.new" "$f"
p=$1; shift; set -- "$p" "$f" "$@"
if command -v docker-entrypoint.sh > /dev/null; then set -- docker-entrypoint.sh "$@"; fi
exec "$@\""""
"""The image's own entrypoint ends as the user whose the place is, and root's file would be closed to it (umask 0077).
Since 8.0.2 it hands over nothing where it finds a file that it does not know (redis/docker-library-redis#451).
"""
KEEP_ROLE = f"""f=$1; seed=$2; shift 2
if [ -e "$f" ]; then grep "^replicaof " "$f" > "$f.new"; else printf "%s\\n" "$seed" > "$f.new"; fi
{_START}"""
KEEP_VIEW = f"""f=$1; seed=$2; shift 2
if [ -s "$f" ]
then grep -v -e "^user " -e "^requirepass " -e "^sentinel auth-pass " -e "^sentinel sentinel-pass " "$f" > "$f.new"
else printf "sentinel %s\\n" "resolve-hostnames yes" "announce-hostnames yes" "monitor $seed" > "$f.new"
fi
{_START}"""


def watch_of(where: Layout) -> dict[str, object]:
    """As the steps are told of them."""
    servers, sentinels = where.names, where.all_names[len(where.names) :]
    return {"master": where.service, "servers": list(servers), "sentinels": list(sentinels)}


def own_obstacle(server: Server) -> Message | None:
    """What cannot be started with a file for its role."""
    if program(server.service) is None:
        return msg(
            "its command does not start the server by its name and options alone, so that its role could be kept"
        )
    return None


def definitions(
    server: Server, where: Layout, settings: Mapping[str, str], memory: int | None
) -> dict[str, dict[str, object]]:
    """Each server and Sentinel whole; `memory` bytes for a server. Raises CannotMerge."""
    hosts = {name: where.address(index) for index, name in enumerate(where.all_names)}
    common = {"extra_hosts": [f"{name}:{address}" for name, address in hosts.items()]}
    first, *others = where.names
    seeds = {first: "", **dict.fromkeys(others, f"replicaof {first} {where.port}")}
    found: dict[str, dict[str, object]] = {}
    for name, seed in seeds.items():
        own = {"replica-announce-ip": name, **logged(server)}
        found[name] = {**member(server, where, name, {**own, **settings}, memory), **common}
        words = started_words(server.service, found[name]["command"])
        found[name]["command"] = _kept(server, KEEP_ROLE, _ROLE_FILE, seed, words)
    for name in where.all_names[len(where.names) :]:
        found[name] = {**_sentinel(server, where, name, first), **common}
    return found


def _kept(server: Server, script: str, file: str, seed: str, words: list[str]) -> list[str]:
    return ["sh", "-c", script.replace("$", "$$"), "nftui", f"{data_place(server)}/{file}", seed, *words]


def _sentinel(server: Server, where: Layout, name: str, first: str) -> dict[str, object]:
    master, secret = where.service, source_of(server.service, "requirepass")
    asked = {"requirepass": [secret], "sentinel sentinel-pass": [secret], "sentinel auth-pass": [master, secret]}
    said: dict[str, list[str]] = {
        "port": [str(PORT)], "sentinel announce-ip": [name],
        "sentinel down-after-milliseconds": [master, DOWN_MS], "sentinel failover-timeout": [master, FAILOVER_MS],
        **({k: [str(v) for v in values] for k, values in asked.items()} if secret is not None else {}),
    }  # fmt: skip
    options = [w for key, values in said.items() for w in (f"--{key.partition(' ')[0]}", *key.split()[1:], *values)]
    definition = member(server, where, name, {}, MEMORY)
    kept = ("image", "user", "networks", "restart", "logging", "security_opt", "cap_add", "cap_drop", "mem_limit")
    words = [str(program(server.service)), "--sentinel", *options]
    seed = f"{master} {first} {where.port} {QUORUM}"
    return {
        **{key: definition[key] for key in kept if key in definition},
        "command": _kept(server, KEEP_VIEW, _VIEW_FILE, seed, words),
        "volumes": [data_mount(server, where.volume(name))],
        "depends_on": {other: {"condition": "service_started"} for other in where.names},
    }


def tell_of(server: Server, names: tuple[str, ...], user: Connection, source: Mapping[str, str]) -> Rewrite:
    """A client's variables, pointed to those Sentinels."""
    return to_sentinel(user, source, [(name, PORT) for name in names], server.name,
                       locked="requirepass" in server.flags)  # fmt: skip
