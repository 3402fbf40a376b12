"""The ports that steps act through: Compose, the engine, files, data, services. Injected, so that tests fake them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from nftui.clients.ollama import Answer, Shown
    from nftui.model.ai import Model
    from nftui.model.artefact import Artefact
    from nftui.model.images import StoredImage
    from nftui.model.stack import Container
    from nftui.system.files import Attributes
    from nftui.system.trees import Progress, TreeFacts

Data = Mapping[str, object]


class ComposeCalls(Protocol):
    """Compose, bound to the project; `override` says whether nftui's file takes part if it is there."""

    def config_hashes(self, *, override: bool = True) -> Mapping[str, str]: ...
    def image(self, service: str) -> str | None:
        """The name of its image by the files on disk; None where they give none, and Compose makes one up."""
        ...

    def dry_run(self) -> Mapping[str, str]: ...
    def up(self, service: str, *, scale: int, grace_s: int, force: bool = False) -> None: ...


class EngineCalls(Protocol):
    """The engine, as far as steps need it."""

    def containers(self) -> Sequence[Container]:
        """All containers of the project, one-off ones left out."""
        ...

    def logs(self, container_id: str, lines: int) -> str: ...
    def restart(self, container_id: str, grace_s: int) -> None: ...
    def stop(self, container_id: str, grace_s: int) -> None: ...
    def end_server(self, container_id: str, grace_s: int) -> None:
        """Have a server that is not process 1 of its container end by itself; back at the latest after that grace."""
        ...

    def remove(self, container_id: str, grace_s: int) -> None:
        """Stop it, then remove it with its nameless volumes; one that is gone already is fine."""
        ...

    def start(self, container_id: str) -> None: ...
    def restart_policy(self, container_id: str) -> Data:
        """As the engine has it: {"Name", "MaximumRetryCount"}."""
        ...

    def set_restart_policy(self, container_id: str, policy: Data) -> None: ...
    def volume(self, name: str) -> str | None:
        """Where the volume's data lies on this machine, None where there is no such volume. Raises NftuiError."""
        ...

    def volumes_root(self) -> str:
        """Below which directory of this machine `create_volume` puts its data."""
        ...

    def create_volume(self, name: str, labels: Mapping[str, str]) -> str:
        """Where its data lies; one that is there already stays as it is."""
        ...

    def remove_volume(self, name: str) -> None: ...
    def network(self, name: str) -> str | None:
        """Its address range (CIDR), None where there is no such network."""
        ...

    def create_network(self, name: str, subnet: str, labels: Mapping[str, str]) -> None: ...
    def remove_network(self, name: str) -> None: ...
    def writing(self, path: str) -> Sequence[str]:
        """Names of running containers, of any project, that have `path` or something below it mounted to write."""
        ...


class TreeCalls(Protocol):
    """Trees of data on this machine; see system/trees.py."""

    def exists(self, path: str) -> bool: ...
    def vacant(self, path: str) -> bool: ...
    def room(self, path: str) -> tuple[int, int]: ...
    def facts(self, path: str) -> TreeFacts: ...
    def mark(self, path: str, note: dict[str, str]) -> None: ...
    def marked(self, path: str) -> dict[str, str] | None: ...
    def unmark(self, path: str) -> None: ...
    def copy(
        self,
        source: str,
        target: str,
        rename: Callable[[str], str],
        progress: Progress,
        skip: Callable[[str], bool] = lambda name: False,
    ) -> None: ...
    def differences(
        self, source: str, target: str, rename: Callable[[str], str], progress: Progress
    ) -> Sequence[str]: ...
    def holds(self, path: str, name: str) -> str: ...
    def rename(self, path: str, old: str, new: str) -> None: ...
    def make_directory(self, path: str, name: str) -> None: ...
    def drop_directory(self, path: str, name: str) -> None: ...
    def make_file(self, path: str, name: str) -> None: ...
    def drop_file(self, path: str, name: str) -> None: ...
    def unwrap(self, path: str, work: str, data: str, relative: str) -> None: ...
    def remove(self, path: str) -> None: ...


