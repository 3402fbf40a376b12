"""Advice for one server: persistence by what it holds, memory by what it may use, eviction by who uses it."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from nftui.model.advice import Advice
from nftui.model.dataclass import dataclass
from nftui.model.errors import RefusedError
from nftui.model.message import Message, msg
from nftui.model.units import MIB, format_size, human_size, parse_size
from nftui.optimizations.redis.beside import as_node, choose_range, node_needs
from nftui.optimizations.redis.bounds import MOST, evicts, is_too_full, needed, own_bound
from nftui.optimizations.redis.gate import Verdict, judge
from nftui.optimizations.redis.knobs import (
    ADDRESSES,
    BY_NAME,
    CLIENTS,
    CLUSTER,
    GRACE,
    GRACE_SOURCE,
    ID,
    LOG,
    MEMORY,
    NODE_MEMORY,
    NOEVICTION,
    PART_OF,
    REPLICA,
    SENTINEL,
    SHARES,
    SINGLE,
    SUBNET,
)  # fmt: skip
from nftui.optimizations.redis.moving import moving_obstacles
from nftui.optimizations.redis.replica import image_obstacle, is_strange, obstacle, replica_name

if TYPE_CHECKING:
    from nftui.model.choices import Choices
    from nftui.optimizations.redis.server import Server

SHARE, SHARE_UNSAVED = 0.6, 0.75
"""Of the memory that it may use: with saves or a log, whose fork holds changed pages twice, and without."""
GRACE_S = 30
_PERSISTED = "yes"
_FAILOVER = {
    CLUSTER: msg(
        "Six nodes on one machine are process failover, not high availability: where one process ends, a replica "
        "takes over within 10 s; where the machine ends, all of them do."
    ),
    SENTINEL: msg(
        "Two servers and three Sentinels on one machine are process failover, not high availability: where the process "
        "of the master ends, the other server takes over within 10 s; where the machine ends, both do."
    ),
}


@dataclass(slots=True)
class Line:
    """One knob while it is worked out."""

    knob: str
    recommended: str | None
    why: Message
    source: str
    current: str | None = None
    value: str | None = None
    kept: bool = False
    notes: list[Message] = field(default_factory=list)


def server_advice(server: Server, choices: Choices) -> tuple[Advice, ...]:
    """Every knob of that server. Raises UsageError for a value that must not be."""
    mode = _mode(server, choices)
    moved = mode.value if mode.value in SHARES else None
    log = _decide(server, choices, _appendonly(server), _unsaved(server))
    if moved:
        _must_log(server, choices, log)
    if server.live is None and log.value == _PERSISTED and server.baseline("appendonly") != _PERSISTED:
        raise refused(server, log, log.why)
    node = _node_memory(server, choices, moved)
    whose = as_node(server, moved, node.value) if moved else server
    policy = _policy(whose, choices)
    memory = _memory(whose, choices, log.value == _PERSISTED, policy)
    fsync = _decide(server, choices, _fsync(server))
    lines = [mode, _image(server, choices), _subnet(server, choices, moved), node, log, fsync, memory, policy,
             _grace(server, choices)]  # fmt: skip
    return tuple(_advice(server, line) for line in lines)


def _advice(server: Server, line: Line) -> Advice:
    return Advice(
        line.knob, server.name, line.value, line.current, line.recommended, BY_NAME[line.knob].unit, line.why,
        line.source, changes=line.value is not None and line.value != line.current, kept=line.kept,
        notes=tuple(line.notes),
    )  # fmt: skip


def _is_off(choices: Choices, knob: str) -> bool:
    return choices.value(ID, None, PART_OF[knob]) == "off"


def _decide(server: Server, choices: Choices, line: Line, unsafe: Message | None = None) -> Line:
    """Chosen; else the operator's own value, unless it is unsafe; else what is recommended."""
    chosen, own = choices.value(ID, server.name, line.knob), server.own(line.knob)
    line.current = server.current(line.knob)
    if chosen is not None:
        line.value = chosen
    elif _is_off(choices, line.knob):
        line.value = server.baseline(line.knob)
    elif server.live is None and server.baseline(line.knob) is None:
        line.value = None
        line.notes.append(msg("A configuration may say it, and is read of a running server only: left alone."))
    elif own is not None and own != line.recommended and unsafe is None:
        line.value, line.kept = own, True
    else:
        line.value = line.recommended
    return line


