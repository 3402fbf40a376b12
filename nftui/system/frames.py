"""What the engine sends of a container's output."""

from __future__ import annotations


def demultiplexed(body: bytes) -> bytes:
    """Log frames without their headers (stream, 0, 0, 0, length as 4 bytes); a tty's log has none.

    Source: Docker Engine API, ContainerAttach "Stream format".
    """
    parts, at = [], 0
    while at + 8 <= len(body):
        if body[at] > 2 or body[at + 1 : at + 4] != b"\0\0\0":
            return body
        length = int.from_bytes(body[at + 4 : at + 8], "big")
        parts.append(body[at + 8 : at + 8 + length])
        at += 8 + length
    return b"".join(parts) if parts else body