class FileCalls(Protocol):
    """Files: atomic and durable."""

    def read(self, path: str) -> bytes | None: ...
    def attributes(self, path: str) -> Attributes | None: ...
    def write(
        self,
        path: str,
        content: bytes,
        *,
        mode: int,
        like: str | None = None,
        attributes: Attributes | None = None,
        owner: tuple[int, int] | None = None,
    ) -> None:
        """With `attributes` exactly those; else an existing file keeps its own, a new one gets `like`'s owner.

        `owner` (user, group) goes before `like` where root asks for it.
        """
        ...

    def delete(self, path: str) -> None: ...
    def tidy(self, path: str) -> None:
        """Remove what a write of it that was cut off left beside it."""
        ...

    def make_directory(self, path: str, *, like: str | None = None) -> None:
        """With what is missing above it, for all to enter, `like`'s owner's."""
        ...

    def remove_directory(self, path: str) -> bool:
        """True where it is gone; one that is not empty stays."""
        ...


class ArtefactCalls(Protocol):
    """The registry of data that nftui makes or keeps; each call is on the disk when it returns (engine.md 5)."""

    def record(self, kind: str, name: str, run: str, step: str, **details: object) -> Artefact:
        """Before it is created. `kind`: volume, directory, file, image; `details` name no secret."""
        ...

    def made(self, name: str, size: int | None, checksum: str | None) -> Artefact: ...
    def drop(self, name: str) -> None: ...
    def list(self, *, gone: bool = False) -> Sequence[Artefact]: ...


class ModelCalls(Protocol):
    """A server of language models that runs now; every call raises NftuiError with one line."""

    def version(self) -> str | None: ...
    def stored(self) -> Sequence[Model]: ...
    def loaded(self) -> Sequence[Model]: ...
    def show(self, name: str) -> Shown:
        """Shape, capabilities and file; loads nothing."""
        ...

    def load(self, model: Model, keep_alive: int | str, options: Mapping[str, int], timeout: float) -> None:
        """Bring it into memory, or set anew how long it stays."""
        ...

    def unload(self, model: Model, timeout: float) -> None: ...
    def ask(
        self, name: str, prompt: str, tokens: int, options: Mapping[str, int], timeout: float,
        keep_alive: int | None = None,
    ) -> Answer:  # fmt: skip
        """A short answer; without `keep_alive` the model stays as long as before."""
        ...

    def embed(
        self, name: str, text: str, options: Mapping[str, int], timeout: float, keep_alive: int | None = None
    ) -> Answer:
        """The same of an embedding."""
        ...


class ApiCalls(Protocol):
    """A service's HTTP API, with the credentials of its own environment. Raises HttpUnreachable."""

    def json(self, path: str) -> Any: ...
    def send(self, method: str, path: str, body: object = None, *, timeout_s: float | None = None) -> Any: ...
    def download(self, path: str, target: str, *, timeout_s: float) -> tuple[int, str]:
        """Into a new file, on the disk when it returns; its bytes and sha256."""
        ...

    def upload(self, path: str, source: str, *, timeout_s: float) -> None: ...


class StoreCalls(Protocol):
    """A session on a store of keys that runs now: Redis and what speaks its protocol. Raises OSError."""

    error: str
    """What the server said the last time that it refused something."""

    def ask(self, *words: str) -> Any:
        """The answer: text, a number or a list; None where it refused or has no value."""
        ...

    def close(self) -> None: ...


class KeyCalls(Protocol):
    """A session on a store of keys that is binary throughout; many questions at once. Raises OSError."""

    def many(self, commands: Sequence[Sequence[bytes]]) -> list[Any]:
        """The answers, in order: bytes, numbers, lists, None; a `Refused` for each that was refused."""
        ...

    def close(self) -> None: ...


class ImageCalls(Protocol):
    """Images of the engine; every call raises NftuiError with one line."""

    def find(self, reference: str) -> StoredImage | None:
        """What that name or id means now, None where it is not on the engine."""
        ...

    def pull(self, reference: str) -> None: ...
    def tag(self, image_id: str, name: str) -> None: ...
    def untag(self, name: str) -> None:
        """The name goes, the image only with its last one, and only where nothing uses it; no such name is fine."""
        ...

    def architecture(self) -> str:
        """The engine's, in the words of images (amd64, arm64)."""
        ...
