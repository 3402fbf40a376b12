"""The registry: finds what lies in the folder, also what was dropped in later; names what is broken."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import nftui.optimizations
from nftui.engine.check import collect
from nftui.model.findings import Level
from nftui.optimizations.registry import RegistryError, load_registry
from tests.cli.fakes import facts, finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ATTRIBUTES = "id order title summary risk needs knobs applies findings demand advise effort fragment steps checks"
SOURCE = (
    "class O:\n    " + "\n    ".join(f"{a} = None" for a in ATTRIBUTES.split()) + "\n    id, order = {id!r}, {order}\n"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A second folder of the package, as if files had been dropped in."""
    monkeypatch.setattr(nftui.optimizations, "__path__", [*nftui.optimizations.__path__, str(tmp_path)])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("nftui.optimizations.dropped"):
            del sys.modules[name]


def drop(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(text)


def test_it_holds_postgres() -> None:
    registry = load_registry()
    assert registry["postgres"].id == "postgres"
    assert [o.order for o in registry.values()] == sorted(o.order for o in registry.values())


def test_a_folder_dropped_in_is_found_in_its_order(folder: Path) -> None:
    load_registry()
    drop(folder, "dropped_first", SOURCE.format(id="first", order=-1) + "OPTIMIZATION = O()\n")
    assert next(iter(load_registry())) == "first"


def test_findings_name_what_repairs_them_once_its_folder_is_there(folder: Path) -> None:
    def repaired_by() -> str | None:
        late = replace(finding("slow", Level.LOW), optimization="late")
        (found,) = (f for f in collect(facts(), load_registry(), [lambda _facts: [late]]) if f.id == "slow")
        return found.optimization

    assert repaired_by() is None
    text = SOURCE.format(id="late", order=99) + "    def findings(self, facts): return ()\nOPTIMIZATION = O()\n"
    drop(folder, "dropped_late", text)
    assert repaired_by() == "late"


def test_modules_without_an_optimization_are_passed_over(folder: Path) -> None:
    drop(folder, "dropped_other", "X = 1\n")
    assert "dropped_other" not in load_registry()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_module_here\n", "cannot be loaded: ModuleNotFoundError"),
        ("1/0\n", "cannot be loaded: ZeroDivisionError"),
        ("def broken(:\n", "cannot be loaded: SyntaxError"),
        ("OPTIMIZATION = object()\n", "lacks id, order"),
    ],
)
def test_a_broken_one_is_named(folder: Path, text: str, said: str) -> None:
    drop(folder, "dropped_broken", text)
    with pytest.raises(RegistryError, match="dropped_broken") as caught:
        load_registry()
    assert said in str(caught.value)


def test_ids_are_unique(folder: Path) -> None:
    drop(folder, "dropped_double", SOURCE.format(id="postgres", order=99) + "OPTIMIZATION = O()\n")
    with pytest.raises(RegistryError, match="'postgres'"):
        load_registry()
