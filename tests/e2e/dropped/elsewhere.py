"""An optimization in one file, dropped into the folder: a database's volume is switched to a fresh copy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nftui.model.advice import Advice, Applicability, Assertion, Demand, Effort, Fragment, Grant, Risk
from nftui.model.choices import Choices
from nftui.model.facts import Facts
from nftui.model.findings import Finding
from nftui.model.knobs import Kind, Knob
from nftui.model.message import msg
from nftui.model.plan import DataSwitch, StepSpec
from nftui.model.stack import MountSpec, Role

KNOB = "volume"
DATA = "/var/lib/postgresql/data"


class Elsewhere:
    """One knob for each database: the volume that its data shall lie in."""

    id = "elsewhere"
    order = 910
    title = msg("Another volume")
    summary = msg("The data lies in another volume.")
    risk = Risk.HIGH
    needs: tuple[str, ...] = ()
    knobs = (Knob(KNOB, Kind.ENUM, msg("Volume"), msg("A test moves it."), "a test",
                  choices=tuple(f"v{n}" for n in range(9))),)  # fmt: skip

    def _mounts(self, facts: Facts) -> dict[str, MountSpec]:
        running = ((s.name, s.running) for s in facts.stack.services if s.role is Role.POSTGRES and s.active)
        return {name: m for name, c in running if c for m in c.mounts if m.target == DATA and m.type == "volume"}

    def applies(self, facts: Facts) -> Applicability:
        """Where a database runs on a volume."""
        names = tuple(self._mounts(facts))
        return Applicability(bool(names), msg("there is no such service"), names)

    def findings(self, facts: Facts) -> Iterable[Finding]:
        """None."""
        return ()

    def demand(self, facts: Facts, choices: Choices) -> tuple[Demand, ...]:
        """No memory."""
        return ()

    def advise(self, facts: Facts, choices: Choices, grants: Mapping[str, Grant]) -> tuple[Advice, ...]:
        """The volume that was chosen."""
        return tuple(self._advice(facts, choices, name, mount) for name, mount in self._mounts(facts).items())

    def _advice(self, facts: Facts, choices: Choices, name: str, mount: MountSpec) -> Advice:
        word = choices.value(self.id, name, KNOB) or "v0"
        value, why = f"{facts.stack.name}_{word}", msg("It was asked for.")
        return Advice(KNOB, name, value, mount.source, None, "", why, "a test", True)

    def effort(self, facts: Facts, advice: tuple[Advice, ...]) -> Effort:
        """Half a day."""
        return Effort(0.5, 0.5)

    def fragment(self, facts: Facts, advice: tuple[Advice, ...]) -> Fragment:
        """The mount of each service, and its volume, which Compose must not make."""
        mounts = {str(a.service): [{"type": "volume", "source": a.value, "target": DATA}] for a in advice}
        volumes = {str(a.value): {"external": True, "name": a.value} for a in advice}
        values = {str(a.service): {KNOB: str(a.value)} for a in advice}
        return Fragment(self.id, {name: {"volumes": m} for name, m in mounts.items()}, values, volumes=volumes)

    def switches(self, facts: Facts, fragment: Fragment) -> tuple[DataSwitch, ...]:
        """From the volume that it runs on."""
        return tuple(
            DataSwitch(
                dataset=f"{name}-data",
                service=name,
                source={"type": "volume", "name": str(mount.source)},
                target={"type": "volume", "name": fragment.values[name][KNOB]},
                fence={"path": "global/pg_control", "block": "absent"},
                writers=("api", "jobs"),
                downtime_s=10.0,
            )
            for name, mount in self._mounts(facts).items()
        )

    def steps(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """Nothing beside what the switch proves."""
        return ()

    def checks(self, facts: Facts, fragment: Fragment) -> tuple[Assertion, ...]:
        """None."""
        return ()


OPTIMIZATION = Elsewhere()
