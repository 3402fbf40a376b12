"""Whether a password is the one that a SCRAM verifier was made of, without asking the server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import unicodedata

_VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d{1,9}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):[A-Za-z0-9+/=]+")


def fits(password: str, verifier: str) -> bool:
    """`verifier` as pg_authid holds it (RFC 5803: iterations, salt, StoredKey, ServerKey); False for any other text.

    The server prepares a password by SASLprep where that is possible, which is NFKC for what people type.
    """
    parts = _VERIFIER.fullmatch(verifier)
    if parts is None:
        return False
    try:
        salt, stored = base64.b64decode(parts[2], validate=True), base64.b64decode(parts[3], validate=True)
    except ValueError:
        return False
    forms = {unicodedata.normalize("NFKC", password).encode(), password.encode()}
    return any(hmac.compare_digest(_stored_key(form, salt, int(parts[1])), stored) for form in forms)


def _stored_key(password: bytes, salt: bytes, iterations: int) -> bytes:
    """RFC 5802, section 3."""
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, iterations)
    return hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
