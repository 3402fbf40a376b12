"""What a step kind is, and the ports it acts through. Kinds are looked up by name and version."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from nftui.model.dataclass import dataclass
from nftui.model.errors import NftuiError, UsageError
from nftui.model.message import Message, msg

if TYPE_CHECKING:
    from nftui.model.facts import Live
    from nftui.model.plan import StepSpec
    from nftui.model.stack import Container
    from nftui.steps.calls import (
        ApiCalls,
        ArtefactCalls,
        ComposeCalls,
        Data,
        EngineCalls,
        FileCalls,
        ImageCalls,
        KeyCalls,
        ModelCalls,
        StoreCalls,
        TreeCalls,
    )
    from nftui.system.blobs import BlobStore
    from nftui.system.helpers import HelperCalls


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


def no_models(service: str) -> ModelCalls:
    """Where nothing was wired."""
    raise StepFailed(msg("{service}: this run has no way to its models.", service=service))


def _no_keys(service: str) -> KeyCalls:
    raise NftuiError(Message("{service} cannot be reached for its keys.", {"service": service}))


def _no_store(service: str) -> StoreCalls:
    raise NftuiError(Message("{service} cannot be asked for its keys.", {"service": service}))


def _no_store_in(service: str, helper: str) -> StoreCalls:
    return _no_store(service)


def _no_api(service: str) -> ApiCalls:
    raise NftuiError(Message("{service} has no HTTP API that nftui knows.", {"service": service}))


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
    content: Callable[[Container, str], str | None] = lambda container, path: None
    """Text of a file of that container (a secret, without the newlines at its end); None where it cannot be read."""
    recall: Callable[[str], Data] = lambda step: {}
    """What an earlier step of this run found and read back: its intent and its verified line."""
    models: Callable[[str], ModelCalls] = no_models
    """The models of that service; raises NftuiError where it does not answer."""
    api: Callable[[str], ApiCalls] = _no_api
    """The HTTP API of a service as it runs now."""
    store: Callable[[str], StoreCalls] = _no_store
    """A session on that service's keys, to be closed; raises NftuiError where it does not answer."""
    store_in: Callable[[str, str], StoreCalls] = _no_store_in
    """A session on the keys of a server that runs in a helper as (service, helper): logged in as with the service."""
    api_in: Callable[[str, str, int], ApiCalls] = lambda service, helper, port: _no_api(service)
    """The HTTP API of a server that runs in a helper as (service, helper, port): plain, with the service's key."""
    free_memory: Callable[[], int | None] = lambda: None
    """Bytes of this machine that can be had now without swapping; None: unknown."""
    memory_used: Callable[[Container], int | None] = lambda container: None
    """Bytes of the container's working set now; None: unknown."""
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
