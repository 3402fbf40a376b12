"""Regular expressions that a module names and a run may never need."""

from __future__ import annotations

import re
from typing import AnyStr, Generic, cast


def regex(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """`re.compile`, put off to the first use: of the 200 patterns that `check` meets it uses a half.

    A pattern that is wrong raises `re.error` there; functions of `re` itself do not take it.
    """
    return cast("re.Pattern[AnyStr]", _Regex(text, flags))


class _Regex(Generic[AnyStr]):
    def __init__(self, text: AnyStr, flags: int) -> None:
        self._given: tuple[AnyStr, int] = (text, flags)

    def __getattr__(self, name: str) -> object:
        """Not there yet: the pattern's own, kept so that the next use does not come here."""
        found: object = getattr(re.compile(*self._given), name)
        setattr(self, name, found)
        return found
