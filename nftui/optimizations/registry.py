"""The registry: every optimization found in this folder, in wizard order. Handed to the engine, which imports none.

A module or package beside this file that exposes `OPTIMIZATION` is an optimization; nothing else has to be edited.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, cast

from nftui.model.errors import NftuiError
from nftui.model.message import msg

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nftui.engine.protocols import Optimization

_REQUIRED = (
    "id", "order", "title", "summary", "risk", "needs", "knobs", "applies", "findings", "demand",
    "advise", "effort", "fragment", "steps", "checks",
)  # fmt: skip


class RegistryError(NftuiError):
    """An optimization in the folder cannot be used; the message names it."""


def load_registry(package: str = "nftui.optimizations") -> dict[str, Optimization]:
    """Id to optimization, sorted by `order` (then id). Raises RegistryError naming a broken or doubled one.

    The folder is scanned at each call, so that one which was dropped in at run time is found too.
    """
    importlib.invalidate_caches()
    found = [load_one(package, name) for name in sorted(_names(package))]
    optimizations = sorted((o for o in found if o is not None), key=lambda o: (o.order, o.id))
    _refuse_doubles(optimizations)
    return {o.id: o for o in optimizations}


def _names(package: str) -> Iterable[str]:
    paths = [str(Path(p)) for p in importlib.import_module(package).__path__]
    return [i.name for i in pkgutil.iter_modules(paths) if not i.name.startswith("_") and i.name != "registry"]


def load_one(package: str, name: str) -> Optimization | None:
    """The optimization of that module, None where it exposes none."""
    try:
        module = importlib.import_module(f"{package}.{name}")
    except Exception as error:  # whatever a dropped-in folder raises, the operator shall read which one it was
        text = f"{type(error).__name__}: {error}"
        raise RegistryError(
            msg("Optimization '{name}' cannot be loaded: {error}. Repair or remove it.", name=name, error=text)
        ) from error
    candidate = getattr(module, "OPTIMIZATION", None)
    if candidate is None:
        return None
    missing = [attribute for attribute in _REQUIRED if not hasattr(candidate, attribute)]
    if missing:
        raise RegistryError(msg("Optimization '{name}' lacks {what}.", name=name, what=", ".join(missing)))
    return cast("Optimization", candidate)


def _refuse_doubles(optimizations: list[Optimization]) -> None:
    seen: set[str] = set()
    for optimization in optimizations:
        if optimization.id in seen:
            raise RegistryError(msg("Two optimizations call themselves '{name}'.", name=optimization.id))
        seen.add(optimization.id)
