"""Children: deadlines, groups, stdin, and what is said when one fails."""

import os
import time
from pathlib import Path

import pytest

from nftui.system.processes import (
    CommandError,
    CommandMissing,
    CommandTimeout,
    Completed,
    FakeCommands,
    LocalCommands,
)

RUN = LocalCommands().run


def test_output_input_environment_and_directory(tmp_path: Path) -> None:
    done = RUN(
        ["sh", "-c", "cat; echo $X; pwd; echo bad >&2; exit 3"],
        input="in\n",
        env={"X": "y"},
        cwd=str(tmp_path),
        timeout=9,
    )
    assert done.stdout == f"in\ny\n{tmp_path}\n"
    assert (done.stderr, done.returncode, done.ok) == ("bad\n", 3, False)


def test_stdin_is_never_inherited() -> None:
    assert RUN(["cat"], timeout=5).stdout == ""


def test_bytes_that_are_no_text_survive() -> None:
    assert RUN(["printf", "a\\377b"], timeout=5).stdout == "a\ufffdb"


def test_a_deadline_ends_the_whole_group(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    with pytest.raises(CommandTimeout, match=r"sh did not finish within 0\.3 s"):
        RUN(["sh", "-c", f"sleep 60 & echo $! > {mark}; wait"], timeout=0.3)
    pid = int(mark.read_text())
    for _ in range(50):
        if not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]:
            return
        time.sleep(0.05)
    os.kill(pid, 9)
    pytest.fail("the grandchild lives")


def test_failures_name_the_program_and_no_secret() -> None:
    with pytest.raises(CommandError, match="sh failed with 4: last words") as caught:
        RUN(["sh", "-c", "echo first >&2; echo last words >&2; exit 4", "hunter2"], timeout=5, check=True)
    assert "hunter2" not in str(caught.value)


def test_a_missing_program_and_a_missing_directory() -> None:
    with pytest.raises(CommandMissing, match="no-such-program is not installed"):
        RUN(["no-such-program"], timeout=5)
    with pytest.raises(CommandMissing, match="/no/where is not a directory"):
        RUN(["true"], cwd="/no/where", timeout=5)


def test_the_fake_answers_the_longest_match_and_logs() -> None:
    fake = FakeCommands({("docker",): Completed((), 1), ("compose", "version"): Completed((), 0, "2.26.1")})
    assert fake.run(["docker", "compose", "version"], timeout=1).stdout == "2.26.1"
    assert fake.run(["docker", "ps"], timeout=1).returncode == 1
    assert fake.log == [("docker", "compose", "version"), ("docker", "ps")]
