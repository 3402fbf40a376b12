"""The comparison of two servers' lists, as it runs in an image's own shell."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from nftui.clients.pgscripts import COMPARE

OLD = "shop: role app\nshop: rows of public.a 5 17\nshop: rows of public.b 2 4\n"


def compared(place: Path, old: str, new: str, path: str = os.environ["PATH"]) -> list[str]:
    (place / "dump").mkdir(exist_ok=True)
    for name, text in (("old", old), ("new", new)):
        (place / "dump" / f"manifest.{name}").write_text(text)
    script = f"set -eu\nexport LC_ALL=C\nW={place}\n{COMPARE}"
    done = subprocess.run(
        ["/bin/sh", "-c", script], check=True, capture_output=True, text=True, env={"PATH": path}
    )  # fmt: skip
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (OLD, []),
        (OLD.replace("5 17", "4 16"), ["> shop: rows of public.a 4 16", "< shop: rows of public.a 5 17"]),
        (OLD.replace("shop: rows of public.b 2 4\n", ""), ["< shop: rows of public.b 2 4"]),
        (OLD + "shop: rows of public.c 1 1\n", ["> shop: rows of public.c 1 1"]),
        (OLD + "shop: rows of public.b 2 4\n", ["> shop: rows of public.b 2 4"]),
    ],
    ids=["equal", "changed", "lost", "more", "twice"],
)
def test_what_differs_is_told(tmp_path: Path, new: str, said: list[str]) -> None:
    assert compared(tmp_path, OLD, new) == said


def test_a_difference_is_never_passed_over_for_want_of_a_tool(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("cmp", "sort", "cut", "head", "sed"):
        (tools / name).symlink_to(next(p for d in ("/usr/bin", "/bin") if (p := Path(d, name)).exists()))
    assert compared(tmp_path, OLD, OLD, str(tools)) == []
    assert compared(tmp_path, OLD, "", str(tools)) == ["? they are not the same"]
    (tools / "cmp").unlink()
    assert compared(tmp_path, OLD, OLD, str(tools)), "what was not compared is not equal"
