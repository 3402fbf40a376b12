"""Health gates on the real engine: settings that do harm are taken back, with the reason and the log that shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.bed import Bed
from tests.crash.figures import FIGURES
from tests.e2e.command import Copy, Done, copy_package

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(300)]
DROPPED = Path(__file__).parent / "dropped" / "harm.py"
CASES = [
    ("refuses-to-start", ("its container is restarting", "was restarted"), 'invalid value for parameter "shared_buf'),
    (
        "crashes-soon",
        ("crashed and was restarted", "its container is restarting", "refuses a statement: terminating"),
        "database system",
    ),
    ("child-runs-out-of-memory", ("the kernel killed 1 of its processes for lack of memory (limit 512MB)",), "ready"),
    ("turns-red", ("its healthcheck fails",), "ready to accept"),
]


@pytest.fixture(scope="module")
def nftui(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    package = copy_package(tmp_path_factory.mktemp("harm"), DROPPED)
    return Copy(bed.stack.directory, bed.state, package)


def apply(nftui: Copy, kind: str, settle: int) -> Done:
    return nftui("apply", "--only", "harm", "--set", f"harm.kind={kind}", "--yes", "--json", "--settle", str(settle))


@pytest.mark.parametrize(("kind", "reasons", "log"), CASES)
def test_harm_is_taken_back_with_its_reason_and_its_log(
    nftui: Copy, bed: Bed, kind: str, reasons: tuple[str, ...], log: str
) -> None:
    old = bed.picture()
    done = apply(nftui, kind, 10)
    assert done.code == 1 and done.json["outcome"] == "rolled-back", done.out + done.err
    said = done.out.replace('\\"', '"')
    assert any(reason in said for reason in reasons), said
    assert log in said, said
    assert not bed.judge(old) and not bed.invariants(0)
    FIGURES.count(f"gate: {kind}", "rolled back")


def test_what_does_no_harm_stays(nftui: Copy, bed: Bed) -> None:
    old = bed.picture()
    done = apply(nftui, "sound", 2)
    assert done.code == 0 and done.json["outcome"] == "applied", done.out + done.err
    assert nftui("rollback", "--yes").code == 0
    assert not bed.judge(old)
