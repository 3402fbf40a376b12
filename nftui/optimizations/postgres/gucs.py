"""PostgreSQL's own settings: kinds, units, stock values per version, and the one form that SHOW prints."""

from __future__ import annotations

import re
from enum import StrEnum

from nftui.model.dataclass import dataclass
from nftui.model.units import GIB, KIB, MIB, TIB, format_size

OLDEST, NEWEST = 12, 18
"""Major versions whose settings these rules know."""

IO_METHOD_SINCE = 18
"""The version that brought asynchronous reads."""

TOLERANCE = 0.05
"""Numeric differences up to this share are noise and are not written (timescaledb-tune's fudge factor)."""


class Form(StrEnum):
    """How a setting is written and compared."""

    SIZE = "size"
    INTEGER = "integer"
    REAL = "real"
    BOOLEAN = "boolean"
    WORD = "word"


@dataclass(frozen=True, slots=True)
class Guc:
    """A setting of the server; `base` is the bytes that a bare number counts in (pg_settings.unit)."""

    form: Form
    stock: str
    base: int = 1


_BLOCK = 8 * KIB
GUCS: dict[str, Guc] = {
    "shared_buffers": Guc(Form.SIZE, "128MB", _BLOCK),
    "effective_cache_size": Guc(Form.SIZE, "4GB", _BLOCK),
    "work_mem": Guc(Form.SIZE, "4MB", KIB),
    "maintenance_work_mem": Guc(Form.SIZE, "64MB", KIB),
    "checkpoint_completion_target": Guc(Form.REAL, "0.9"),
    "wal_buffers": Guc(Form.SIZE, "4MB", _BLOCK),
    "random_page_cost": Guc(Form.REAL, "4"),
    "max_connections": Guc(Form.INTEGER, "100"),
    "max_wal_size": Guc(Form.SIZE, "1GB", MIB),
    "min_wal_size": Guc(Form.SIZE, "80MB", MIB),
    "max_worker_processes": Guc(Form.INTEGER, "8"),
    "max_parallel_workers": Guc(Form.INTEGER, "8"),
    "max_parallel_workers_per_gather": Guc(Form.INTEGER, "2"),
    "max_parallel_maintenance_workers": Guc(Form.INTEGER, "2"),
    "effective_io_concurrency": Guc(Form.INTEGER, "16"),
    "huge_pages": Guc(Form.WORD, "try"),
    "jit": Guc(Form.BOOLEAN, "on"),
    "wal_compression": Guc(Form.WORD, "off"),
    "default_statistics_target": Guc(Form.INTEGER, "100"),
    "io_method": Guc(Form.WORD, "worker"),
}
"""The settings that are advised; the stock value is the boot value, or initdb's line where it writes one
(shared_buffers, max_connections, max_wal_size, min_wal_size)."""

_STOCK_BEFORE = {"checkpoint_completion_target": (14, "0.5"), "effective_io_concurrency": (18, "1")}
"""Name to the version that brought the present boot value, and the one before it."""

_TRUE, _FALSE = {"on", "true", "yes", "1", "t", "y"}, {"off", "false", "no", "0", "f", "n"}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")
_UNITS = {"b": 1, "kb": KIB, "mb": MIB, "gb": GIB, "tb": TIB}


def stock(name: str, major: int) -> str:
    """What a server of that version has when nobody sets it."""
    since, before = _STOCK_BEFORE.get(name, (0, ""))
    return GUCS[name].stock if major >= since else before


def hash_multiplier_stock(major: int) -> float:
    """hash_mem_multiplier: 2.0 from 15; 1.0 in 13 and 14; 12 has none, its hashes keep to work_mem."""
    return 2.0 if major >= 15 else 1.0


def show(name: str, text: str, major: int) -> str:
    """The form that SHOW prints of `text`, which a file, a flag or an operator wrote; unreadable text as it is."""
    guc, plain = GUCS[name], text.strip().strip("'").strip()
    if name == "wal_compression":
        return _wal_compression(plain.lower(), major)
    if guc.form is Form.SIZE:
        number = size(name, plain)
        return plain if number is None else format_size(number) if number >= 0 else "-1"
    if guc.form is Form.BOOLEAN or (guc.form is Form.WORD and plain.lower() in _TRUE | _FALSE):
        return "on" if plain.lower() in _TRUE else "off" if plain.lower() in _FALSE else plain
    if guc.form is Form.WORD:
        return plain.lower()
    return _number_text(plain)


def _wal_compression(plain: str, major: int) -> str:
    """From 15 on it is an enum in which "on" is an alias: the server prints pglz."""
    if plain in _FALSE:
        return "off"
    if plain in _TRUE:
        return "pglz" if major >= 15 else "on"
    return plain


def _number_text(plain: str) -> str:
    try:
        return f"{float(plain):g}" if "." in plain or "e" in plain.lower() else str(int(plain))
    except ValueError:
        return plain


def size(name: str, text: str) -> int | None:
    """Bytes of a size as the server reads it (a bare number counts in the setting's unit); -1 stays -1."""
    if text.strip() == "-1":
        return -1
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    factor = _UNITS.get(match[2].lower()) if match[2] else GUCS[name].base
    return None if factor is None else int(float(match[1]) * factor)


def number(name: str, text: str | None) -> float | None:
    """The value as a number (bytes for sizes), None where it is none."""
    if text is None or GUCS[name].form in (Form.BOOLEAN, Form.WORD):
        return None
    if GUCS[name].form is Form.SIZE:
        return size(name, text)
    try:
        return float(text)
    except ValueError:
        return None


def near(name: str, one: str, other: str) -> bool:
    """True where both are the same, or numbers within the tolerance of `one`."""
    if one == other:
        return True
    a, b = number(name, one), number(name, other)
    return a is not None and b is not None and abs(a - b) <= TOLERANCE * abs(a)
