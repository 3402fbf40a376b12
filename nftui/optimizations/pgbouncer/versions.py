"""What a PgBouncer can do by its version, as far as its image's tag tells it."""

from __future__ import annotations

from nftui.catalog.references import leading_version, parse_reference, version_key

PREPARED_SINCE = (1, 21)
"""Prepared statements are kept apart in transaction mode, and the setting is known."""
OPTIONS_SINCE, LONG_OPTIONS_SINCE = (1, 20), (1, 23)
"""Names inside `options` are looked up one by one in ignore_startup_parameters: of `-c name=value`, and of
`--name=value` too (PgBouncer's changelog, 1.20.0 and 1.23.0). Before, all of `options` is dropped or none."""
_QUIT_SINCE = (1, 23)


def is_since(image: str, since: tuple[int, ...]) -> bool:
    """Whether its tag says so; a version that is not told may be an older one."""
    version = leading_version(parse_reference(image).tag)
    return version is not None and version_key(version) >= since


def prepares(image: str) -> bool:
    """Whether that version keeps prepared statements apart."""
    return is_since(image, PREPARED_SINCE)


def stop_signal(image: str, session: bool) -> str:
    """What ends it within its grace period and, where no client holds a session, after the transactions at work."""
    # pgbouncer.org/usage.html, "Signals": SIGINT waits until each server connection is released, in session mode until
    # the clients leave; SIGTERM waits for all clients since 1.23 and is immediate before; SIGQUIT is known since 1.23.
    if not session:
        return "SIGINT"
    told = leading_version(parse_reference(image).tag) is not None
    return "SIGTERM" if told and not is_since(image, _QUIT_SINCE) else "SIGQUIT"
