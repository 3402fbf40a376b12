"""One Redis with all that is known of it: settings of the files, live facts, and who uses it for what."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nftui.catalog.apps import Purpose
from nftui.catalog.connections import Connection
from nftui.checks._redis_settings import Settings, is_like_redis
from nftui.engine.evidence import at
from nftui.engine.given import example_gives, may_be_given, variables
from nftui.model.dataclass import dataclass
from nftui.model.facts import Facts
from nftui.model.findings import Evidence, Finding, Level
from nftui.model.message import Message
from nftui.model.patterns import regex
from nftui.model.redis import SAVE, RedisFacts
from nftui.model.stack import Service
from nftui.model.units import MIB, parse_size

KEPT = (Purpose.QUEUE, Purpose.SESSION, Purpose.LOCK)
"""What must not be lost."""

REPAIRED = ("redis-queue-eviction", "redis-no-persistence", "redis-maxmemory-unset", "redis-policy-inert")
"""What the optimization of that name puts right."""
_SHELL = regex(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")
_DEFAULTS = {"maxmemory": "0", "maxmemory-policy": "noeviction", "appendonly": "no", "requirepass": "",
             "stop-writes-on-bgsave-error": "yes"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Server:
    """A service of role redis or keydb."""

    facts: Facts
    service: Service
    settings: Settings
    live: RedisFacts | None
    users: tuple[Connection, ...]

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name

    @property
    def kept_by(self) -> tuple[Connection, ...]:
        """Users that keep a queue, sessions or locks in it: active ones where there are any."""
        users = tuple(u for u in self.users if set(u.purposes) & set(KEPT))
        return tuple(u for u in users if u.client.active) or users

    @property
    def keeps(self) -> bool:
        """True where it holds what must not be lost, as the apps or its own keys tell."""
        return bool(self.kept_by) or bool(self.live and self.live.queue_keys)

    @property
    def follows(self) -> bool:
        """True for a replica: it begins anew from its master, whatever it keeps itself."""
        if self.live is not None:
            return self.live.role != "master"
        mode = self.service.environment.get("REDIS_REPLICATION_MODE") or ""
        bitnami = (self.settings.family or "").startswith("bitnami") and mode in ("slave", "replica")
        return bitnami or not {"replicaof", "slaveof"}.isdisjoint(self.settings.values)

    @property
    def keeps_sessions(self) -> bool:
        """True where a client says itself that its sessions are in it; what a catalog's app means by it may differ."""
        return any(Purpose.SESSION in u.purposes and u.use is None for u in self.kept_by)

    @property
    def major(self) -> int | None:
        """Major version of the server that runs, or of the tag; None where a tag leaves it open."""
        version = self.live.version if self.live else self.service.version
        head = (version or "").partition(".")[0]
        return int(head) if head.isdigit() else None

    def value(self, name: str) -> str | None:
        """The value in force, lower case: the running server's, else the files'; None where it is not known."""
        if self.live is not None and name in self.live.config:
            return self.live.config[name].lower()
        text = self._of_shell(self.settings.text(name, _DEFAULTS.get(name)))
        return text.lower() if text else text

    def _of_shell(self, text: str | None) -> str | None:
        """What the container's shell makes of a value: its variables filled in, None where one is not known here."""
        given = self.service.environment
        text = _SHELL.sub(lambda m: given.get(m[1] or m[3]) or m[2] or m[0], text or "") if text else text
        return None if text and "$" in text else text

    def amount(self, name: str) -> int | None:
        """The same in bytes, None where it is not known or no size (a variable of the shell)."""
        text = self.value(name)
        return None if text is None else redis_size(text)

    def evidence(self, name: str) -> Evidence:
        """The setting as it is written, with the effective value where the server says another."""
        written = self.settings.values.get(name)
        effective = self.live.config.get(name) if self.live else None
        if written is None:
            shown = effective if effective is not None else _DEFAULTS.get(name)
            return Evidence(name, shown) if effective is not None else at(self.service, name, "command", shown)
        if effective is None or _same(effective, written.text):
            return written.evidence
        shown = f"{written.evidence.value} (in force: {effective})"
        return Evidence(written.evidence.key, shown, written.evidence.file, written.evidence.line)

    def user_evidence(self) -> list[Evidence]:
        """Who keeps what in it."""
        found = []
        for user in self.kept_by:
            what = ", ".join(p for p in user.purposes if p in KEPT)
            place = f"environment.{user.key}" if user.key in user.client.environment else user.key
            found.append(at(user.client, user.key, place, f"{user.client.name}: {what}"))
        if self.live:
            found += [Evidence(f"key {name}", "a job queue's") for name in self.live.queue_keys]
        return found

    def persists(self) -> bool | None:
        """Whether it writes its data to disk: by snapshots or by its log; None where that is not known."""
        append, save = self.value("appendonly"), self.save
        if append == "yes" or save:
            return True
        return None if append is None or save is None else False

    @property
    def save(self) -> str | None:
        """The save points; "" where snapshots are off, None where it is not known."""
        if self.live is not None and "save" in self.live.config:
            return self.live.config["save"].strip()
        text = self._of_shell(self.settings.text("save", SAVE))
        return None if text is None else text.strip().strip("\"'")

    def is_given_elsewhere(self, name: str) -> bool:
        """Whether the option's blank is a variable that has a value where the stack is deployed."""
        written = [self.service.raw.get(key) or "" for key in ("command", "entrypoint")]
        words = " ".join(" ".join(map(str, w)) if isinstance(w, (list, tuple)) else str(w) for w in written)
        match = re.search(rf"--{re.escape(name)}[\s,'\"\[\]]+(\$\S+)", words)
        if match is None:
            return False
        if ":-}" in match[1] and not example_gives(self.facts.stack, variables(match[1])):
            return False
        return may_be_given(self.facts.stack, match[1])

    def finding(
        self, name: str, level: Level, title: Message, detail: Message, source: str, *evidence: Evidence
    ) -> Finding:
        """A finding about this server."""
        repaired = "redis" if name in REPAIRED and is_like_redis(self.service.role) else None
        return Finding(name, level, self.name, title, detail, tuple(evidence), source, optimization=repaired)


def redis_size(text: str) -> int | None:
    """Bytes of a size as Redis reads it: k is 1000, kb 1024."""
    text = text.strip().lower()
    if text[-1:] in ("k", "m", "g") and text[:-1].isdigit():
        return int(text[:-1]) * {"k": 1000, "m": 1000**2, "g": 1000**3}[text[-1]]
    return parse_size(text)


def _same(one: str, other: str) -> bool:
    size = redis_size(one)
    return one == other or (size is not None and size == redis_size(other))


def apps_of(users: Sequence[Connection]) -> str:
    """Names of the clients, for a sentence."""
    return ", ".join(dict.fromkeys(u.client.name for u in users))


SMALL_QUEUE_BYTES = 64 * MIB
"""Below this a queue of jobs with payloads is full within minutes of a stopped worker."""
