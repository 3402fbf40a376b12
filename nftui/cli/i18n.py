"""The reader's language: message ids are English; `_` and `tr` give what is printed."""

from __future__ import annotations

import gettext
import os
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from nftui.model.message import Message

LANGUAGES = ("en", "vi")
_catalog: gettext.NullTranslations = gettext.NullTranslations()


def use_language(code: str | None, environ: Mapping[str, str]) -> bool:
    """Take `code`, else the environment's language; False where that has no catalog and it is English instead."""
    global _catalog
    wanted = code or _from_environment(environ)
    if wanted == "en":
        _catalog = gettext.NullTranslations()
        return True
    _catalog = gettext.translation("nftui", _locales(), [wanted], fallback=True)
    return isinstance(_catalog, gettext.GNUTranslations)


def _from_environment(environ: Mapping[str, str]) -> str:
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = environ.get(name, "").split(":")[0][:2].lower()
        if value:
            return value if value in LANGUAGES else "en"
    return "en"


def _locales() -> str:
    """Translations lie beside the package in a checkout, inside of it in an installation."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_data" / "assets" / "locale"
    return os.fspath(installed if installed.is_dir() else package.parent / "assets" / "locale")


def _(text: str) -> str:
    """The sentence in the reader's language."""
    return _catalog.gettext(text) if text else text


def plural(one: str, many: str, count: int) -> str:
    """The form of the sentence that `count` asks for in the reader's language, filled in with it."""
    return _catalog.ngettext(one, many, count).format(count=count)


def tr(message: Message) -> str:
    """The message, translated and filled in."""
    return message.render(_)
