"""Reading settings back from the running PostgreSQL: a value that did not take is a failure."""

from __future__ import annotations

from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.postgres import PostgresFacts
from nftui.steps.kind import Context, Data, Found, StepFailed
from nftui.steps.postgres_settings import ReadValue, compare


def _facts(step: StepSpec, ctx: Context) -> PostgresFacts:
    live = ctx.probe(step.target, "postgres")
    if not isinstance(live.value, PostgresFacts):
        raise StepFailed(
            msg(
                "The settings of {service} cannot be read back: {reason}", service=step.target, reason=live.error or "?"
            )
        )
    return live.value


def compare_facts(expected: dict[str, str], facts: PostgresFacts) -> list[str]:
    """One line per setting that is not as asked."""
    actual = {
        s.name: ReadValue(s.shown, s.source, s.pending_restart, s.setting, s.unit, s.vartype)
        for s in facts.settings.values()
    }
    return [str(d.message) for d in compare(expected, actual)]


def _expected(step: StepSpec) -> dict[str, str]:
    expected = step.params["expected"]
    assert isinstance(expected, dict)
    return {str(k): str(v) for k, v in expected.items()}


class PostgresSettingsKind:
    """Compares pg_settings with what was asked; on the way back with what was there before."""

    name = "postgres-settings"
    version = 1
    reads_files = True

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Nothing changes here: what stood before the recreate is in the plan."""
        return {"previous": step.params.get("previous") or {}}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """A reading: always to be done."""
        return Found.BEFORE

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Nothing: `verify` reads."""

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed naming each value that did not take and what overrides it."""
        facts = _facts(step, ctx)
        wrong = compare_facts(_expected(step), facts)
        if wrong:
            raise StepFailed(
                msg("{service} does not run what was asked: {list}", service=step.target, list="; ".join(wrong))
            )
        return {"settings": {name: facts.settings[name].shown for name in _expected(step) if name in facts.settings}}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """The values from before must be in force again; only then it is called rolled back."""
        previous = before["previous"]
        assert isinstance(previous, dict)
        wrong = compare_facts({str(k): str(v) for k, v in previous.items()}, _facts(step, ctx))
        if wrong:
            raise StepFailed(
                msg("{service} does not run its former values: {list}", service=step.target, list="; ".join(wrong))
            )
