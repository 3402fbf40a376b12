"""An optimization that brings a service of its own: a cache beside an app, with files that it mounts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nftui.model.advice import Advice, Applicability, Assertion, Demand, Effort, Fragment, Grant, Risk
from nftui.model.choices import Choices
from nftui.model.facts import Facts
from nftui.model.findings import Finding
from nftui.model.knobs import Kind, Knob
from nftui.model.message import msg
from nftui.model.mounted import FileSet, MountedFile
from nftui.model.plan import StepSpec

WORD = "obviously-not-a-secret-word"
IMAGE = "nftui-test/redis:7"
USER = (999, 1000)
ROUTED = "jobs"
SIZES = ("16mb", "32mb", "nonsense")


class Relay:
    """One knob: how much it may hold."""

    id = "relay"
    order = 900
    title = msg("Relay")
    summary = msg("A cache beside the app.")
    risk = Risk.MEDIUM
    needs: tuple[str, ...] = ()
    knobs: tuple[Knob, ...] = (
        Knob("size", Kind.ENUM, msg("Size"), msg("A test chooses it."), "a test", choices=SIZES),
    )

    def applies(self, facts: Facts) -> Applicability:
        """Everywhere."""
        return Applicability(True, msg("it can be had"), (self._user(facts),))

    def _user(self, facts: Facts) -> str:
        return ROUTED if facts.stack.service(ROUTED) else facts.stack.services[0].name

    def findings(self, facts: Facts) -> Iterable[Finding]:
        """None."""
        return ()

    def demand(self, facts: Facts, choices: Choices) -> tuple[Demand, ...]:
        """No memory."""
        return ()

    def advise(self, facts: Facts, choices: Choices, grants: Mapping[str, Grant]) -> tuple[Advice, ...]:
        """What was chosen."""
        value = choices.value(self.id, self._user(facts), "size") or "16mb"
        why = msg("A test chooses it.")
        return (Advice("size", self._user(facts), value, None, "16mb", "", why, "a test", True),)

    def effort(self, facts: Facts, advice: tuple[Advice, ...]) -> Effort:
        """Half a day."""
        return Effort(0.5, 0.5)

    def fragment(self, facts: Facts, advice: tuple[Advice, ...]) -> Fragment:
        """The service whole, its files, and the app's way to it."""
        files = FileSet(
            "relay",
            {
                "redis.conf": MountedFile.of(f"maxmemory {advice[0].value}\nsave ''\n"),
                "private/users.txt": MountedFile.of(f"{WORD}\n", secret=True, owner=USER),
            },
        )
        user = self._user(facts)
        services = {"relay": self._definition(files.directory(facts.stack.base)), **self._route(user)}
        return Fragment(self.id, services, {user: {"size": str(advice[0].value)}}, (files,), {"relay": (user,)})

    def _definition(self, source: str) -> Mapping[str, object]:
        password = "${REDIS_PASSWORD:-none}"
        return {
            "image": IMAGE,
            "command": ["redis-server", "/etc/relay/redis.conf", "--requirepass", password],
            "environment": {"REDISCLI_AUTH": password},
            "healthcheck": {"test": ["CMD-SHELL", "redis-cli ping | grep -q PONG"], "interval": "300ms", "retries": 60},
            "restart": "unless-stopped",
            "tmpfs": ["/data"],
            "volumes": [{"type": "bind", "source": source, "target": "/etc/relay", "read_only": True}],
        }

    def _route(self, user: str) -> dict[str, Mapping[str, object]]:
        needs = {"relay": {"condition": "service_healthy"}}
        return {user: {"environment": {"REDIS_HOST": "relay"}, "depends_on": needs}} if user == ROUTED else {}

    def steps(self, facts: Facts, fragment: Fragment) -> tuple[StepSpec, ...]:
        """Nothing to read back."""
        return ()

    def checks(self, facts: Facts, fragment: Fragment) -> tuple[Assertion, ...]:
        """None of its own."""
        return ()


OPTIMIZATION = Relay()
