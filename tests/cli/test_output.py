"""The streams: colours, closed pipes, odd encodings, catalogs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nftui.cli.i18n import _, use_language
from nftui.cli.output import Output, plain, table, wants_colour, write_private
from nftui.model.host import Disk, Medium

_CALL = """
import sys
from nftui.cli.output import Output
Output("x", as_json=False, colour={c}, live=False, verbose=False).text({t})
sys.exit(7)
"""


class Terminal:
    """A stream that says it is one."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """It does."""
        return True


@pytest.mark.parametrize(
    ("environ", "refused", "wanted"),
    [({}, False, True), ({}, True, False), ({"NO_COLOR": "1"}, False, False), ({"NO_COLOR": ""}, False, True),
     ({"TERM": "dumb"}, False, False)],
)  # fmt: skip
def test_colour(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], refused: bool, wanted: bool) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert wants_colour(environ, refused=refused) is wanted


def test_colour_goes_to_terminals_only() -> None:
    source = _CALL.format(c=True, t="[('red', 'red')]")
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("red\n", 7)


def test_a_closed_pipe_is_silent_and_changes_no_exit_code() -> None:
    source = _CALL.format(c=False, t="['x' * 100] * 20000")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", source], stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(write)
    assert (done.stderr, done.returncode) == (b"", 7)


def test_a_full_disk_is_told_once_and_changes_no_exit_code() -> None:
    source = _CALL.format(c=False, t="['x' * 100] * 20000")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", source], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    told = "nftui: the result could not be written whole: No space left on device.\n"
    assert (done.stderr, done.returncode) == (told, 7)


def test_an_ascii_terminal_gets_what_it_can_show() -> None:
    source = _CALL.format(c=False, t="['\\u2022 yes']")
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, env=env, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("? yes\n", 7)


@pytest.mark.parametrize("closed", ["stdin", "stdout", "stderr"])
def test_missing_streams_are_no_error(closed: str) -> None:
    source = f"import sys; sys.{closed} = None\n" + _CALL.format(c=True, t="['a']")
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stderr, done.returncode) == ("", 7)


def test_plain_turns_the_model_into_json() -> None:
    disk = Disk("sda", None, 5, Medium.HDD, ephemeral=False, mounts=("/a",))
    assert plain({"disk": (disk,)})["disk"][0]["medium"] == "hdd"  # type: ignore[index]
    assert plain(Path("/a")) == "/a"


def test_columns_line_up() -> None:
    assert table([("a", "bb", "c"), ("aaa", "b", "")], "") == ["a    bb  c", "aaa  b"]
    assert table([]) == []


OWN = re.compile("^mine")


def test_files_are_written_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("mine, old")
    path.chmod(0o644)
    write_private(path, "new", OWN)
    assert (path.read_text(), path.stat().st_mode & 0o777, list(tmp_path.iterdir())) == ("new", 0o600, [path])


def test_what_somebody_else_wrote_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text("services: {}\n")
    with pytest.raises(FileExistsError, match="something else"):
        write_private(path, "new", OWN)
    assert path.read_text() == "services: {}\n" and list(tmp_path.iterdir()) == [path]
    path.write_text("")
    write_private(path, "new", OWN)
    assert path.read_text() == "new"
    with pytest.raises(IsADirectoryError):
        write_private(Path(), "new", OWN)


def test_a_link_and_a_pipe_stay_what_they_are(tmp_path: Path) -> None:
    """/dev/null, as root, would be a file from then on."""
    link, target, pipe = tmp_path / "link", tmp_path / "target", tmp_path / "pipe"
    link.symlink_to(target)
    write_private(link, "new", OWN)
    assert link.is_symlink() and target.read_text() == "new"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_private(pipe, "new", OWN)
    assert os.read(reader, 9) == b"new" and pipe.is_fifo()
    os.close(reader)


def test_one_document_only(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output("x", as_json=True, colour=False, live=False, verbose=False)
    out.document({"a": 1})
    out.error("later", 1)
    captured = capsys.readouterr()
    assert captured.out.count("schema") == 1
    assert captured.err == "nftui: later\n"


@pytest.mark.parametrize("code", ["en", "vi", None])
def test_a_language_without_a_catalog_is_english(code: str | None) -> None:
    assert use_language(code, {"LANG": "fr_FR.UTF-8"}) == (code != "vi")
    assert _("interrupted")
    use_language("en", {})
    assert _("interrupted") == "interrupted"
