"""What lies on the machine beside a project and bears on it: schedules, the engine's configuration, scripts.

Everything is bounded and nothing is raised: what cannot be read is not there, or unknown where that matters.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nftui.model.facts import Beside
from nftui.model.patterns import regex

if TYPE_CHECKING:
    from nftui.model.stack import Engine, Stack

MAX_FILES = 400
MAX_BYTES = 256 * 1024
MAX_DEPTH = 3
_CRONTABS = ("etc/crontab", "etc/anacrontab")
_CRON_FOLDERS = (
    *("etc/cron.d", "etc/cron.hourly", "etc/cron.daily", "etc/cron.weekly", "etc/cron.monthly"),
    *("var/spool/cron/crontabs", "var/spool/cron", "etc/periodic/daily", "etc/periodic/weekly"),
)
_UNITS = "etc/systemd/system"
_OF_THE_SYSTEM = (
    "dpkg",
    "passwd",
    "apt-compat",
    "logrotate",
    "man-db",
    "e2scrub_all",
    "popularity-contest",
    "etckeeper",
)
"""Jobs of the distribution, which copy package lists and the like."""
_PROGRAMS = ("/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/")
_SCRIPT = regex(
    r"(?i).*\.(sh|bash|zsh|py|js|mjs|cjs|ts|rb|pl|php|go|mk|ya?ml|toml|conf|cfg|ini|tmpl|tpl|template|j2|service|timer|"
    r"json|sql|ps1|bat|cnf|properties|xml|lua)|(make|docker|just|task|jenkins|proc)file.*|caddyfile|justfile|[^.]+"
)
_LOADERS = frozenset({"dotenv", "load_dotenv", "pydantic_settings", "direnv"})
"""Words of a program that reads `.env` as a whole, when it is run beside the stack."""
_OF_LIBRARIES = regex(
    r"(OTEL|OPENAI|ANTHROPIC|GOOGLE|GEMINI|GROQ|MISTRAL|COHERE|HF|HUGGING_?FACE|TRANSFORMERS|TOKENIZERS|LANGCHAIN|LANGSMITH|"
    r"LANGFUSE|AWS|AZURE|CUDA|STREAMLIT|GRADIO|FLASK|UVICORN|GUNICORN|WANDB|MLFLOW|SENTRY|NODE|PYTHON\w*)_\w+|"
    r"PG(HOST|PORT|USER|PASSWORD|DATABASE|SSLMODE)"
)
"""Names that a program's libraries read, so that its own text need not name them."""
_ENV_FILES = regex(r"\benv_file:[^\n]*(?:\n\s*(?:-|required:|format:)[^\n]*)*")
_ENV_FILE = regex(r"(?<![\w./-])[\w./-]*\.env(?![\w.])")
"""Names of files that another Compose file hands to its services."""
_SKIPPED = frozenset({".git", "node_modules", ".venv", "venv", "__pycache__", "data", "docs", "volumes", "nftui"})


def read_beside(stack: Stack, engine: Engine | None, state: Path | None = None, root: str = "/") -> Beside:
    """Everything about that project's surroundings; `root` is / but in tests."""
    candidates = [k for k in stack.written.env_places if k not in stack.written.referenced]
    kept = _size(state) if state is not None else 0
    return Beside(
        schedules=tuple(_schedules(Path(root))) if engine is None or engine.local else (),
        daemon=_daemon(engine, Path(root)),
        words=_words(stack, candidates) if candidates else frozenset(),
        kept_bytes=kept,
        kept_path=str(state or ""),
    )


def _daemon(engine: Engine | None, root: Path) -> dict[str, object] | None:
    if engine is not None and (not engine.local or engine.product != "docker" or engine.rootless):
        return None
    try:
        data = json.loads((root / "etc/docker/daemon.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def _schedules(root: Path) -> Iterator[str]:
    """Lines of crontabs and of the services of timers, and of the scripts that they start."""
    for path in _schedule_files(root):
        for line in _lines(path):
            yield line
            for word in re.findall(r"(?<![\w.])/[\w./-]+", line):
                if not word.startswith(_PROGRAMS):
                    yield from _lines(root / word.lstrip("/"))


def _schedule_files(root: Path) -> Iterator[Path]:
    yield from (root / name for name in _CRONTABS)
    for folder in _CRON_FOLDERS:
        yield from (p for p in _entries(root / folder) if p.name not in _OF_THE_SYSTEM and not p.name.startswith("."))
    units = _entries(root / _UNITS)
    timers = {p.stem for p in units if p.suffix == ".timer"}
    yield from (p for p in units if p.suffix == ".service" and p.stem in timers)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())[:MAX_FILES]
    except OSError:
        return []


def _lines(path: Path) -> list[str]:
    return [line for line in _text(path).splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _text(path: Path) -> str:
    """The file's text, "" where it is none or too large to be a script."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return ""
        data = path.read_bytes()
    except OSError:
        return ""
    return "" if b"\0" in data else data.decode("utf-8", errors="replace")


def _words(stack: Stack, candidates: Iterable[str]) -> frozenset[str]:
    """Those of the candidates that a script or a configuration in the project's directory names, or may name."""
    left = set(candidates)
    found: set[str] = set()
    loads = False
    own = {os.path.normpath(place.file) for place in stack.written.env_places.values()}
    for number, path in enumerate(_scripts(Path(stack.invocation.directory), set(stack.written.files))):
        if not left:
            break
        if number >= MAX_FILES:
            # One of those that were not read may name any of them.
            return frozenset(candidates)
        text = _text(path)
        if any(os.path.normpath(path.parent / name) in own for name in _handed_on(text)):
            # Another Compose file of the directory gives all of it to a service.
            return frozenset(candidates)
        words = re.findall(r"\w+", text)
        here = left.intersection(words)
        found |= here
        left -= here
        loads = loads or not _LOADERS.isdisjoint(words)
    return frozenset(found | {name for name in left if loads and _OF_LIBRARIES.fullmatch(name)})


def _handed_on(text: str) -> Iterator[str]:
    for entry in _ENV_FILES.findall(text):
        yield from _ENV_FILE.findall(entry)


def _scripts(directory: Path, compose_files: set[str]) -> Iterator[Path]:
    base = len(directory.parts)
    for folder, folders, names in os.walk(directory):
        deep = len(Path(folder).parts) - base >= MAX_DEPTH
        folders[:] = [] if deep else sorted(f for f in folders if f not in _SKIPPED)
        for name in sorted(names):
            path = os.path.join(folder, name)
            if _SCRIPT.fullmatch(name) and path not in compose_files:
                yield Path(path)


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(place, name).lstat().st_size
            except OSError:
                continue
    return total
