"""What goes with a quantization: where its codes lie, and the quantile of int8. Both follow what is chosen before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.model.errors import UsageError
from nftui.model.message import Message, msg
from nftui.optimizations.qdrant.knobs import ID

if TYPE_CHECKING:
    from nftui.optimizations.qdrant.line import Line

_NEW = {
    "always_ram": ("on", msg("Every step of a search reads quantized vectors: they stay in memory.")),
    "quantile": ("0.99", msg("It cuts outliers off, so that the steps of int8 lie closer for all other values.")),
}


def advised_codes(name: str, kind: Line, place: Line, current: str | None) -> tuple[str | None, Message]:
    """(recommendation, why), by what becomes of the quantization and of the place of the originals."""
    absent = _absent(name, kind)
    if absent is not None:
        return None, absent
    if kind.value is not None and kind.value != kind.current:
        return _NEW[name]
    if name == "always_ram" and place.value == "on" and place.current != "on":
        # Codes that were in memory beside their originals would follow them to the disk.
        return _NEW[name]
    return current, msg("As it is: another value builds everything anew.")


def chosen_codes(name: str, kind: Line, own: str | None, for_all: str | None, where: str) -> str | None:
    """The operator's word; one for all passes by what has no such codes. Raises UsageError. `where`: the collection."""
    absent = _absent(name, kind)
    if own is not None and absent is not None:
        raise UsageError(
            msg("{id}.collection.{name}.{knob} = {value} is refused: {why}", id=ID, name=where, knob=name, value=own,
                why=absent)
        )  # fmt: skip
    return for_all if absent is None else None


def _absent(name: str, kind: Line) -> Message | None:
    """Why there is nothing of that name; vectors that differ may have it."""
    if kind.value == "none":
        return msg("Nothing of it is quantized.")
    if name == "quantile" and kind.value not in ("int8", None):
        return msg("Only int8 has a quantile.")
    return None
