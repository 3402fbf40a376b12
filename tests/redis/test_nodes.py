"""What a node of a cluster says is read as the specification has it."""

from __future__ import annotations

from typing import Any

import pytest

from nftui.clients.rediscluster import SLOTS, node_problem, parse_nodes, slot_of

SLOT = {b"foo": 12182, b"bar": 5061, b"{user1000}.following": 3443, b"{user1000}.followers": 3443, b"123456789": 12739}
"""redis.io, CLUSTER KEYSLOT and the specification's own examples."""
ME = "aaa 10.0.0.2:6379@16379,node-1 myself,master - 0 1700000000000 1 connected 0-5460 5462 [5461->-bbb]"
OTHER = "bbb 10.0.0.3:6379@16379,node-2 {flags} aaa 0 1700000000000 1 {link}"
WHOLE = f"cluster_state:ok\r\ncluster_slots_ok:{SLOTS}\r\n"


@pytest.mark.parametrize(("key", "slot"), [*SLOT.items(), (b"foo{}{bar}", None)])
def test_the_slot_of_a_key(key: bytes, slot: int | None) -> None:
    assert slot_of(key) == slot if slot is not None else slot_of(key) != slot_of(b"bar"), "empty braces are no tag"


def test_a_line_of_a_node_is_taken_apart() -> None:
    (me,) = parse_nodes(ME + "\nshort line\n")
    assert (me.id, me.flags, me.linked, me.slots) == ("aaa", ("myself", "master"), True, ((0, 5460), (5462, 5462)))


class Asked:
    """A node with fixed answers."""

    def __init__(self, nodes: str, state: str = WHOLE, link: str = "up") -> None:
        self.answers = {"CLUSTER NODES": nodes, "CLUSTER INFO": state, "INFO replication": f"master_link_status:{link}"}

    def ask(self, *words: str) -> Any:
        return self.answers[" ".join(words)]


FOLLOWER = "aaa 10.0.0.2:6379@16379 myself,slave bbb 0 0 1 connected"


@pytest.mark.parametrize(
    ("node", "why"),
    [(Asked(f"{ME}\n{OTHER}".format(flags="slave", link="connected")), None),
     (Asked(ME), "1 of 2 nodes known"), (Asked(ME, "cluster_state:fail\r\n"), "cluster_state fail"),
     (Asked(f"{ME}\n{OTHER}".format(flags="slave,fail?", link="connected")), "1 nodes out of reach"),
     (Asked(f"{ME}\n{OTHER}".format(flags="master,noaddr", link="connected")), "1 nodes out of reach"),
     (Asked(f"{ME}\n{OTHER}".format(flags="slave", link="disconnected")), "1 nodes out of reach"),
     (Asked(f"{FOLLOWER}\n{OTHER}".format(flags="master", link="connected"), link="down"), "to its master is down")],
)  # fmt: skip
def test_cluster_state_ok_is_not_enough(node: Asked, why: str | None) -> None:
    found = node_problem(node, 2)
    assert found is None if why is None else why in str(found)
