"""What running Qdrant and Ollama servers say of themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field

from nftui.model.dataclass import dataclass
from nftui.model.qdrant import IndexConfig
from nftui.model.shards import Cluster, Replica


def default_threshold_kb(version: str | None) -> int:
    """Of vectors in a segment that gets an index where a collection does not say: half as many since 1.15
    (optimizers_builder.rs). Where the version is not known, the larger one.
    """
    numbers = [int(part) for part in (version or "").split(".")[:2] if part.isdigit()]
    return 10_000 if numbers >= [1, 15] else 20_000


@dataclass(frozen=True, slots=True)
class Collection:
    """A Qdrant collection; numbers None where the answer lacks them."""

    name: str
    status: str
    points: int | None = None
    indexed_vectors: int | None = None
    segments: int | None = None
    dimensions: int | None = None
    """The largest vector's size."""
    m: int | None = None
    ef_construct: int | None = None
    indexing_threshold_kb: int | None = None
    """0: no index is ever built."""
    quantized: bool = False
    on_disk: bool = False
    index: IndexConfig = field(default_factory=IndexConfig)
    shards: int = 1
    copies: int = 1
    """Replicas that each shard shall have (replication_factor)."""
    replicas: tuple[Replica, ...] = ()
    """Where they are, in a cluster; () where it was not told."""
    transfers: int = 0
    """Shards that are on their way from one node to another."""
    aliases: tuple[str, ...] = ()
    """Other names by which apps reach it."""
    optimizer: str = "ok"
    """"ok", or the error that stopped it."""
    unmeasurable: str | None = None
    """The strict mode's rule that forbids measuring its recall; None where nothing does."""
    fields: tuple[str, ...] = ()
    """Payload fields whose index is in memory."""
    optimizes: bool = True
    """False where no thread may optimize it: nothing of it is ever built anew."""

    @property
    def vector_bytes(self) -> int | None:
        """Bytes of the largest of its vectors as stored: what Qdrant compares with its thresholds."""
        if self.points is None or self.dimensions is None:
            return None
        each = max((v.raw_bytes for v in self.index.vectors), default=self.dimensions * 4.0)
        return int(self.points * each)

    @property
    def segment_bytes(self) -> int | None:
        """Those bytes in one of its segments, were all alike: each segment is compared by itself."""
        return None if self.vector_bytes is None else self.vector_bytes // max(1, self.segments or 1)

    @property
    def threshold_bytes(self) -> int | None:
        """Bytes from which a segment gets an index, and its codes with it; None where none ever does."""
        threshold = default_threshold_kb(None) if self.indexing_threshold_kb is None else self.indexing_threshold_kb
        return threshold * 1024 or None

    @property
    def is_indexed(self) -> bool:
        """Whether a segment of it has an index or is about to get one.

        Where it is at rest and nothing is indexed, every segment is below the threshold (indexing_optimizer.rs). With
        m=0 there is no graph to count, but the codes are there. Sparse vectors count as indexed always, so beside them
        the size decides.
        """
        if self.threshold_bytes is None:
            return False
        if self.indexed_vectors and not self.index.has_sparse:
            return True
        if self.indexed_vectors == 0 and self.status == "green" and self.optimizer == "ok" and self.m != 0:
            return False
        return (self.segment_bytes or 0) >= self.threshold_bytes


@dataclass(frozen=True, slots=True)
class QdrantFacts:
    """One Qdrant server's live facts."""

    version: str | None
    collections: tuple[Collection, ...] = ()
    open: bool = False
    """True where it answers without a key."""
    cluster: Cluster | None = None
    """None where it is in no cluster mode, or its key may not ask for it."""
    configured: Mapping[str, str] = field(default_factory=dict)
    """What its mounted configurations say of that which advice asks for, by the environment's names."""

    @property
    def peers(self) -> int:
        """Nodes of the cluster that it belongs to, itself included; 0 where it is in no cluster mode."""
        return max(1, len(self.cluster.peers)) if self.cluster else 0


