"""What a step kind is, and the ports it acts through. Kinds are looked up by name and version."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from nftui.model.ai import Architecture, Model
from nftui.model.artefact import Artefact
from nftui.model.dataclass import dataclass
from nftui.model.errors import NftuiError, UsageError
from nftui.model.facts import Live
from nftui.model.images import StoredImage
from nftui.model.message import Message, msg
from nftui.model.plan import StepSpec
from nftui.model.stack import Container
from nftui.system.blobs import BlobStore
from nftui.system.files import Attributes
from nftui.system.helpers import HelperCalls
from nftui.system.trees import Progress, TreeFacts

if TYPE_CHECKING:
    from nftui.clients.ollama import Answer  # brings an HTTP client, and a plan needs none

Data = Mapping[str, object]


class Found(StrEnum):
    """What a kind finds at its target, compared with the intent."""

    BEFORE = "before"
    AFTER = "after"
    PARTIAL = "partial"
    FOREIGN = "foreign"


class StepFailed(NftuiError):
    """A step did not come to what it promised; the run goes back."""


class ForeignState(NftuiError):
    """The target is neither as before nor as after: somebody else changed it; nothing was overwritten."""


class ComposeCalls(Protocol):
    """Compose, bound to the project; `override` says whether nftui's file takes part if it is there."""

    def config_hashes(self, *, override: bool = True) -> Mapping[str, str]: ...
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
    def copy(self, source: str, target: str, rename: Callable[[str], str], progress: Progress) -> None: ...
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
    def show(self, name: str) -> tuple[Architecture | None, Sequence[str]]:
        """Shape and capabilities; loads nothing."""
        ...

    def load(self, model: Model, keep_alive: int | str, options: Mapping[str, int], timeout: float) -> float:
        """Bring it into memory, or set anew how long it stays; the seconds that the server took to load it."""
        ...

    def unload(self, model: Model, timeout: float) -> None: ...
    def ask(self, name: str, prompt: str, tokens: int, options: Mapping[str, int], timeout: float) -> Answer: ...


def no_models(service: str) -> ModelCalls:
    """Where nothing was wired."""
    raise StepFailed(msg("{service}: this run has no way to its models.", service=service))


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


def _no_keys(service: str) -> KeyCalls:
    raise NftuiError(Message("{service} cannot be reached for its keys.", {"service": service}))


def _no_store(service: str) -> StoreCalls:
    raise NftuiError(Message("{service} cannot be asked for its keys.", {"service": service}))


def _no_api(service: str) -> ApiCalls:
    raise NftuiError(Message("{service} has no HTTP API that nftui knows.", {"service": service}))


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


def _none(*_: object, **__: object) -> Any:
    raise NftuiError(Message("This run has no way to the engine.", {}))


