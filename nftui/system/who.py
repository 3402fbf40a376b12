"""Who is at work, and from where: through sudo, su and SSH, for the audit log."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

_NO_LOGIN = 2**32 - 1
"""What the kernel says where nobody logged in (a daemon, cron): audit(7), loginuid."""
_FROM = ("SSH_CONNECTION", "SSH_TTY")
_ANCESTORS = 32


def user_name(uid: int) -> str:
    """Its name, "uid 1234" where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def who(environ: Mapping[str, str]) -> dict[str, object]:
    """`user` (effective), `login` (who logged in, also through sudo and su), `sudo_user`, `ssh_connection`, `from`.

    sudo drops SSH's variables by default, so they are looked for in the ancestors' environments as well. What is not
    known is left out.
    """
    found: dict[str, object] = {"user": user_name(os.geteuid())}
    login = _login()
    if login is not None:
        found["login"] = login
    if environ.get("SUDO_USER"):
        found["sudo_user"] = environ["SUDO_USER"]
    origin = next((e for e in (environ, *_ancestors()) if e.get("SSH_CONNECTION")), {})
    found |= {name.lower(): origin[name] for name in _FROM if origin.get(name)}
    if connection := str(found.get("ssh_connection", "")).split():
        found["from"] = connection[0]
    return found


def _login() -> str | None:
    try:
        uid = int(Path("/proc/self/loginuid").read_text())
    except (OSError, ValueError):
        return None
    return None if uid == _NO_LOGIN else user_name(uid)


def _ancestors() -> Iterator[dict[str, str]]:
    """Environments at the start of the parent, its parent, and so on; unreadable ones are left out."""
    pid = os.getppid()
    for _ in range(_ANCESTORS):
        if pid <= 1:
            return
        with suppress(OSError):
            yield _environment(pid)
        pid = _parent(pid)


def _environment(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace").split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0
