"""Quantized vectors of a real index: kept in memory when the originals leave it, and back as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from nftui.steps import load_kinds
from nftui.steps.kind import Found
from tests.qdrant.server import process, vectors
from tests.qdrant.test_server import context, free_port, update


@pytest.mark.timeout(200)
def test_codes_that_follow_the_originals_are_kept_and_come_back_as_they_were(tmp_path: Path) -> None:
    int8 = models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8))
    with process(tmp_path, free_port()) as server:
        server.fill("docs", vectors(600, 16), quantization_config=int8)
        old = server.picture("docs")
        step = update(server, "docs", on_disk="true", always_ram="true", quantile="0.99")
        kind, ctx = load_kinds().of(step), context(server, tmp_path)
        before = kind.read(step, ctx)
        assert kind.classify(step, before, ctx) is Found.BEFORE
        kind.do(step, before, ctx)
        told: Any = kind.verify(step, before, ctx)
        config = server.info("docs").config
        assert isinstance(config.params.vectors, models.VectorParams) and config.params.vectors.on_disk
        assert isinstance(config.quantization_config, models.ScalarQuantization)
        scalar = config.quantization_config.scalar
        assert scalar.always_ram is True and scalar.quantile == pytest.approx(0.99)
        assert kind.classify(step, before, ctx) is Found.AFTER and told["count"] == 600
        kind.undo(step, before, ctx)
        back = server.info("docs").config.quantization_config
        assert isinstance(back, models.ScalarQuantization)
        assert (back.scalar.always_ram, back.scalar.quantile) == (None, None)
        assert server.picture("docs")[1:] == old[1:]
