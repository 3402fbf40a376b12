"""An optimization that does harm, dropped into the folder: what its settings do to a server must take the run back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nftui.model.advice import Advice, Applicability, Assertion, Demand, Effort, Fragment, Grant, Risk
from nftui.model.choices import Choices
from nftui.model.facts import Facts
from nftui.model.findings import Finding
from nftui.model.knobs import Kind, Knob
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.stack import Role

START = "docker-entrypoint.sh postgres"
RED_AFTER_3_S = "test $$(( $$(date +%s) - $$(stat -c %Y /proc/1) )) -lt 3"
HARMS: Mapping[str, Mapping[str, object]] = {
    "none": {},
    "refuses-to-start": {"command": ["postgres", "-c", "shared_buffers=nonsense"]},
    "crashes-soon": {"entrypoint": ["timeout", "-s", "INT", "3"], "command": START.split()},
    "child-runs-out-of-memory": {
        "entrypoint": ["bash", "-c"],
        # Only this child outgrows the limit: the server stays up, and Docker's flag tells of the main process alone.
        "command": [f"(sleep 2; echo 1000 >/proc/self/oom_score_adj; exec tail /dev/zero) & exec {START}"],
    },
    "turns-red": {"healthcheck": {"test": ["CMD-SHELL", RED_AFTER_3_S], "interval": "300ms", "retries": 1}},
    "waits-for-ever": {"command": ["sleep", "infinity"], "entrypoint": []},
    "sound": {"labels": {"sound": "yes"}},
}


class Harm:
    """One knob: which harm."""

    id = "harm"
    order = 900
    title = msg("Harm")
    summary = msg("Does what must be taken back.")
    risk = Risk.HIGH
    needs: tuple[str, ...] = ()
    knobs = (Knob("kind", Kind.ENUM, msg("Harm"), msg("A test chooses it."), "a test", choices=tuple(HARMS)),)

    def _services(self, facts: Facts) -> tuple[str, ...]:
        return tuple(s.name for s in facts.stack.services if s.role is Role.POSTGRES and s.active)

    def applies(self, facts: Facts) -> Applicability:
        """Where there is a database."""
        names = self._services(facts)
        return Applicability(bool(names), msg("there is no such service"), names)

    def findings(self, facts: Facts) -> Iterable[Finding]:
        """None."""
        return ()

    def demand(self, facts: Facts, choices: Choices) -> tuple[Demand, ...]:
        """No memory."""
        return ()

    def advise(self, facts: Facts, choices: Choices, grants: Mapping[str, Grant]) -> tuple[Advice, ...]:
        """What was chosen."""
        return tuple(self._advice(choices, name) for name in self._services(facts))

    def _advice(self, choices: Choices, name: str) -> Advice:
        value = choices.value(self.id, name, "kind") or "none"
        return Advice("kind", name, value, "none", "none", "", msg("A test chooses it."), "a test", value != "none")

    def effort(self, facts: Facts, advice: tuple[Advice, ...]) -> Effort:
        """None."""
        return Effort(0, 0)

    def fragment(self, facts: Facts, advice: tuple[Advice, ...]) -> Fragment:
        """The keys of the harm."""
        values = {str(a.service): {"kind": str(a.value)} for a in advice if a.value != "none"}
        return Fragment(self.id, {name: HARMS[v["kind"]] for name, v in values.items()}, values)

    def steps(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """Nothing to read back."""
        return ()

    def checks(self, facts: Facts, fragment: Fragment) -> tuple[Assertion, ...]:
        """None."""
        return ()


OPTIMIZATION = Harm()
