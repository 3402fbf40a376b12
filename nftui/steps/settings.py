"""Reading settings back from the running PostgreSQL: a value that did not take is a failure."""

from __future__ import annotations

from collections.abc import Mapping

from nftui.model.message import Message, msg
from nftui.model.plan import StepSpec
from nftui.model.postgres import PostgresFacts
from nftui.steps.calls import Data
from nftui.steps.kind import Context, StepFailed
from nftui.steps.postgres_settings import Difference, ReadValue, compare
from nftui.steps.reading import Reading


def _facts(step: StepSpec, ctx: Context) -> PostgresFacts:
    live = ctx.probe(step.target, "postgres")
    if not isinstance(live.value, PostgresFacts):
        raise StepFailed(
            msg(
                "The settings of {service} cannot be read back: {reason}", service=step.target, reason=live.error or "?"
            )
        )
    return live.value


def differences(expected: Mapping[str, str], facts: PostgresFacts) -> list[Difference]:
    """Each setting that is not as asked."""
    actual = {
        s.name: ReadValue(s.shown, s.source, s.pending_restart, s.setting, s.unit, s.vartype)
        for s in facts.settings.values()
    }
    return compare(expected, actual)


def compare_facts(expected: Mapping[str, str], facts: PostgresFacts) -> list[str]:
    """One line per setting that is not as asked."""
    return [str(d.message) for d in differences(expected, facts)]


def _texts(found: object) -> dict[str, str]:
    assert isinstance(found, dict)
    return {str(k): str(v) for k, v in found.items()}


def _expected(step: StepSpec) -> dict[str, str]:
    return _texts(step.params["expected"])


_FILES = "configuration file"
OF_ROLE_OR_DATABASE = ("global", "database", "user", "database user")
"""pg_settings.source of what ALTER ROLE and ALTER DATABASE set; nftui never does."""


def _is_foreign(difference: Difference, before: Mapping[str, str], facts: PostgresFacts) -> bool:
    """True where somebody else set it since: nftui sets values on the command line only, and so never in these places.

    `before` is what the configuration files (ALTER SYSTEM writes one of them) asked for when the plan was made.
    """
    if difference.source in OF_ROLE_OR_DATABASE:
        return True
    edited = facts.file_settings.get(difference.name) != before.get(difference.name)
    return edited and difference.source in (_FILES, "default")


def _was_above(difference: Difference, step: StepSpec) -> bool:
    """True for what a role's or a database's own value hid from nftui's login already when the plan was made."""
    return difference.source in OF_ROLE_OR_DATABASE and difference.name in _texts(step.params.get("above") or {})


def _unseen(service: str, difference: Difference) -> Message:
    return msg(
        "{name} of {service} is {expected} for all but those with a value of their own. nftui logs in as one of them "
        "({source}, {actual}), so it could not be read back.",
        name=difference.name,
        service=service,
        expected=difference.expected,
        source=difference.source,
        actual=difference.actual,
    )


def _stays(service: str, difference: Difference) -> Message:
    return msg(
        "{name} of {service} is {actual} and was {expected} before nftui: somebody set it otherwise since ({source}). "
        "nftui has taken back what was its own and left that as it is.",
        name=difference.name,
        service=service,
        actual=difference.actual,
        expected=difference.expected,
        source=difference.source,
    )


class PostgresSettingsKind(Reading):
    """Compares pg_settings with what was asked; on the way back with what was there before."""

    name = "postgres-settings"
    version = 1
    reads_files = True
    reads_back = True

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Nothing changes here: what stood before the recreate, and what comes `back` by the files, is in the plan."""
        previous = {**_texts(step.params.get("previous") or {}), **_texts(step.params.get("back") or {})}
        return {"previous": previous, "files": step.params.get("files") or {}}

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed naming each value that did not take and what overrides it."""
        facts = _facts(step, ctx)
        found = differences(_expected(step), facts)
        above = [d for d in found if _was_above(d, step)]
        wrong = [str(d.message) for d in found if d not in above]
        if wrong:
            raise StepFailed(
                msg("{service} does not run what was asked: {list}", service=step.target, list="; ".join(wrong))
            )
        for difference in above:
            ctx.note(str(_unseen(step.target, difference)))
        unseen = {d.name for d in above}
        names = [name for name in _expected(step) if name in facts.settings and name not in unseen]
        return {"settings": {name: facts.settings[name].shown for name in names}}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """The values from before must be in force again; only then it is called rolled back.

        What somebody else set since is reported and left: it never makes the way back impossible (engine.md 9).
        """
        facts, files = _facts(step, ctx), _texts(before.get("files") or {})
        found = differences(_texts(before["previous"]), facts)
        foreign = [d for d in found if _is_foreign(d, files, facts)]
        wrong = [str(d.message) for d in found if d not in foreign]
        if wrong:
            raise StepFailed(
                msg("{service} does not run its former values: {list}", service=step.target, list="; ".join(wrong))
            )
        for difference in foreign:
            ctx.note(str(_stays(step.target, difference)))