# -- persistence -------------------------------------------------------------------------------------------------
def _mode(server: Server, choices: Choices) -> Line:
    """One server is recommended in any case: nodes on one machine end with it (databases reference 3)."""
    verdict = judge(server)
    present = server.moved or SINGLE
    value = choices.value(ID, server.name, "mode") or present
    line = Line("mode", present, _why_single(verdict), CLIENTS, present, value)
    line.notes += [msg("Against a cluster: {reason}.", reason=reason) for reason in verdict.cluster]
    line.notes += [msg("To be looked at before a cluster: {reason}.", reason=reason) for reason in verdict.doubts]
    line.notes += [msg("Against Sentinel: {reason}.", reason=reason) for reason in verdict.sentinel]
    line.notes += [msg("Seen since its start: {sign}.", sign=sign) for sign in verdict.signs]
    if value != present and server.moved:
        raise refused(
            server,
            line,
            msg("its keys are with servers of mode {mode}; take that run back: nftui rollback", mode=present),
        )
    if value == REPLICA:
        _check_replica(server, line)
        _check_image(server, choices)
    elif value in SHARES:
        _check_moving(server, line, getattr(verdict, value), choices)
    return line


def _check_replica(server: Server, line: Line) -> None:
    why = obstacle(server)
    if why is not None:
        raise refused(server, line, why)
    line.notes.append(
        msg("{name} follows it on the same machine, and takes over only by hand: REPLICAOF NO ONE, then the apps.",
            name=replica_name(server.name))
    )  # fmt: skip


def _check_image(server: Server, choices: Choices) -> None:
    line = _image(server, choices)
    why = image_obstacle(server, str(line.value)) if line.value != server.service.image else None
    if why is not None:
        raise refused(server, line, why)


def _check_moving(server: Server, line: Line, verdict: tuple[Message, ...], choices: Choices) -> None:
    """Raises UsageError with everything that stands in the way."""
    against = verdict or tuple(moving_obstacles(server, str(line.value), choices.value(ID, server.name, "image")))
    if against:
        raise refused(server, line, msg("{reasons}", reasons="; ".join(str(o) for o in against)))
    line.notes.append(_FAILOVER[str(line.value)])
    line.notes.append(msg("{service} keeps its keys and takes no writes any more; a rollback carries back what was "
                          "written since.", service=server.name))  # fmt: skip
    if "requirepass" not in server.flags:
        line.notes.append(msg("It asks for no password, and neither will the nodes."))
    elif line.value == SENTINEL:
        line.notes.append(msg("Its password is asked for by the Sentinels too, and all five keep it in volumes of "
                              "their own."))  # fmt: skip


def _must_log(server: Server, choices: Choices, line: Line) -> None:
    """Nodes start anew: there is no log that could be missing, and none that is not worth its price."""
    if choices.value(ID, server.name, line.knob) not in (None, _PERSISTED):
        raise refused(server, line, msg("servers that take over from each other keep a log and snapshots"))
    line.value, line.kept = _PERSISTED, False
    line.notes = []


def _subnet(server: Server, choices: Choices, moved: str | None) -> Line:
    line = Line(SUBNET, None, msg("One server needs no addresses of its own; several do."), ADDRESSES)
    if moved:
        line.value = choices.value(ID, server.name, SUBNET)
        found = choose_range(server, moved, line.value)
        if not isinstance(found, str):
            raise refused(server, line, found)
        line.value = line.recommended = found
        line.why = msg("No other network of this machine has it; nodes whose addresses were dealt anew at a start "
                       "lost a whole shard.")  # fmt: skip
    return line


