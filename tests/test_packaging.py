"""What ships: the lock, and the shape of the checkout."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TOP_LEVEL = {"pyproject.toml", "nftui", "assets", "presets", "tests", "README.md", "nftui.sh", "requirements.lock"}
TOP_LEVEL |= {"LICENSE", "CHANGELOG.md"}


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned() -> dict[str, str]:
    """The entries of the lock by name, each with its digests."""
    joined = LOCK.replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return {normal(line.split("==")[0]): line for line in lines}


def test_the_lock_pins_every_dependency_with_digests() -> None:
    entries = pinned()
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    names = {normal(re.split(r"[\[<>=!~ ;]", wish)[0]) for wish in wanted}
    assert names <= entries.keys()
    assert all("==" in line and "--hash=sha256:" in line for line in entries.values())


def test_the_lock_names_no_address() -> None:
    assert "://" not in LOCK and "--index" not in LOCK and "--find-links" not in LOCK


def test_versions_agree() -> None:
    from nftui import __version__

    assert PROJECT["version"] == __version__


def test_nothing_else_is_at_the_top_level() -> None:
    # Asked of the directory, not of git: a checkout may have come as an archive.
    names = {path.name for path in ROOT.iterdir() if not path.name.startswith((".", "__pycache__"))}
    assert names - {"build", "dist"} <= TOP_LEVEL


def test_what_is_run_by_name_has_its_run_bit() -> None:
    for name in ("nftui.sh", ".ci/run"):
        assert (ROOT / name).stat().st_mode & 0o111, name