@dataclass(frozen=True, slots=True)
class Vision:
    """The image encoder of a model (/api/show, model_info, A.vision.*)."""

    patch: int
    """Pixels of a patch's side."""
    heads: int
    width: int
    """Numbers that stand for a patch."""
    image: int = 0
    """Pixels of an image's side, 0 where the file does not fix it."""
    channels: int = 0
    tiles: int = 1
    pixels: int = 0
    """Of the largest image, 0 where the file does not say."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a model's file says of its shape (/api/show, model_info): enough to tell its caches and buffers."""

    name: str
    kv_heads: tuple[int, ...]
    """One entry a layer; 0 for a layer without a cache that grows."""
    key_length: int
    value_length: int
    trained_context: int
    """Tokens that it was made for: a larger context is cut to it."""
    window: int | None = None
    """Tokens that its sliding-window layers look back, None where the file names none."""
    width: int = 0
    """Numbers that stand for a token."""
    vocabulary: int = 0
    """Tokens that it knows, 0 where it is not told."""
    vision: Vision | None = None
    pooled: bool = False
    """It makes one vector of a whole text: such a model only embeds."""
    heads: int = 0
    """Of the queries, in the layer that has the most; 0 where it is not told."""
    state: int = 0
    """Bytes that a layer without a cache that grows keeps for each slot."""
    near: tuple[bool, ...] = ()
    """For each layer whether it looks back by the window only; () where the file leaves that to its architecture."""
    near_length: int = 0
    """Numbers of a token's key and value in those layers, 0 where as in the others."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that Ollama stores or holds loaded; bytes."""

    name: str
    size: int
    """On disk where it is stored, in memory (of both kinds) where it is loaded."""
    vram: int = 0
    expires_at: str | None = None
    digest: str = ""
    capabilities: tuple[str, ...] = ()
    """completion, embedding, vision, …; () where the server is too old to say."""
    architecture: Architecture | None = None
    context: int | None = None
    """Tokens of context that it was loaded with; None where it is not loaded, or the server does not say."""
    family: str = ""
    """What its details call it; before 0.1.45 there is nothing else to know it by."""
    blob: str = ""
    """The file of its weights ("sha256-…"); "" where the server does not tell."""
    own_context: int | None = None
    """num_ctx of its own parameters: it beats the server's setting, and a request beats it."""
    least_context: int = 0
    """The server raises a smaller context to this."""

    @property
    def file(self) -> str:
        """What tells models apart in memory: a server keeps one for each file of weights, however many names it has
        (server/sched.go, Model.ModelPath)."""
        return self.blob or self.digest or self.name

    @property
    def answers(self) -> bool:
        """False where it says what it can and that is neither text nor embeddings (a model that draws images)."""
        return not self.capabilities or bool({"completion", "embedding"} & set(self.capabilities))

    @property
    def embeds(self) -> bool:
        """True where it only makes embeddings: such a model refuses /api/generate."""
        if self.capabilities:
            return "embedding" in self.capabilities and "completion" not in self.capabilities
        shape = self.architecture
        return "bert" in self.family if shape is None else shape.pooled or "bert" in shape.name


@dataclass(frozen=True, slots=True)
class OllamaFacts:
    """One Ollama server's live facts."""

    version: str | None
    stored: tuple[Model, ...] = ()
    loaded: tuple[Model, ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)
    """OLLAMA_* and LLAMA_ARG_* variables that the running server was started with."""
    has_bash: bool | None = None
    """Whether its container has bash; None where that was not asked, or could not be."""

    def held(self, name: str) -> Model | None:
        """What is in memory of that model's file: /api/ps tells it by the name that it was loaded by."""
        mine = next((m.file for m in self.stored if m.name == name), None)
        found = (m for m in self.loaded if m.name == name or (mine and _file_of(m, self.stored) == mine))
        return next(found, None)


def _file_of(loaded: Model, stored: Iterable[Model]) -> str:
    """/api/ps tells no file: that of the stored model of the same name or, where that was renamed, digest."""
    known = list(stored)
    same = [m for m in known if m.name == loaded.name] or [m for m in known if m.digest and m.digest == loaded.digest]
    return (same[0] if same else loaded).file


LONG_FAMILIES = ("gptoss", "gpt-oss", "qwen3vl", "qwen3vlmoe")
LONG_CONTEXT, IMAGES_CONTEXT = 8192, 2048
"""What some servers give those families at least, and models that see images."""


def least_contexts(model: Model) -> tuple[int, ...]:
    """Contexts to which some server raises a smaller one for that model (server/routes.go, server/sched.go)."""
    long = (LONG_CONTEXT,) if model.family in LONG_FAMILIES else ()
    return (*long, IMAGES_CONTEXT) if "vision" in model.capabilities else long
