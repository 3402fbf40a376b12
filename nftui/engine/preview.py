"""Files of a draft as unified diffs, for the wizard and the command line: pure, and free of secrets."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nftui.model.dataclass import dataclass
from nftui.model.plan import FileChange

MASK = "••••••"
"""What stands for a secret in any output (cli.md)."""
_OTHERS = 0o007
"""Mode bits of everyone else: a mounted file that they cannot read holds secrets (design.md, "Files it writes")."""


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One file's change; `lines` are those of a unified diff without its file header."""

    path: str
    action: str
    """create, update, delete."""
    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        """The file's name without its directory."""
        return self.path.rpartition("/")[2]

    @property
    def text(self) -> str:
        """A whole unified diff, as `diff -u` and `patch` write it."""
        old = "/dev/null" if self.action == "create" else self.path
        new = "/dev/null" if self.action == "delete" else self.path
        return "\n".join((f"--- {old}", f"+++ {new}", *self.lines)) + "\n"


def diff_files(
    files: Iterable[FileChange], *, context: int = 3, redact: Callable[[str], str] = lambda line: line
) -> list[FileDiff]:
    """One diff per file, in the order of writing; `redact` takes out what else must not be shown."""
    return [FileDiff(f.path, f.action, tuple(redact(line) for line in _lines(f, context))) for f in files]


def _lines(change: FileChange, context: int) -> list[str]:
    if change.role == "env":
        return _env_lines(change)
    if change.role == "mounted" and not change.mode & _OTHERS:
        return _secret_lines(change)
    return _unified(_text(change.before), _text(change.content), context)


def _text(content: bytes | None) -> list[str]:
    return (content or b"").decode("utf-8", "replace").splitlines()


def _unified(before: list[str], after: list[str], context: int) -> list[str]:
    import difflib  # only where something changes

    found = difflib.unified_diff(before, after, n=context, lineterm="")
    return [line for number, line in enumerate(found) if number > 1]


def _env_lines(change: FileChange) -> list[str]:
    """Changed lines only: the lines around them are other people's passwords."""
    found = _unified(_text(change.before), _text(change.content), 0)
    return [line if line.startswith("@@") else _env_line(line, change.keys) for line in found]


def _env_line(line: str, keys: tuple[str, ...]) -> str:
    """`line` with its value masked unless it is one of the merged `keys`."""
    mark, body = line[:1], line[1:]
    name, equals, _ = body.partition("=")
    if not body.strip() or name.removeprefix("export ").strip() in keys:
        return line
    return f"{mark}{name}={MASK}" if equals else f"{mark}{MASK}"


def _secret_lines(change: FileChange) -> list[str]:
    """That the file changes is shown as one line for another, its content is not."""
    before, after = bool(change.before), bool(change.content)
    removed, added = [f"-{MASK}"] if before else [], [f"+{MASK}"] if after else []
    return [f"@@ -{'1' if before else '0,0'} +{'1' if after else '0,0'} @@", *removed, *added]
