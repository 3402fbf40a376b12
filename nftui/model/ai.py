"""What running Qdrant and Ollama servers say of themselves."""

from __future__ import annotations

from dataclasses import dataclass


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

    @property
    def vector_bytes(self) -> int | None:
        """Bytes of the raw vectors, as float32."""
        if self.points is None or self.dimensions is None:
            return None
        return self.points * self.dimensions * 4


@dataclass(frozen=True, slots=True)
class QdrantFacts:
    """One Qdrant server's live facts."""

    version: str | None
    collections: tuple[Collection, ...] = ()
    open: bool = False
    """True where it answers without a key."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that Ollama stores or holds loaded; bytes."""

    name: str
    size: int
    vram: int = 0
    expires_at: str | None = None


@dataclass(frozen=True, slots=True)
class OllamaFacts:
    """One Ollama server's live facts."""

    version: str | None
    stored: tuple[Model, ...] = ()
    loaded: tuple[Model, ...] = ()
