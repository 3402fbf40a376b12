"""Which servers lose their own save points when they are given any argument."""

from __future__ import annotations

from nftui.catalog.references import version_key


def drops_save(version: str | None) -> bool:
    """Whether a Redis that is started with arguments, or with a file, has no save points but those that it names.

    So it was up to 6.0 [X, 6.0.16] (redis#5629, mended in 6.2 by redis#7092); a tag of 6 alone is 6.2.
    """
    key = version_key(version) if version else ()
    return bool(key) and (key[0] < 6 or key[:2] in ((6, 0), (6, 1)))
