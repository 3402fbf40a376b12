"""Where the files that ship with nftui are: beside a checkout's package, or inside an installed one."""

from __future__ import annotations

from pathlib import Path

from nftui.model.errors import NftuiError
from nftui.model.message import msg


def asset_path(name: str) -> Path:
    """The asset called `name` ("demo"): `nftui/_data/assets` when installed, `assets` of a checkout else."""
    package = Path(__file__).resolve().parent.parent
    for root in (package / "_data" / "assets", package.parent / "assets"):
        if (root / name).exists():
            return root / name
    raise NftuiError(msg("This installation of nftui lacks its asset '{name}'. Install it again.", name=name))
