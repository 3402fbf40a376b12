"""nftui.sh, on a small checkout: its lock names one tiny package, so that a set-up takes seconds."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = [
    "bash",
    "cat",
    "chmod",
    "cut",
    "dirname",
    "flock",
    "grep",
    "id",
    "ls",
    "mkdir",
    "mktemp",
    "mv",
    "readlink",
    "rm",
    "sha256sum",
    "stat",
    "tail",
]
REPORT = """\
import json, os, sys, yaml
print(json.dumps({"argv": sys.argv[1:], "cwd": os.getcwd(), "yaml": yaml.__file__, "prefix": sys.prefix,
                  "safe": os.environ.get("PYTHONSAFEPATH"), "path": os.environ.get("PYTHONPATH")}))
"""


class Checkout:
    """A checkout of its own, with the real nftui.sh and a stand-in for nftui that reports what it sees."""

    def __init__(self, root: Path, wheels: Path) -> None:
        self.root, self.wheels = root, wheels
        (root / "nftui").mkdir(parents=True)
        (root / "nftui" / "__init__.py").touch()
        (root / "nftui" / "__main__.py").write_text(REPORT)
        shutil.copy2(ROOT / "nftui.sh", root / "nftui.sh")
        wheel = wheels / "yaml_stand_in-1.0-py3-none-any.whl"
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        (root / "requirements.lock").write_text(f"yaml-stand-in==1.0 --hash=sha256:{digest}\n")

    def environment(self, **changes: str | None) -> dict[str, str]:
        """The environment of an operator; None takes a variable away."""
        base = {
            "PATH": f"{Path(sys.executable).resolve().parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.root),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_CONFIG_FILE": os.devnull,
        }
        return {key: value for key, value in {**base, **changes}.items() if value is not None}

    def start(self, *arguments: str, cwd: Path | None = None, **changes: str | None) -> subprocess.Popen[str]:
        """nftui.sh in a process group of its own."""
        return subprocess.Popen(
            [self.root / "nftui.sh", *arguments],
            cwd=cwd or self.root,
            env=self.environment(**changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, cwd: Path | None = None, **changes: str | None) -> subprocess.CompletedProcess[str]:
        """nftui.sh to its end."""
        process = self.start(*arguments, cwd=cwd, **changes)
        out, err = process.communicate(timeout=90)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    @property
    def stamp(self) -> Path:
        """Written last by a set-up that came to its end."""
        return self.root / ".venv" / "nftui-stamp"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one wheel that installs a module called yaml."""
    directory = tmp_path_factory.mktemp("wheels")
    info = "yaml_stand_in-1.0.dist-info"
    with zipfile.ZipFile(directory / "yaml_stand_in-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("yaml.py", "")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: yaml-stand-in\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return directory


@pytest.fixture
def fresh(tmp_path: Path, wheels: Path) -> Checkout:
    """A checkout that nobody started yet."""
    return Checkout(tmp_path / "checkout", wheels)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Checkout:
    """A checkout that is set up; a test must leave it so."""
    made = Checkout(tmp_path_factory.mktemp("ready") / "checkout", wheels)
    first = made.run("check", "--json")
    assert first.returncode == 0, first.stderr
    # Whoever pipes the output gets the answer and nothing else, on the first start too.
    assert first.stdout.count("\n") == 1 and report(first)["argv"] == ["check", "--json"]
    assert "setting up" in first.stderr
    return made


def report(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    """What the stand-in saw; its only line of output."""
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_the_second_start_says_nothing_and_passes_arguments_on(checkout: Checkout) -> None:
    done = checkout.run("apply", "", "two words", "--", "$HOME", "*")
    assert done.stderr == ""
    assert report(done)["argv"] == ["apply", "", "two words", "--", "$HOME", "*"]


def test_it_stays_in_the_directory_of_the_caller(checkout: Checkout, tmp_path: Path) -> None:
    assert report(checkout.run(cwd=tmp_path, CDPATH="/"))["cwd"] == str(tmp_path)


def test_it_finds_its_checkout_through_links(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "real-link").symlink_to(checkout.root / "nftui.sh")
    link = tmp_path / "nftui"
    link.symlink_to("real-link")
    done = subprocess.run(
        [link], cwd=tmp_path, env=checkout.environment(), capture_output=True, text=True, check=False, timeout=60
    )
    assert report(done)["prefix"] == str(checkout.root / ".venv")


@pytest.mark.parametrize("variable", ["cwd", "PYTHONPATH"])
def test_a_planted_module_is_never_imported(checkout: Checkout, tmp_path: Path, variable: str) -> None:
    (tmp_path / "yaml.py").write_text("raise SystemExit('planted')")
    (tmp_path / "json.py").write_text("raise SystemExit('planted')")
    changes = {} if variable == "cwd" else {variable: str(tmp_path)}
    seen = report(checkout.run(cwd=tmp_path, **changes))
    assert str(seen["yaml"]).startswith(str(checkout.root / ".venv"))
    # What nftui starts in turn is as safe.
    assert seen["safe"] == "1" and seen["path"] is None


def test_a_planted_module_is_not_imported_by_the_set_up(fresh: Checkout, tmp_path: Path) -> None:
    for name in ("yaml", "venv", "ensurepip", "pip", "sysconfig"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('planted')")
    report(fresh.run(cwd=tmp_path, PYTHONPATH=str(tmp_path)))


def test_without_a_home_it_needs_none(fresh: Checkout) -> None:
    seen = report(fresh.run(HOME=None))
    assert seen["prefix"] == str(fresh.root / ".venv")


def test_the_environment_can_be_elsewhere(checkout: Checkout, tmp_path: Path) -> None:
    environment = checkout.root / ".venv"
    seen = report(checkout.run(cwd=checkout.root.parent, NFTUI_VENV=f"{checkout.root.name}/.venv"))
    assert seen["prefix"] == str(environment)
    (tmp_path / "holds-data").touch()
    refused = checkout.run(NFTUI_VENV=str(tmp_path))
    assert refused.returncode == 1 and "not a Python environment" in refused.stderr
    assert (tmp_path / "holds-data").exists()


@pytest.mark.parametrize("home", [True, False])
def test_a_checkout_that_cannot_be_written_is_used_all_the_same(fresh: Checkout, tmp_path: Path, home: bool) -> None:
    # A file in its place: root may write anywhere, so permissions would prove nothing.
    (fresh.root / ".venv").touch()
    place = tmp_path / "place"
    place.mkdir()
    changes = {"HOME": str(place)} if home else {"HOME": None, "TMPDIR": str(place)}
    prefix = Path(str(report(fresh.run(**changes))["prefix"]))
    assert prefix.is_relative_to(place)
    if not home:
        assert prefix.parent.stat().st_mode & 0o777 == 0o700
    assert fresh.run(**changes).stderr == "", "the second start must find what the first one made"


def test_a_temporary_directory_of_somebody_else_is_not_trusted(fresh: Checkout, tmp_path: Path) -> None:
    (fresh.root / ".venv").touch()
    trap = tmp_path / f"nftui-{os.getuid()}"
    trap.mkdir()
    trap.chmod(0o777)  # the test cannot own it as another user; open to all is refused alike
    prefix = str(report(fresh.run(HOME=None, TMPDIR=str(tmp_path)))["prefix"])
    assert not prefix.startswith(str(trap))


def test_an_interrupted_set_up_is_done_again(fresh: Checkout) -> None:
    process = fresh.start()
    wait_for(fresh.root / ".venv" / "bin" / "python")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not fresh.stamp.exists()
    done = fresh.run()
    assert "setting up" in done.stderr and report(done) and fresh.stamp.exists()


def test_a_new_lock_or_a_moved_checkout_is_set_up_again(fresh: Checkout) -> None:
    report(fresh.run())
    with (fresh.root / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    assert "setting up" in fresh.run().stderr
    fresh.root = fresh.root.rename(fresh.root.with_name("moved"))
    done = fresh.run()
    assert "setting up" in done.stderr and report(done)["prefix"] == str(fresh.root / ".venv")


def test_an_environment_of_another_checkout_is_left_alone(checkout: Checkout, fresh: Checkout) -> None:
    theirs = checkout.root / ".venv"
    done = fresh.run(NFTUI_VENV=str(theirs))
    assert done.returncode == 1 and str(checkout.root) in done.stderr and "NFTUI_VENV" in done.stderr
    assert checkout.run().stderr == ""


def test_an_environment_that_a_run_works_from_is_not_emptied(fresh: Checkout) -> None:
    report(fresh.run())
    python, code = fresh.root / ".venv/bin/python", "import time; time.sleep(60)"
    with (fresh.root / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    worker = subprocess.Popen([python, "-c", code, "nftui.worker"])
    try:
        wait_for(Path(f"/proc/{worker.pid}"))
        done = fresh.run()
        assert done.returncode == 1 and "a run of nftui is at work" in done.stderr and fresh.stamp.exists()
    finally:
        worker.kill()
        worker.wait()
    assert "setting up" in fresh.run().stderr


def test_two_shells_at_once_make_one_set_up(fresh: Checkout) -> None:
    both = [fresh.start(), fresh.start()]
    ends = [process.communicate(timeout=90) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    said = "".join(err for _, err in ends)
    assert said.count("setting up") == 1 and said.count("another set-up") <= 1, said


def test_a_package_with_another_digest_is_refused(fresh: Checkout) -> None:
    (fresh.root / "requirements.lock").write_text(f"yaml-stand-in==1.0 --hash=sha256:{'0' * 64}\n")
    refused(fresh.run(), "could not install the Python packages")


def test_without_a_package_index_it_says_so(fresh: Checkout, tmp_path: Path) -> None:
    done = fresh.run(PIP_FIND_LINKS=str(tmp_path))
    refused(done, "is a package index reachable?")
    assert not fresh.stamp.exists()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (None, "needs Python 3.11 or newer"),
        ("#!/bin/sh\nexit 1\n", "needs Python 3.11 or newer"),
        # Debian's python3 without python3-venv: new enough, and cannot import ensurepip.
        ('#!/bin/sh\ncase "$3" in *ensurepip*) exit 1;; *print*) echo 3.13;; esac\n', "apt install python3.13-venv"),
    ],
)
def test_without_a_python_that_serves_it_says_which(
    fresh: Checkout, tmp_path: Path, script: str | None, message: str
) -> None:
    path = tmp_path / "bin"
    path.mkdir()
    for tool in TOOLS:
        (path / tool).symlink_to(str(shutil.which(tool)))
    if script:
        (path / "python3").write_text(script)
        (path / "python3").chmod(0o755)
    refused(fresh.run(PATH=str(path)), message)


def refused(done: subprocess.CompletedProcess[str], message: str) -> None:
    """It ended with a sentence, not with a traceback, and printed nothing."""
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]
    assert done.stdout == "" and "Traceback" not in done.stderr


def wait_for(path: Path) -> None:
    """Until `path` is there."""
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.01)
