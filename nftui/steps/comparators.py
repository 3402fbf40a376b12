"""What a committed run left in force, read from the services, by kind of assertion: the engine names no service.

Files, keys and containers are the engine's own; a kind that needs a live probe stands here.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Mapping
from typing import NamedTuple

from nftui.model.advice import Assertion
from nftui.model.ai import OllamaFacts, QdrantFacts
from nftui.model.facts import Live
from nftui.model.pooling import SESSIONS_PROBE, PoolerFacts, ServerFacts
from nftui.model.postgres import PostgresFacts, RoleSetting
from nftui.model.redis import RedisFacts, SentinelFacts
from nftui.steps.redis import same
from nftui.steps.settings import OF_ROLE_OR_DATABASE, compare_facts

ReadLive = Callable[[str, str], Live]
"""(service, probe) to live facts, read now."""


class Comparator(NamedTuple):
    """`read` gives what stands, None where it cannot be read; `same` compares it with `expected` by meaning."""

    read: Callable[[Assertion, ReadLive], str | None]
    same: Callable[[Assertion, ReadLive], bool]
    repair: Callable[[Assertion, ReadLive], str] | None = None
    """The command that puts it back; None or "" where applying again does."""


def service_of(assertion: Assertion) -> str:
    """The service that the assertion speaks of."""
    return str(assertion.params.get("service") or assertion.target.partition(".")[0])


def name_of(assertion: Assertion) -> str:
    """The setting or field that it speaks of."""
    return str(assertion.params.get("name") or assertion.params.get("field") or assertion.target.partition(".")[2])


def _postgres(assertion: Assertion, live: ReadLive) -> PostgresFacts | None:
    value = live(service_of(assertion), "postgres").value
    return value if isinstance(value, PostgresFacts) else None


def _setting(assertion: Assertion, live: ReadLive) -> str | None:
    facts = _postgres(assertion, live)
    setting = facts.settings.get(name_of(assertion)) if facts else None
    return setting.shown if setting else None


def _same_setting(assertion: Assertion, live: ReadLive) -> bool:
    facts = _postgres(assertion, live)
    return facts is not None and not compare_facts({name_of(assertion): assertion.expected}, facts)


IN_MEMORY = "in memory"
"""A model that Ollama holds loaded."""
NOT_SET = "not set"
"""Nobody set it by ALTER SYSTEM."""


def _altered(assertion: Assertion, live: ReadLive) -> str | None:
    """What ALTER SYSTEM asks for beneath the command line that hides it: it would come up when that one goes."""
    facts = _postgres(assertion, live)
    return None if facts is None else altered(facts, name_of(assertion))


def altered(facts: PostgresFacts, name: str) -> str:
    """The value that ALTER SYSTEM set for `name`, NOT_SET where it set none."""
    return facts.file_settings.get(name, "?") if name in facts.auto_conf else NOT_SET


def _same_altered(assertion: Assertion, live: ReadLive) -> bool:
    return _altered(assertion, live) == assertion.expected


def _alter_back(assertion: Assertion, live: ReadLive) -> str:
    """The statement that takes the operator's ALTER SYSTEM back to what it was at apply."""
    name, value = name_of(assertion), assertion.expected
    what = f"RESET {name}" if value == NOT_SET else f"SET {name} = '{value.replace(chr(39), 2 * chr(39))}'"
    return _psql(assertion, f"ALTER SYSTEM {what}", "SELECT pg_reload_conf()")


def _psql(assertion: Assertion, *statements: str) -> str:
    said = " ".join(f"-c {_in_double_quotes(statement)}" for statement in statements)
    psql = f'psql -U "${{POSTGRES_USER:-postgres}}" -d postgres {said}'
    return f"docker compose exec -T {shlex.quote(service_of(assertion))} sh -c {shlex.quote(psql)}"


def _in_double_quotes(text: str) -> str:
    """One word of a shell; single quotes are taken by the line around it."""
    return '"' + re.sub(r'(["$`\\])', r"\\\1", text) + '"'


def _reset(assertion: Assertion, live: ReadLive) -> str:
    """No new container takes away what ALTER ROLE or ALTER DATABASE set since; "" where it is something else."""
    facts = _postgres(assertion, live)
    setting = facts.settings.get(name_of(assertion)) if facts else None
    if facts is None or setting is None or setting.source not in OF_ROLE_OR_DATABASE:
        return ""
    shape = _SHAPES[setting.source]
    found = (r for r in facts.role_settings if r.name == setting.name and (bool(r.role), bool(r.database)) == shape)
    return _psql(assertion, *dict.fromkeys(_reset_statement(r) for r in found))


_SHAPES = {"global": (False, False), "database": (False, True), "user": (True, False), "database user": (True, True)}
"""pg_settings.source to whether a role and whether a database is named."""


def _reset_statement(found: RoleSetting) -> str:
    def quoted(name: str) -> str:
        return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'

    if not found.role and found.database:
        return f"ALTER DATABASE {quoted(found.database)} RESET {found.name}"
    who = quoted(found.role) if found.role else "ALL"
    where = f" IN DATABASE {quoted(found.database)}" if found.database else ""
    return f"ALTER ROLE {who}{where} RESET {found.name}"


