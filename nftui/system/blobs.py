"""Content-addressed store of file contents: exact bytes, 0600, fsynced before anyone relies on them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.system.durable import make_directory, write_bytes


class BlobStore:
    """Blobs below one directory, named by their sha256; secrets stand in here and nowhere else."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, digest: str) -> Path:
        """Where the blob of that digest lies."""
        return self.root / digest[:2] / digest

    def put(self, content: bytes) -> str:
        """Store `content` (once); return its digest. Raises NftuiError where it cannot be written."""
        digest = hashlib.sha256(content).hexdigest()
        path = self.path(digest)
        if path.exists() and path.read_bytes() == content:
            return digest
        try:
            make_directory(path.parent)
            write_bytes(path, content)
        except OSError as error:
            why = error.strerror or str(error)
            raise NftuiError(msg("{path} cannot be written: {why}", path=str(path), why=why)) from error
        return digest

    def get(self, digest: str) -> bytes:
        """The content, proven by its digest; raises NftuiError where it is missing or damaged."""
        try:
            content = self.path(digest).read_bytes()
        except FileNotFoundError:
            raise NftuiError(msg("Blob {digest} is missing from the snapshot store.", digest=digest[:12])) from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise NftuiError(msg("Blob {digest} is damaged.", digest=digest[:12]))
        return content

    def size(self, digest: str) -> int:
        """Bytes of a blob, 0 where it is missing."""
        path = self.path(digest)
        return path.stat().st_size if path.exists() else 0

    def whole(self, digest: str) -> bool:
        """True where the blob is there and its bytes are the ones it is named by."""
        try:
            self.get(digest)
        except NftuiError:
            return False
        return True
