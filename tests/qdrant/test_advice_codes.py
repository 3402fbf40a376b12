"""What goes with a quantization: its codes stay in memory when the originals leave it, and the quantile is as asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nftui.model.advice import Advice, Grant
from nftui.model.ai import Collection
from nftui.model.errors import UsageError
from nftui.model.facts import Facts
from nftui.model.host import Medium
from nftui.model.qdrant import read_config, same
from nftui.model.units import GIB
from nftui.optimizations.qdrant import OPTIMIZATION, rules
from nftui.presets import build_choices
from tests.qdrant.test_advice import advice, collection, facts, patches

STEP = "qdrant-collection:vectors.docs"
MOVED = ("qdrant.collection.docs.on_disk=on",)


def scalar(**said: Any) -> dict[str, Any]:
    return {"scalar": {"type": "int8", **said}}


def quantized(quantization: Any, *, on_disk: bool = False, points: int = 1_000_000) -> Collection:
    config = {
        "params": {"vectors": {"size": 768, "distance": "Cosine", "on_disk": on_disk}},
        "quantization_config": quantization,
    }
    return collection(points, 768, config=config)


def patch(found: Facts, lines: dict[str, Advice]) -> Any:
    only = [line for line in lines.values() if line.knob not in ("collection.docs.m", "collection.docs.ef_construct")]
    return patches(found, only).get(STEP)


@pytest.mark.parametrize(
    ("present", "sent"),
    [
        (scalar(), scalar(always_ram=True)),
        (scalar(quantile=0.95, always_ram=False), scalar(quantile=0.95, always_ram=True)),
        (scalar(memory="cold", always_ram=True), scalar(memory="pinned", always_ram=True)),
        ({"binary": {"encoding": "two_bits"}}, {"binary": {"encoding": "two_bits", "always_ram": True}}),
        ({"product": {"compression": "x16"}}, {"product": {"compression": "x16", "always_ram": True}}),
        (scalar(always_ram=True), None),
        (scalar(memory="pinned"), None),
        (scalar(memory="cached", always_ram=False), None),
    ],
)
def test_codes_stay_in_memory_when_the_originals_leave_it(tmp_path: Path, present: Any, sent: Any) -> None:
    """Without always_ram they would follow the originals to the disk."""
    found = facts(tmp_path, quantized(present), medium=Medium.NVME)
    lines = advice(found, *MOVED, grant=64 * GIB)
    expected = {"vectors": {"": {"on_disk": True}}} | ({"quantization_config": sent} if sent else {})
    assert patch(found, lines) == expected
    assert lines["collection.docs.always_ram"].value == "on"


def test_short_memory_moves_the_originals_of_a_quantized_collection_and_keeps_its_codes(tmp_path: Path) -> None:
    found = facts(tmp_path, quantized(scalar(quantile=0.95)), medium=Medium.NVME)
    lines = advice(found, grant=2 * GIB)
    assert patch(found, lines)["quantization_config"] == scalar(quantile=0.95, always_ram=True)
    assert [lines[f"collection.docs.{k}"].value for k in ("on_disk", "always_ram", "quantile")] == ["on", "on", "0.95"]
    kept = advice(facts(tmp_path / "b", quantized(scalar(quantile=0.95)), medium=Medium.NVME), grant=64 * GIB)
    assert kept["collection.docs.always_ram"].value == "off" and not kept["collection.docs.always_ram"].changes


def test_codes_that_lie_on_the_disk_are_where_somebody_put_them(tmp_path: Path) -> None:
    there = quantized(scalar(), on_disk=True)
    found = facts(tmp_path, there, medium=Medium.NVME)
    assert patch(found, advice(found, grant=64 * GIB)) is None
    lines = advice(found, "qdrant.always_ram=on", grant=64 * GIB)
    assert patch(found, lines) == {"quantization_config": scalar(always_ram=True)}
    assert any("Memory of docs" in str(n) for n in lines["collection.docs.quantization"].notes)
    in_memory = quantized(scalar(always_ram=True), on_disk=True)
    assert rules.memory_bytes(in_memory) - rules.memory_bytes(there) == 1_000_000 * 768


def test_the_quantile_that_was_asked_for_is_the_one_that_stands(tmp_path: Path) -> None:
    from nftui.optimizations.registry import load_registry

    wanted, _ = build_choices(load_registry(), preset="mission")

    def sent(present: Any) -> Any:
        found = facts(tmp_path, quantized(present))
        lines = OPTIMIZATION.advise(found, wanted, {"vectors": Grant("vectors", 64 * GIB)})
        return patches(found, lines)[STEP].get("quantization_config")

    assert sent(scalar(quantile=0.95, always_ram=True)) == scalar(quantile=0.99, always_ram=True)
    assert sent(scalar()) == scalar(quantile=0.99)
    assert sent(None) == scalar(quantile=0.99, always_ram=True)
    assert sent(scalar(quantile=0.9900000095367432)) is None


def test_a_quantile_of_the_operators_own_is_kept_until_he_asks_for_another(tmp_path: Path) -> None:
    found = facts(tmp_path, quantized(scalar(quantile=0.95)))
    line = advice(found, "qdrant.collection.docs.quantization=int8", grant=64 * GIB)["collection.docs.quantile"]
    assert (line.current, line.value, line.changes) == ("0.95", "0.95", False)
    lines = advice(found, "qdrant.collection.docs.quantile=1", grant=64 * GIB)
    assert patch(found, lines)["quantization_config"] == scalar(quantile=1.0)
    whole = facts(tmp_path / "b", quantized(scalar()))
    assert advice(whole)["collection.docs.quantile"].current == "1"


def test_what_has_no_codes_has_nothing_to_say_of_them(tmp_path: Path) -> None:
    found = facts(tmp_path, quantized(None))
    lines = advice(found, "qdrant.quantile=0.98", "qdrant.always_ram=on", grant=64 * GIB)
    assert [lines[f"collection.docs.{k}"].value for k in ("quantile", "always_ram")] == [None, None]
    for knob in ("quantile=0.98", "always_ram=on"):
        with pytest.raises(UsageError, match="is refused: Nothing of it is quantized"):
            advice(found, f"qdrant.collection.docs.{knob}", grant=64 * GIB)
    binary = facts(tmp_path / "b", quantized({"binary": {}}))
    with pytest.raises(UsageError, match="Only int8 has a quantile"):
        advice(binary, "qdrant.collection.docs.quantile=0.98", grant=64 * GIB)
    chosen = advice(found, "qdrant.collection.docs.quantization=int8", "qdrant.quantile=0.98", grant=64 * GIB)
    assert patch(found, chosen)["quantization_config"] == scalar(quantile=0.98, always_ram=True)


def test_new_collections_are_not_promised_what_no_variable_carries(tmp_path: Path) -> None:
    """storage.collection.quantization is an untagged enum, and the environment is read as text (src/settings.rs)."""
    found = facts(tmp_path, quantized(None))
    lines = advice(found, "qdrant.quantization=int8", "qdrant.quantile=0.98", grant=64 * GIB)
    assert any("New collections have what the app" in str(note) for note in lines["quantization"].notes)
    written = OPTIMIZATION.fragment(found, tuple(lines.values())).services["vectors"]["environment"]
    assert isinstance(written, dict) and not any("COLLECTION" in name for name in written)


def test_with_its_part_off_a_place_of_the_operators_own_still_keeps_the_codes(tmp_path: Path) -> None:
    found = facts(tmp_path, quantized(scalar()))
    off = ("qdrant.tune_quantization=off",)
    assert patch(found, advice(found, *off, grant=64 * GIB)) is None
    lines = advice(found, *off, *MOVED, grant=64 * GIB)
    assert patch(found, lines)["quantization_config"] == scalar(always_ram=True)
    assert OPTIMIZATION.checks(found, OPTIMIZATION.fragment(found, tuple(lines.values())))


def test_what_a_configuration_leaves_unsaid_is_not_what_was_asked_for() -> None:
    """A step whose values already stood would write nothing."""
    config = read_config({"params": {"vectors": {"size": 8, "distance": "Dot"}}, "quantization_config": scalar()})
    assert not config.holds({"quantization_config": scalar(always_ram=True)})
    assert not config.holds({"quantization_config": scalar(quantile=0.99)})
    assert config.holds({"quantization_config": scalar(always_ram=False, quantile=1.0)})
    assert same(scalar(always_ram=True), scalar(memory="pinned")) and not same(scalar(), scalar(memory="pinned"))
    assert config.effective("always_ram") == "false" and config.effective("quantile") == "1"