class _NoPort:
    """Where nothing was wired: each call says so."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return _none


@dataclass(slots=True)
class Context:
    """Everything a kind may use; injected, so that tests enumerate crash points without an engine."""

    compose: ComposeCalls
    engine: EngineCalls
    files: FileCalls
    blobs: BlobStore
    artefacts: ArtefactCalls
    trees: TreeCalls
    probe: Callable[[str, str], Live]
    """(service, probe) → live facts, read now."""
    serving: Callable[[str], str | None]
    """The role's own check (real query, real ping): None when it serves, else the reason."""
    quiet: Callable[[str], Sequence[Message]]
    """Why now is no moment to stop that service."""
    clients: Callable[[str], Sequence[str]]
    """Services of the project that hold connections to that one now."""
    before_stop: Callable[[str], None]
    """What eases the stop (a CHECKPOINT); never fails the step."""
    progress: Callable[[str, float | None], None]
    sleep: Callable[[float], None]
    """Every wait of a step goes through it: the run listens to its operator meanwhile."""
    now: Callable[[], float]
    """Monotonic seconds."""
    run: str = ""
    """The run's id: what artefacts and labelled helpers are recorded under."""
    issued: Callable[[str], None] = lambda work: None
    """Told by a kind once the outside has accepted the work and goes on by itself: from then on resume waits for it
    and does not ask again."""
    note: Callable[[str], None] = lambda text: None
    """Told by a kind what the operator must know of a step that succeeded; it stands in the run's notes."""
    oom_kills: Callable[[Container], int | None] = lambda container: None
    """Processes of that container that the kernel killed for lack of memory since it was started; None: unknown."""
    recall: Callable[[str], Data] = lambda step: {}
    """What an earlier step of this run found and read back: its intent and its verified line."""
    models: Callable[[str], ModelCalls] = no_models
    """The models of that service; raises NftuiError where it does not answer."""
    api: Callable[[str], ApiCalls] = _no_api
    """The HTTP API of a service as it runs now."""
    store: Callable[[str], StoreCalls] = _no_store
    """A session on that service's keys, to be closed; raises NftuiError where it does not answer."""
    keys: Callable[[str], KeyCalls] = _no_keys
    """A binary session on that service's keys, to be closed; raises NftuiError where there is no way to it."""
    images: ImageCalls = cast("ImageCalls", _NoPort())
    helpers: HelperCalls = cast("HelperCalls", _NoPort())
    """Containers in which steps work: none without a run."""
    kept: str = ""
    """The directory of the state directory in which steps put large files that they keep; recorded as artefacts."""
    force: bool = False
    wait_quiet_s: float = 60.0
    settle_s: float = 10.0
    clients_s: float = 20.0
    """How long clients that were connected may take to come back before they are restarted."""


class StepKind(Protocol):
    """Behaviour of one kind; `do` and `undo` are idempotent from before, after and partial."""

    name: str
    version: int
    reads_files: bool
    """True: it re-reads the files on disk, so its undo comes after theirs, in forward order."""

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """What undo needs; written to the journal before `do`."""
        ...

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found: ...
    def do(self, step: StepSpec, before: Data, ctx: Context) -> None: ...
    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Wait, read back and compare; raises StepFailed. Returns what was read."""
        ...

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Restore and prove it by reading back; raises NftuiError where it could not."""
        ...


@runtime_checkable
class HasUndoRank(Protocol):
    """A kind that is taken back before (-1) or after (1) the others that re-read the files."""

    undo_rank: int


@runtime_checkable
class ReadsBack(Protocol):
    """A kind whose undo proves what its service runs: due wherever the service was touched, begun or not.

    Its `read` takes all from the plan.
    """

    reads_back: bool


@runtime_checkable
class KeepsBlobs(Protocol):
    """A kind whose way back reads blobs says which: they are proven before anything is undone."""

    def blobs(self, step: StepSpec, before: Data) -> tuple[str, ...]:
        """Their digests."""
        ...


@runtime_checkable
class RestoresFile(Protocol):
    """A kind that puts a file back: what it would leave can be told beforehand."""

    def restored(self, step: StepSpec, before: Data, now: bytes | None, blobs: BlobStore) -> bytes | None:
        """What undo leaves of the content `now`; None for no file. Raises NftuiError where a blob is not whole."""
        ...


@runtime_checkable
class Leaves(Protocol):
    """A kind that, cut off, leaves something of its own in its service's container, which its undo removes."""

    def left(self, step: StepSpec, before: Data, ctx: Context) -> Collection[str]:
        """Names of files there: their loss is none. Raises NftuiError, OSError."""
        ...


class Kinds(Mapping[tuple[str, int], StepKind]):
    """Registered kinds by (name, version)."""

    def __init__(self, kinds: Sequence[StepKind]) -> None:
        self._kinds = {(kind.name, kind.version): kind for kind in kinds}

    def __getitem__(self, key: tuple[str, int]) -> StepKind:
        return self._kinds[key]

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def of(self, step: StepSpec) -> StepKind:
        """The kind of that step; an unknown one is an error that touches nothing."""
        try:
            return self[(step.kind, step.kind_version)]
        except KeyError:
            raise UsageError(
                Message(
                    "This nftui does not know steps of kind {kind} version {version}; use the one that wrote them. "
                    "Nothing was touched.",
                    {"kind": step.kind, "version": step.kind_version},
                )
            ) from None
