"""Which programs a command line starts: enough of the shell to tell a server from a script that calls its client."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nftui.model.patterns import regex

SHELLS = {"sh", "bash", "ash", "dash", "zsh", "busybox"}
"""Programs that run what they are given."""
# Programs that start another one given in their arguments.
_ENTRYPOINTS = {"docker-entrypoint.sh", "docker-entrypoint", "entrypoint.sh"}
_WRAPPERS = _ENTRYPOINTS | {
    *("exec", "env", "nohup", "nice", "ionice", "gosu", "su-exec", "setpriv", "tini", "dumb-init", "time", "timeout"),
    *("sudo", "command", "catatonit", "stdbuf", "setsid", "s6-setuidgid", "chroot", "numactl", "taskset", "cmd"),
    *("with-contenv", "while", "until", "if", "do", "then", "else", "elif", "!", "{", "("),
}
_TAKES_ARGUMENT = {"gosu", "su-exec", "timeout", "s6-setuidgid", "chroot", "taskset"}
_ENDS = {"done", "fi", "esac", "}", ")", "case", "in", "for", "select", "function", ";;"}
_ASSIGNMENT = regex(r"[A-Za-z_]\w*\+?=")
_SPLIT_QUOTED = regex(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"|\\.|[^\s'\"\\]+|\s+", re.DOTALL)
MAX_SCRIPT = 64 * 1024


def argv_of(config: Mapping[str, object]) -> tuple[list[str], list[str]]:
    """Entrypoint and command of a service as words; strings are split at blanks."""
    return _words(config.get("entrypoint")), _words(config.get("command"))


def _words(value: object) -> list[str]:
    if isinstance(value, str):
        return split_words(value)
    return [str(item) for item in value] if isinstance(value, (list, tuple)) else []


def split_words(text: str) -> list[str]:
    """Words of one command, quotes taken off."""
    words: list[str] = []
    current: str | None = None
    for piece in _SPLIT_QUOTED.findall(text[:MAX_SCRIPT]):
        if piece.isspace():
            if current is not None:
                words.append(current)
            current = None
            continue
        if piece[0] in "'\"" and len(piece) > 1:
            piece = piece[1:-1]
        elif piece[0] == "\\":
            piece = piece[1:]
        current = (current or "") + piece
    return words if current is None else [*words, current]


def started(argv: Sequence[str]) -> list[tuple[str, ...]]:
    """The programs that `argv` starts, each with its arguments; wrappers and shells are looked through."""
    words = _unwrapped(list(argv))
    if not words:
        return []
    name = base_name(words[0])
    if name in SHELLS:
        return _of_shell(words)
    return [(name, *words[1:])]


def _of_shell(words: list[str]) -> list[tuple[str, ...]]:
    for index, word in enumerate(words[1:], start=1):
        if re.fullmatch(r"-[a-z]*c", word):
            script = words[index + 1] if index + 1 < len(words) else ""
            if base_name(script) in SHELLS and index + 2 < len(words):
                # An entrypoint `sh -c` before a command `sh -c "…"`: what was meant is the inner one.
                return _of_shell(words[index + 1 :])
            return script_programs(script)
        if word in ("-o", "+o"):
            continue
        if not word.startswith(("-", "+")) and words[index - 1] not in ("-o", "+o"):
            return [(base_name(word), *words[index + 1 :])]
    return []


def _unwrapped(words: list[str]) -> list[str]:
    while words:
        if _ASSIGNMENT.match(words[0]):
            words = words[1:]
            continue
        name = base_name(words[0])
        # Options straight behind an image's entrypoint are the server's, which it starts with them.
        if name not in _WRAPPERS or (name in _ENTRYPOINTS and (len(words) == 1 or words[1].startswith("-"))):
            return words
        words = words[1:]
        while words and words[0].startswith("-"):
            words = words[1:]
        if name in _TAKES_ARGUMENT and len(words) > 1:
            words = words[1:]
    return words


def base_name(word: str) -> str:
    """The program's own name."""
    return word.rstrip("/").rpartition("/")[2] or word


def script_programs(script: str) -> list[tuple[str, ...]]:
    """The programs that a shell script starts, in order."""
    found: list[tuple[str, ...]] = []
    for segment in _segments(script[:MAX_SCRIPT]):
        words = _unwrapped(split_words(segment))
        if not words:
            continue
        name = base_name(words[0])
        if name in _ENDS or "$" in name or name.endswith("()"):
            continue
        if name in SHELLS:
            found.extend(_of_shell(words))
        else:
            found.append((name, *words[1:]))
    return found


def _segments(script: str) -> list[str]:
    """Pieces of a script that each start one program; what stands in quotes is not cut."""
    segments, current, quote = [], "", ""
    comment = escaped = False
    for index, char in enumerate(script):
        if comment:
            if char != "\n":
                continue
            comment = False
        if escaped:
            current, escaped = (current if char == "\n" else current + "\\" + char), False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            current += char
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
            current += char
        elif char == "#" and (index == 0 or script[index - 1].isspace()):
            comment = True
        elif char in "\n;|&()`" or (char == "{" and current.strip() in ("", "$")):
            segments.append(current)
            current = ""
        else:
            current += char
    return [segment.strip() for segment in [*segments, current] if segment.strip()]
