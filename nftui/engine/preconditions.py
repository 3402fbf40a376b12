"""What must still hold when a plan is applied: identities are equal; times, ids and free memory are absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nftui.model.facts import Facts
from nftui.model.message import Message
from nftui.model.plan import Precondition, Stage, StepSpec, digest
from nftui.model.stack import Service


def preconditions(
    facts: Facts,
    stages: Sequence[Stage],
    pending: Mapping[str, Sequence[str]],
    losses: Mapping[str, Sequence[Message]],
) -> tuple[Precondition, ...]:
    """Sorted by key; none where nothing is to be done. `pending` and `losses` are those of `Standing`."""
    if not stages:
        return ()
    found = [Precondition("host.memory_bytes", "=", str(facts.host.memory_bytes))]
    if facts.engine:
        found.append(Precondition("engine.id", "=", facts.engine.id))
    for path in facts.stack.files:
        fact = facts.files.get(path)
        found.append(Precondition(f"file:{path}", "=", str(digest(fact.content if fact else None))))
    for name in sorted({s for stage in stages for s in stage.services}):
        service = facts.stack.service(name)
        found += _of_service(service) if service else []
        found += [Precondition(f"pending:{name}", "=", "; ".join(pending[name]))] if pending.get(name) else []
        # How many, not which: a log file more in a container must not make every plan unfit.
        found += [Precondition(f"losses:{name}", "=", str(len(losses[name])))] if losses.get(name) else []
    found += [p for stage in stages for step in stage.steps for p in _of_step(step)]
    return tuple(sorted(found, key=lambda p: p.key))


def _of_service(service: Service) -> list[Precondition]:
    running = service.running
    if running is None:
        return []
    count = sum(c.running for c in service.containers)
    found = [Precondition(f"image:{service.name}", "=", running.image_id)]
    found.append(Precondition(f"limit:{service.name}", "=", str(running.memory_limit_bytes)))
    found.append(Precondition(f"scale:{service.name}", "=", str(count)))
    found += [Precondition(f"mount:{service.name}:{m.target}", "=", f"{m.type}:{m.source}") for m in running.mounts]
    return found


def _of_step(step: StepSpec) -> list[Precondition]:
    """The live values that a reading step saw: the way back is proven by them."""
    previous = step.params.get("previous")
    values = previous if isinstance(previous, Mapping) else {}
    return [Precondition(f"setting:{step.target}.{name}", "=", str(value)) for name, value in values.items()]
