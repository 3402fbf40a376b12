"""PostgreSQL setting values, compared the way the server reads them (guc.c), not as text."""

from __future__ import annotations

import math
import re

from nftui.model.patterns import regex

_MEMORY = {"B": 1.0, "kB": 1024.0, "MB": 1024.0**2, "GB": 1024.0**3, "TB": 1024.0**4}
_TIME = {"us": 1e-3, "ms": 1.0, "s": 1e3, "min": 6e4, "h": 3.6e6, "d": 8.64e7}
_NUMBER = regex(r"\s*([+-]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+))\s*([A-Za-z]*)\s*")
_UNIT = regex(r"(\d*)([A-Za-z]+)")

# Spellings of enum values that the server accepts but prints otherwise. Source: guc_tables.c, xlog.c.
_BOOLEAN_ENUM = {"true": "on", "yes": "on", "1": "on", "false": "off", "no": "off", "0": "off"}
_ALIASES = {
    ("wal_compression", "on"): "pglz",
    ("wal_level", "archive"): "replica",
    ("wal_level", "hot_standby"): "replica",
    ("client_min_messages", "debug"): "debug2",
    ("log_min_messages", "debug"): "debug2",
    ("log_min_error_statement", "debug"): "debug2",
}
# Asked for as "choose yourself", shown as what was chosen.
_AUTOMATIC = {
    "wal_buffers": -1, "commit_timestamp_buffers": 0, "subtransaction_buffers": 0, "transaction_buffers": 0,
}  # fmt: skip
_LISTS = frozenset({
    "shared_preload_libraries", "session_preload_libraries", "local_preload_libraries", "search_path",
    "log_destination", "listen_addresses", "temp_tablespaces", "unix_socket_directories", "datestyle",
    "wal_consistency_checking", "synchronous_standby_names", "debug_io_direct", "synchronized_standby_slots",
})  # fmt: skip

Canonical = bool | int | float | str | tuple[str, ...]


def canonical(name: str, text: str, vartype: str, unit: str | None) -> Canonical:
    """The value that the server would make of `text`: integers and reals in pg_settings' base unit.

    Raises ValueError for what the server would refuse as well.
    """
    if vartype == "bool":
        return parse_bool(text)
    if vartype == "integer":
        return _integer(text, unit)
    if vartype == "real":
        return parse_number(text, unit)
    if vartype == "enum":
        word = text.strip().lower()
        word = _ALIASES.get((name, word), word)
        return _ALIASES.get((name, _BOOLEAN_ENUM.get(word, word)), _BOOLEAN_ENUM.get(word, word))
    return _list(text) if name.lower() in _LISTS else text


def same(name: str, expected: str, setting: str, vartype: str, unit: str | None) -> bool:
    """Whether pg_settings' `setting` (base units) is what `expected` asks for (SHOW form, any unit)."""
    try:
        wanted = canonical(name, expected, vartype, unit)
        actual = canonical(name, setting, vartype, unit)
    except ValueError:
        return False
    if _AUTOMATIC.get(name) == wanted and vartype == "integer":
        return True
    if vartype == "real":
        # pg_settings prints six digits.
        return math.isclose(float(wanted), float(actual), rel_tol=1e-5, abs_tol=1e-9)  # type: ignore[arg-type]
    return wanted == actual


def parse_bool(text: str) -> bool:
    """As the server: on, off, true, false, yes, no, 1, 0 or an unambiguous beginning. Raises ValueError."""
    word = text.strip().lower()
    hits = {value for full, value in _BOOLEANS if word and full.startswith(word) and (word != "o")}
    if len(hits) != 1:
        raise ValueError(f"{text!r} is no boolean")
    return hits.pop()


_BOOLEANS = (("on", True), ("true", True), ("yes", True), ("1", True),
             ("off", False), ("false", False), ("no", False), ("0", False))  # fmt: skip


def parse_number(text: str, unit: str | None) -> float:
    """`text` in `unit` ("8kB", "ms", None), a number without a unit is in `unit` already. Raises ValueError."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no number")
    number = _c_number(match[1])
    if not match[2]:
        return number
    size, table = _base(unit)
    if match[2] not in table:
        raise ValueError(f"{match[2]!r} is no unit here")
    value = number * table[match[2]] / size
    return value if number.is_integer() else _to_next_smaller(value, match[2], size, table)


def _integer(text: str, unit: str | None) -> int:
    return round(parse_number(text, unit))  # both this and rint() round halves to even


def _c_number(text: str) -> float:
    """strtol with base 0: 0x is hexadecimal, a leading 0 octal (file modes are shown so)."""
    digits = text.lstrip("+-")
    sign = -1.0 if text.startswith("-") else 1.0
    if digits.lower().startswith("0x"):
        return sign * int(digits, 16)
    if re.fullmatch(r"0[0-7]+", digits):
        return sign * int(digits, 8)
    return sign * float(digits)


def _base(unit: str | None) -> tuple[float, dict[str, float]]:
    """Size of pg_settings' unit and the table it belongs to; "8kB" and "16MB" are units too."""
    match = _UNIT.fullmatch(unit or "")
    for table in (_MEMORY, _TIME):
        if match and match[2] in table:
            return int(match[1] or 1) * table[match[2]], table
    raise ValueError("this setting takes no unit")


def _to_next_smaller(value: float, given: str, size: float, table: dict[str, float]) -> float:
    """ "30.1GB" is rounded to whole MB, not to whole kB (convert_to_base_unit, since PostgreSQL 12)."""
    smaller = [factor for factor in table.values() if factor < table[given]]
    step = max(smaller) / size if smaller else 0.0
    return round(value / step) * step if step else value


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip().strip('"').strip() for part in text.split(",") if part.strip())