def _role(assertion: Assertion, live: ReadLive) -> str | None:
    """The digest of the role's verifier as it is now: what a copy of it elsewhere is compared by."""
    value = live(service_of(assertion), SESSIONS_PROBE).value
    if not isinstance(value, ServerFacts) or value.roles_error:
        return None
    role = value.roles.get(name_of(assertion))
    return hashlib.sha256(role.verifier.encode()).hexdigest() if role else "absent"


def _same_role(assertion: Assertion, live: ReadLive) -> bool:
    return _role(assertion, live) == assertion.expected


def _section(assertion: Assertion, live: ReadLive) -> str | None:
    """The digest of what the operator's own file sets in [pgbouncer]."""
    value = live(service_of(assertion), "pgbouncer").value
    return value.own_digest if isinstance(value, PoolerFacts) else None


def _same_section(assertion: Assertion, live: ReadLive) -> bool:
    return _section(assertion, live) == assertion.expected


def _ollama(assertion: Assertion, live: ReadLive) -> str | None:
    """The variable as the running server was given it; "" where it was not, None where the server does not answer."""
    value = live(service_of(assertion), "ollama").value
    return value.given.get(name_of(assertion), "") if isinstance(value, OllamaFacts) else None


def _same_ollama(assertion: Assertion, live: ReadLive) -> bool:
    return _ollama(assertion, live) == assertion.expected


def _held(assertion: Assertion, live: ReadLive) -> str | None:
    """Whether the model's file is in memory, however long it stays: an app's own keep_alive is the app's business."""
    facts = live(service_of(assertion), "ollama").value
    if not isinstance(facts, OllamaFacts):
        return None
    return IN_MEMORY if facts.held(name_of(assertion)) else "not in memory"


def _same_held(assertion: Assertion, live: ReadLive) -> bool:
    return _held(assertion, live) == assertion.expected


def _collection_value(assertion: Assertion, live: ReadLive) -> str | None:
    facts = live(service_of(assertion), "qdrant").value
    if not isinstance(facts, QdrantFacts):
        return None
    name = assertion.params.get("collection")
    found = next((c for c in facts.collections if c.name == name), None)
    # An app may drop a collection; that is no drift of its index.
    return found.index.effective(name_of(assertion)) if found else None


def _same_value(assertion: Assertion, live: ReadLive) -> bool:
    return _collection_value(assertion, live) == assertion.expected


def _spread(assertion: Assertion, live: ReadLive) -> str | None:
    """Shards, or copies of each, of the collection behind an alias."""
    facts = live(service_of(assertion), "qdrant").value
    if not isinstance(facts, QdrantFacts):
        return None
    found = next((c for c in facts.collections if assertion.params.get("alias") in c.aliases), None)
    return None if found is None else str(found.shards if name_of(assertion) == "shards" else found.copies)


def _same_spread(assertion: Assertion, live: ReadLive) -> bool:
    return _spread(assertion, live) == assertion.expected


def _redis(assertion: Assertion, live: ReadLive) -> str | None:
    facts = live(service_of(assertion), "redis").value
    return facts.config.get(name_of(assertion)) if isinstance(facts, RedisFacts) else None


def _same_redis(assertion: Assertion, live: ReadLive) -> bool:
    return same(assertion.expected, _redis(assertion, live) or "")


def _link(assertion: Assertion, live: ReadLive) -> str | None:
    facts = live(service_of(assertion), "redis").value
    return facts.link or "no replica" if isinstance(facts, RedisFacts) else None


def _same_link(assertion: Assertion, live: ReadLive) -> bool:
    return _link(assertion, live) == assertion.expected


def _node(assertion: Assertion, live: ReadLive) -> str | None:
    facts = live(service_of(assertion), "redis").value
    if not isinstance(facts, RedisFacts) or facts.loading:
        return None  # What it says of the others while it loads is not known.
    return facts.whole or "no cluster"


def _same_node(assertion: Assertion, live: ReadLive) -> bool:
    return _node(assertion, live) == assertion.expected


def _sentinel(assertion: Assertion, live: ReadLive) -> str | None:
    """What it sees, or whom it names as the master."""
    facts = live(service_of(assertion), "redis-sentinel").value
    if not isinstance(facts, SentinelFacts):
        return None
    return facts.master if name_of(assertion) == "master" else facts.whole


def _same_sentinel(assertion: Assertion, live: ReadLive) -> bool:
    return _sentinel(assertion, live) == assertion.expected


COMPARATORS: Mapping[str, Comparator] = {
    "postgres-setting": Comparator(_setting, _same_setting, _reset),
    "postgres-altered": Comparator(_altered, _same_altered, _alter_back),
    "postgres-role": Comparator(_role, _same_role),
    "pooler-section": Comparator(_section, _same_section),
    "ollama-setting": Comparator(_ollama, _same_ollama),
    "ollama-model": Comparator(_held, _same_held),
    "redis-setting": Comparator(_redis, _same_redis),
    "redis-link": Comparator(_link, _same_link),
    "redis-node": Comparator(_node, _same_node),
    "redis-sentinel": Comparator(_sentinel, _same_sentinel),
    "redis-master": Comparator(_sentinel, _same_sentinel),
    "qdrant-collection": Comparator(_collection_value, _same_value),
    "qdrant-alias": Comparator(_spread, _same_spread),
}
