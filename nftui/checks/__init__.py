"""Findings that belong to no optimization's folder: one module per subject, each with its `CHECKS`.

A check is a pure function from the facts to findings, true in both directions: it finds what holds, and is silent
where the same pattern is right or where it cannot be known. The folder is scanned; nothing else has to be edited.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from nftui.engine.check import Checker


def load_checks() -> tuple[Checker, ...]:
    """Every check of every module here, in module order."""
    return tuple(c for m in _modules() for c in cast("Sequence[Checker]", getattr(m, "CHECKS", ())))


def load_needs() -> tuple[str, ...]:
    """Names of the live probes whose facts the checks read: the modules' `NEEDS`."""
    return tuple(sorted({n for m in _modules() for n in cast("Sequence[str]", getattr(m, "NEEDS", ()))}))


def _modules() -> list[ModuleType]:
    names = sorted(i.name for i in pkgutil.iter_modules(__path__) if not i.name.startswith("_"))
    return [importlib.import_module(f"{__name__}.{name}") for name in names]
