"""`nftui demo`: a fresh copy of the bundled stack, so that nothing of the operator's can be touched."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from nftui.system.assets import asset_path

if TYPE_CHECKING:
    from pathlib import Path


def prepare_demo(target: Path) -> Path:
    """Copy the demo stack into a new directory `target/nftui-demo[-N]` and return it. Raises OSError."""
    for number in range(1, 1000):
        directory = target / ("nftui-demo" if number == 1 else f"nftui-demo-{number}")
        try:
            directory.mkdir(parents=True, mode=0o700)
        except FileExistsError:
            continue
        shutil.copytree(asset_path("demo"), directory, dirs_exist_ok=True)
        directory.chmod(0o700)
        return directory
    raise FileExistsError(str(target))
