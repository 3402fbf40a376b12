"""The images of the test stack, built from Debian packages where official ones are out of reach.

`python3 tests/stack/images.py [NAME...]` builds what is missing (default: what a plain test run
needs).  A suite is bootstrapped once and shared by its images; an image is built again only when
its recipe changed: the digest of the recipe is a label of the image.  Standard library only, for
this runs before anything is installed.  Needs root and `debootstrap`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

RECIPES = Path(__file__).parent / "images"
SCRIPTS = Path("/usr/share/debootstrap/scripts")
PREFIX = "nftui-test"
LABEL = "nftui.test.recipe"

# One file system per suite holds the packages of all its images: one bootstrap instead of three.
SUITES = {
    "bullseye": ("postgresql-13", "redis-server"),
    "bookworm": (
        "postgresql-15",
        "redis-server",
        "procps",
        "python3",
        "python3-psycopg2",
        "python3-redis",
    ),
    "trixie": ("postgresql-17",),
    "forky": ("postgresql-18",),
    "trixie-redis": ("redis-server",),
    "bookworm-pooler": ("pgbouncer", "postgresql-client"),
    "trixie-pooler": ("pgbouncer", "postgresql-client"),
}
"""Debian's name of a suite, perhaps with a word of ours behind it, to the packages of its images."""


