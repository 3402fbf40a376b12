"""The engine's images as steps use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.errors import NftuiError
from nftui.model.images import StoredImage
from nftui.model.message import Message, msg
from nftui.probes.stored import stored_of
from nftui.system.docker import DockerEngine, EngineError

if TYPE_CHECKING:
    from nftui.engine.wiring import Wiring

_PULL_S = 6 * 3600.0
_IN_USE = 409
_SAME = {"x86_64": "amd64", "aarch64": "arm64"}
"""The kernel's words for what images call otherwise."""


class EngineImages:
    """See steps.kind.ImageCalls."""

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring

    @property
    def _port(self) -> DockerEngine:
        if self.wiring.engine is None:
            raise NftuiError(Message("The Docker engine does not answer; nothing was changed."))
        return self.wiring.engine

    def find(self, reference: str) -> StoredImage | None:
        """What that name or id means now."""
        try:
            return stored_of(self._port.image(reference))
        except EngineError as error:
            if error.status == 404:
                return None
            raise

    def _docker(self, *words: str) -> None:
        argv = ["docker", *self.wiring.endpoint.arguments, *words]
        done = self.wiring.commands.run(argv, timeout=_PULL_S, changes=True)
        if not done.ok:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            raise NftuiError(
                msg("{why}", why=lines[-1] if lines else f"docker {words[0]} ended with {done.returncode}")
            )

    def pull(self, reference: str) -> None:
        """By the Docker CLI: it knows the operator's logins."""
        self._docker("pull", "--quiet", reference)

    def tag(self, image_id: str, name: str) -> None:
        """One more name of it."""
        self._docker("tag", image_id, name)

    def untag(self, name: str) -> None:
        """What something still runs keeps its name."""
        try:
            self._port.remove_image(name)
        except EngineError as error:
            if error.status not in (404, _IN_USE):
                raise

    def architecture(self) -> str:
        """Of the engine's machine, as images say it."""
        facts = self._port.facts()
        return _SAME.get(facts.architecture, facts.architecture)
