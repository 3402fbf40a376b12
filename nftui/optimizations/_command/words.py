"""Words of a command: Compose's way of splitting a string, with the source text kept (`${…}`, `$$`).

Compose interpolates before it splits, so a split of the source is only trusted where it agrees with what Compose made.
"""

from __future__ import annotations

BLANK = " \t\r\n"


class UnsafeText(Exception):
    """The text cannot be read with certainty; nothing may be rewritten in it."""


def braces_end(text: str, start: int) -> int:
    """Index behind the `}` that closes the `${` at `start`."""
    depth, i = 0, start
    while i < len(text):
        if text.startswith("${", i):
            depth, i = depth + 1, i + 2
            continue
        if text[i] == "}":
            depth -= 1
            if depth == 0:
                return i + 1
        i += 1
    raise UnsafeText("an unclosed ${")


def split_source(text: str) -> list[str]:
    """Words of a Compose command string (as go-shellwords), unquoted, with `${…}` and `$$` untouched.

    Raises UnsafeText where Compose would stop or fail: unquoted ; & | < > ( ) or an open quote.
    """
    words: list[str] = []
    word: list[str] = []
    quote, inside, i = "", False, 0
    while i < len(text):
        c = text[i]
        if text.startswith("${", i) and not text.startswith("$$", i - 1 if i else 0):
            end = braces_end(text, i)
            word.append(text[i:end])
            inside, i = True, end
        elif text.startswith("$$", i):
            word.append("$$")
            inside, i = True, i + 2
        elif c == "\\" and quote != "'":
            word.append(text[i + 1 : i + 2])
            inside, i = True, i + 2
        elif c == quote:
            quote, i = "", i + 1
        elif quote:
            word.append(c)
            i += 1
        elif c in "'\"":
            quote, inside, i = c, True, i + 1
        elif c in BLANK:
            if inside:
                words.append("".join(word))
            word, inside, i = [], False, i + 1
        elif c in ";&|<>()`":
            raise UnsafeText(f"an unquoted {c}")
        else:
            word.append(c)
            inside, i = True, i + 1
    if quote:
        raise UnsafeText("an open quote")
    return [*words, "".join(word)] if inside else words


def is_plain(source: str) -> bool:
    """True where Compose changes nothing in it but `$$`."""
    return "$" not in source.replace("$$", "")


def agrees(source: str, actual: str) -> bool:
    """True where `source` can be what Compose turned into `actual`; interpolated words are believed."""
    return not is_plain(source) or actual in (source, source.replace("$$", "$"))


def escape(actual: str) -> str:
    """Compose source text of a literal."""
    return actual.replace("$", "$$")
