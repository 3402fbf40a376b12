"""Choices resolved against a stack: the same intent, however it was said, is one plan core (engine.md 4)."""

from __future__ import annotations

from collections.abc import Iterable

from nftui.engine.state import InForce
from nftui.model.choices import Choices, Selection
from nftui.model.plan import OptimizationPlan


def resolve(choices: Choices, plans: Iterable[OptimizationPlan], in_force: InForce) -> Choices:
    """What `choices` mean here.

    A value for all services stands at each service that takes advice on its knob, so that "all of them" and "each of
    them" are equal. Values that nothing here takes are left out, and so is an optimization that was chosen, does not
    apply, and has nothing in force that would have to go.
    """
    selections: dict[str, Selection] = {}
    values: dict[tuple[str, str | None, str], str] = {}
    for item in plans:
        selection = choices.selection(item.id)
        idle = selection is Selection.ON and not item.applicable and in_force.fragment(item.id) is None
        if selection is Selection.UNTOUCHED or idle:
            continue
        selections[item.id] = selection
        if selection is Selection.ON:
            values |= dict(_values(choices, item))
    return Choices(selections, values)


def _values(choices: Choices, item: OptimizationPlan) -> Iterable[tuple[tuple[str, str | None, str], str]]:
    for line in item.advice:
        value = choices.value(item.id, line.service, line.knob)
        if value is not None:
            yield (item.id, line.service, line.knob), value