def _node_memory(server: Server, choices: Choices, moved: str | None) -> Line:
    line = Line(NODE_MEMORY, None, msg("One server has the memory of its service; nodes of nftui's have their own."),
                MEMORY)  # fmt: skip
    if moved and moved in server.node_memory:
        line.recommended = format_size(server.node_memory[moved] // MIB * MIB)
        line.value = choices.value(ID, server.name, NODE_MEMORY) or line.recommended
        least = node_needs(server.used, moved)
        line.why = msg("{used} are in use: the share of a node needs {least} at least, and {left} are left for each.",
                       used=human_size(server.used), least=human_size(least),
                       left=human_size(server.node_memory[moved]))  # fmt: skip
        if (parse_size(line.value) or 0) < least:
            raise refused(server, line, msg("each node needs {needed} for its keys", needed=human_size(least)))
    return line


def _image(server: Server, choices: Choices) -> Line:
    own = server.service.image
    line = Line("image", own, msg("The same version on both sides: a replica must not be older."), CLIENTS, own)
    line.value = choices.value(ID, server.name, "image") or own
    if line.value and line.value != own and is_strange(server, line.value):
        line.notes.append(msg("A replica of another image than the official ones is started as root, by its program "
                              "alone."))  # fmt: skip
    return line


def _why_single(verdict: Verdict) -> Message:
    if verdict.cluster:
        return msg("A cluster does not fit here: {reason}.", reason=verdict.cluster[0])
    return msg("A cluster would fit, but on one machine it protects from the end of a process only, and is no faster.")


def _appendonly(server: Server) -> Line:
    if server.only_cache:
        present = server.baseline("appendonly")
        return Line("appendonly", present, msg("All who use it keep only a cache in it: it can be filled anew."), LOG)
    why = msg("{holders} in it: a crash would lose all since the last snapshot.", holders=server.holders)
    if not server.keeps:
        why = msg("It is not known that everything in it can be made anew.")
    if server.live is None and server.baseline("appendonly") != "yes":
        why = msg("{state}: started with a log that was never written it would be empty, whatever it held.",
                  state=_unseen(server))  # fmt: skip
        return Line("appendonly", server.baseline("appendonly"), why, LOG)
    line = Line("appendonly", "yes", why, LOG)
    if server.current("appendonly") == "no":
        line.notes.append(
            msg("The running server writes its log first; only then it is restarted with it. Snapshots stay on.")
        )
    return line


def _unseen(server: Server) -> Message:
    return msg("It does not run") if server.service.running is None else msg("It could not be asked")


def _unsaved(server: Server) -> Message | None:
    """The operator's own "no" is unsafe where no snapshots are taken either."""
    save = server.live.config.get("save") if server.live else server.flags.get("save")
    off = save is not None and not save.strip("\"' ")
    return msg("nothing survives a restart") if server.keeps and off else None


def _fsync(server: Server) -> Line:
    why = msg("At most a second is lost, and writes do not wait for the disk.")
    return Line("appendfsync", "everysec", why, MEMORY)


def _grace(server: Server, choices: Choices) -> Line:
    least = max(GRACE_S, server.grace_declared)
    line = Line(GRACE, f"{least}s", msg("Docker ends a stop after 10 s, in the middle of a save."), GRACE_SOURCE)
    line.current = f"{server.grace_declared}s"
    chosen = choices.value(ID, server.name, GRACE)
    line.value = chosen or (line.current if _is_off(choices, GRACE) else line.recommended)
    return line


# -- memory ------------------------------------------------------------------------------------------------------
def _is_down(server: Server) -> bool:
    """One that runs and does not answer is not touched at all, for nothing could be read back."""
    return server.live is None and server.service.running is None


def _unknown(server: Server, choices: Choices, knob: str) -> Line:
    """As it is: a bound or a policy that does not fit what it holds would lose or refuse keys at its start."""
    why = msg("{state}: how much it holds is not known.", state=_unseen(server))
    line = _decide(server, choices, Line(knob, server.baseline(knob), why, MEMORY))
    if choices.value(ID, server.name, knob) is not None:
        line.notes.append(why)
    return line


def _memory(server: Server, choices: Choices, logged: bool, policy: Line) -> Line:
    if _is_down(server):
        line = _unknown(server, choices, "maxmemory")
        line.value = _absolute(line.value, server.memory) if server.memory else line.value
        _check_memory(server, line, choices, policy)
        return line
    saves = logged or (server.live.config.get("save", "") != "" if server.live else True)
    share = SHARE if saves else SHARE_UNSAVED
    if server.memory is None:
        line = Line("maxmemory", server.baseline("maxmemory"), msg("What it may use is not known."), MEMORY)
        return _decide(server, choices, line)
    fits = int(server.memory * share) // MIB * MIB
    least = needed(server)
    why = msg("{share:.0%} of {memory}; the rest is for the fork of a save and for clients.", share=share,
              memory=human_size(server.memory))  # fmt: skip
    if least > fits:
        why = msg("{used} are in use; a bound below that would refuse or evict at once.", used=human_size(server.used))
    line = Line("maxmemory", format_size(max(fits, least)), why, MEMORY)
    line = _decide(server, choices, line, _unsafe_bound(server, policy))
    line.value = _absolute(line.value, server.memory)
    _check_memory(server, line, choices, policy)
    _warn(server, line, saves)
    return line


def _unbounded(server: Server) -> Message | None:
    """The operator's own 0, or a bound near or above what the container may use, ends in a kill."""
    own = own_bound(server)
    if own and server.memory is not None and own <= server.memory * MOST:
        return None
    return msg("it would grow until it is killed")


def _unsafe_bound(server: Server, policy: Line) -> Message | None:
    """Why the operator's own bound gives way. One that evicts and can only go on so keeps it."""
    if policy.value != NOEVICTION and is_too_full(server):
        return None
    own = own_bound(server)
    raised = (parse_size(server.current("maxmemory") or "0") or 0) > own
    return _unbounded(server) or _refusing(server, policy, own, raised=raised)


def _refusing(server: Server, policy: Line, bound: int, *, raised: bool = False) -> Message | None:
    """A server that evicts is full as a rule: at the bound that it evicts at, without eviction each write fails.

    So it is at the operator's own bound as well where the running server's was `raised` since.
    """
    if policy.value != NOEVICTION or not bound or bound >= needed(server) or not (evicts(server) or raised):
        return None
    return msg("{used} are in use, and without eviction it would refuse writes at once", used=human_size(server.used))


def _absolute(value: str | None, memory: int) -> str | None:
    if value is None or not value.endswith("%"):
        return value
    return format_size(max(MIB, int(memory * float(value[:-1]) / 100) // MIB * MIB))


def _check_memory(server: Server, line: Line, choices: Choices, policy: Line) -> None:
    size = parse_size(line.value or "0") or 0
    if choices.value(ID, server.name, "maxmemory") is None or not size:
        return
    if size < server.used:
        raise refused(server, line, msg("{used} are in use, so it would refuse or evict keys at once",
                                        used=human_size(server.used)))  # fmt: skip
    refusing = _refusing(server, policy, size)
    if refusing is not None:
        raise refused(server, line, refusing)
    if server.memory is not None and size > server.memory:
        raise refused(server, line, msg("the service may use {memory}, so it would be killed before that",
                                        memory=human_size(server.memory)))  # fmt: skip


def _warn(server: Server, line: Line, saves: bool) -> None:
    size = parse_size(line.value or "0") or 0
    if server.memory is not None and saves and size > server.memory * 0.65:
        line.notes.append(
            msg("Above 65 % of {memory} a save can end in a kill: give the service more memory.",
                memory=human_size(server.memory))
        )  # fmt: skip


def refused(server: Server, line: Line, why: Message) -> RefusedError:
    """A chosen value that this server must not get."""
    text = msg("{id}.{knob} = {value} is refused for {service}: {why}.", id=ID, knob=line.knob, value=line.value,
               service=server.name, why=why)  # fmt: skip
    return RefusedError(text, ID, server.name, line.knob)


def _policy(server: Server, choices: Choices) -> Line:
    line = _unknown(server, choices, "policy") if _is_down(server) else _known_policy(server, choices)
    chosen = choices.value(ID, server.name, "policy")
    if server.keeps and line.value != NOEVICTION and chosen is not None:
        raise refused(server, line, msg("{holders} in it, and none of those may be evicted",
                                        holders=server.holders))  # fmt: skip
    if chosen == NOEVICTION and is_too_full(server):
        raise refused(server, line, _too_full(server))
    return line


def _too_full(server: Server) -> Message:
    return msg("{used} are in use, and it may not hold more: without eviction it would refuse writes at once. Give the "
               "service more memory first", used=human_size(server.used))  # fmt: skip


def _known_policy(server: Server, choices: Choices) -> Line:
    """Decided before its bound, which depends on it."""
    if server.keeps and is_too_full(server):
        why = msg("{why}. {holders} in it: until then they can be lost without an error.", why=_too_full(server),
                  holders=server.holders)  # fmt: skip
        return _decide(server, choices, Line("policy", server.own("policy") or server.baseline("policy"), why, MEMORY))
    if server.keeps:
        why = msg("{holders} in it; evicted, they vanish without an error.", holders=server.holders)
        line = Line("policy", NOEVICTION, why, MEMORY)
        if any("cache" in u.purposes for u in server.users):
            line.notes.append(msg("A cache shares it with them: a second instance could evict, this one must not."))
    elif server.only_cache:
        why = msg("All who use it keep only a cache in it: full, it forgets the oldest.")
        line = Line("policy", "allkeys-lru", why, MEMORY)
    else:
        present = server.baseline("policy")
        line = Line("policy", present, msg("It is not known what its keys are: left as it is."), MEMORY)
    return _decide(server, choices, line, line.why if server.keeps else None)