@dataclass(frozen=True)
class Image:
    """One image: its tag, its folder of `images/`, the suite it comes from, build arguments."""

    tag: str
    recipe: str
    suite: str
    arguments: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The full reference, as a Compose file says it."""
        return f"{PREFIX}/{self.tag}"


IMAGES = {
    image.tag: image
    for image in (
        Image("postgres:13", "postgres", "bullseye", (("MAJOR", "13"),)),
        Image("postgres:15", "postgres", "bookworm", (("MAJOR", "15"),)),
        Image("postgres:17", "postgres", "trixie", (("MAJOR", "17"),)),
        Image(
            "postgres:18",
            "postgres",
            "forky",
            (("MAJOR", "18"), ("VOLUME", "/var/lib/postgresql"), ("DATA", "/var/lib/postgresql/18/docker")),
        ),
        Image("redis:6", "redis", "bullseye", (("ENTRYPOINT", "entrypoint-6.sh"),)),
        Image("redis:7", "redis", "bookworm", (("ENTRYPOINT", "entrypoint-6.sh"),)),
        Image("redis:8", "redis", "trixie-redis", (("ENTRYPOINT", "entrypoint-8.sh"),)),
        Image("app:latest", "app", "bookworm"),
        Image("pgbouncer:1.18", "pgbouncer", "bookworm-pooler"),
        Image("pgbouncer:1.24", "pgbouncer", "trixie-pooler"),
        Image("pgbouncer-env:1.24", "pgbouncer-env", "trixie-pooler"),
        Image("ollama:latest", "ollama", "bookworm"),
        Image("qdrant:1.19", "qdrant", "bookworm"),
        Image("grafana:9", "grafana", "bookworm", (("MAJOR", "9"),)),
        Image("grafana:10", "grafana", "bookworm", (("MAJOR", "10"),)),
    )
}
DEFAULT = ("postgres:15", "redis:7", "app:latest", "postgres:17", "ollama:latest")


def reference(tag: str) -> str:
    """The image to run for `tag` (say `postgres:15`): ours, or the official one if asked for.

    NFTUI_TEST_IMAGES=official runs the same tests on the official images; app and pooler are always ours, and so
    are Ollama, whose models weigh gigabytes, Qdrant and Grafana.
    """
    official = os.environ.get("NFTUI_TEST_IMAGES") == "official"
    return (
        tag
        if official and not tag.startswith(("app", "pgbouncer", "ollama", "qdrant", "grafana"))
        else IMAGES[tag].name
    )


def ensure(*tags: str) -> None:
    """Make sure that the images of `tags` exist; CalledProcessError when one cannot be made."""
    with _one_at_a_time():
        for tag in tags:
            if reference(tag) == tag:
                _pull(tag)
            else:
                _build(IMAGES[tag])


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Processes side by side need the same images: the first one makes them."""
    place = os.open(RECIPES, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def _pull(tag: str) -> None:
    if _inspect(tag, "{{.Id}}") is None:
        _docker("pull", "--quiet", tag)


def _build(image: Image) -> None:
    base = f"{PREFIX}/base:{image.suite}"
    base_digest = _digest(image.suite, *SUITES[image.suite])
    digest = _digest(base_digest, repr(image), *_contents(RECIPES / image.recipe))
    if _label(image.name) == digest:
        return
    if _label(base) != base_digest:
        _bootstrap(image.suite, base, base_digest)
    _say(f"building {image.name}")
    arguments = [f"--build-arg={key}={value}" for key, value in image.arguments]
    _docker(
        *("build", "--quiet", f"--tag={image.name}", f"--label={LABEL}={digest}"),
        *(f"--build-arg=BASE={base}", *arguments, str(RECIPES / image.recipe)),
    )


def _bootstrap(suite: str, tag: str, digest: str) -> None:
    _say(f"bootstrapping Debian {suite}: {' '.join(SUITES[suite])}")
    with _directory_on_disk() as root:
        include, name = ",".join(SUITES[suite]), suite.partition("-")[0]
        # A suite that is younger than debootstrap is made like the one that all come from.
        like = () if (SCRIPTS / name).exists() else ("", str(SCRIPTS / "sid"))
        _run("debootstrap", "--variant=minbase", f"--include={include}", name, str(root), *like)
        for useless in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"):
            shutil.rmtree(root / useless, ignore_errors=True)
        _import(root, tag, digest)


def _import(root: Path, tag: str, digest: str) -> None:
    pack = subprocess.Popen(["tar", "--numeric-owner", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
    with pack:
        change = ["--change", f"LABEL {LABEL}={digest}"]
        _docker("import", *change, "-", tag, stdin=pack.stdout)
    if pack.returncode:
        raise subprocess.CalledProcessError(pack.returncode, "tar")


@contextmanager
def _directory_on_disk() -> Iterator[Path]:
    """A directory outside of /tmp, which may be small, noexec or nodev: debootstrap cannot use it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="nftui-suite-") as name:
        root = Path(name, "root")
        root.mkdir()
        yield root


def _contents(folder: Path) -> list[str]:
    # Bytecode is no part of the recipe: checkouts differ in it, and one would take the tags of another away.
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return [f"{path.relative_to(folder)}:{path.stat().st_mode:o}:{_hash(path)}" for path in files]


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _label(name: str) -> str | None:
    return _inspect(name, f'{{{{index .Config.Labels "{LABEL}"}}}}')


def _inspect(name: str, template: str) -> str | None:
    answer = subprocess.run(
        ["docker", "image", "inspect", "--format", template, name],
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() if answer.returncode == 0 else None


def _docker(*arguments: str, stdin: object = subprocess.DEVNULL) -> None:
    _run("docker", *arguments, stdin=stdin)


def _run(*command: str, stdin: object = subprocess.DEVNULL) -> None:
    """Run it; what it printed is shown only when it failed."""
    # The plain builder is part of every engine; the newer one is a plugin that Debian lacks.
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(
        command,
        stdin=stdin,  # type: ignore[call-overload]
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        _say(done.stdout)
        raise subprocess.CalledProcessError(done.returncode, command)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(tags: list[str]) -> int:
    """Build `tags`, or what a plain test run needs; 2 for an unknown one."""
    if unknown := [tag for tag in tags if tag not in IMAGES]:
        _say(f"unknown image: {', '.join(unknown)} (known: {', '.join(IMAGES)})")
        return 2
    try:
        ensure(*(tags or DEFAULT))
    except subprocess.CalledProcessError as error:
        _say(f"could not make the test images: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
