"""Front ends and the engine's shared parts name no optimization: what is dropped in appears everywhere by itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import nftui
from nftui.optimizations.registry import load_registry

_PACKAGE = Path(nftui.__file__).parent
_FILES = [
    *sorted((_PACKAGE / "cli").glob("*.py")),
    *(
        _PACKAGE / name
        for name in ("presets.py", "presetfile.py", "engine/check.py", "engine/compare.py", "session.py")
    ),
]
_NINE = {"postgres", "pgbouncer", "ollama", "qdrant", "redis", "storage", "images", "limits", "monitoring"}


@pytest.mark.parametrize("path", _FILES, ids=lambda p: p.name)
def test_no_optimization_is_named(path: Path) -> None:
    ids = _NINE | set(load_registry())
    texts = (n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant))
    assert not {t for t in texts if isinstance(t, str) and (t in ids or t.partition(".")[0] in ids)}
