"""What running Qdrant and Ollama servers say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from nftui.model.dataclass import dataclass
from nftui.model.qdrant import IndexConfig
from nftui.model.shards import Cluster, Replica


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
    optimizes: bool = True
    """False where no thread may optimize it: nothing of it is ever built anew."""

    @property
    def vector_bytes(self) -> int | None:
        """Bytes of the largest of its vectors as stored: what Qdrant compares with its thresholds."""
        if self.points is None or self.dimensions is None:
            return None
        each = max((v.raw_bytes for v in self.index.vectors), default=self.dimensions * 4.0)
        return int(self.points * each)


@dataclass(frozen=True, slots=True)
class QdrantFacts:
    """One Qdrant server's live facts."""

    version: str | None
    collections: tuple[Collection, ...] = ()
    open: bool = False
    """True where it answers without a key."""
    cluster: Cluster | None = None
    """None where it is in no cluster mode, or its key may not ask for it."""

    @property
    def peers(self) -> int:
        """Nodes of the cluster that it belongs to, itself included; 0 where it is in no cluster mode."""
        return max(1, len(self.cluster.peers)) if self.cluster else 0


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a model's file says of its shape (/api/show, model_info): enough to tell its key and value cache."""

    name: str
    kv_heads: tuple[int, ...]
    """One entry a layer; 0 for a layer without a cache that grows."""
    key_length: int
    value_length: int
    trained_context: int
    """Tokens that it was made for: a larger context is cut to it."""
    window: int | None = None
    """Tokens that its sliding-window layers look back, None where all layers see everything."""


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

    @property
    def embeds(self) -> bool:
        """True where it only makes embeddings: such a model refuses /api/generate."""
        if self.capabilities:
            return "embedding" in self.capabilities and "completion" not in self.capabilities
        return "bert" in (self.architecture.name if self.architecture else self.family)


@dataclass(frozen=True, slots=True)
class OllamaFacts:
    """One Ollama server's live facts."""

    version: str | None
    stored: tuple[Model, ...] = ()
    loaded: tuple[Model, ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)
    """OLLAMA_* and LLAMA_ARG_* variables that the running server was started with."""
