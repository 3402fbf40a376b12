"""The app of the tests with several nodes: it writes by an alias without end, and keeps what was acknowledged to it."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from pathlib import Path

SIZE = 16
FIRST = 1_000_000


def write(number: int) -> None:
    """One point. Raises OSError where it was not taken."""
    point = {"id": FIRST + number, "vector": [1.0 + (number % 7)] * SIZE, "payload": {"n": number}}
    request = urllib.request.Request(  # noqa: S310 - the server's address is the stack's own
        os.environ["QDRANT_URL"] + "/collections/all/points?wait=true",
        json.dumps({"points": [point]}).encode(),
        {"api-key": os.environ["QDRANT_API_KEY"], "Content-Type": "application/json"},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        answer.read()


def main() -> None:
    """Until it is stopped; it goes on where it was."""
    path = Path("/acked/points")
    number = len(path.read_text().split()) if path.exists() else 0
    with path.open("a") as acked:
        while True:
            try:
                write(number)
            except OSError as error:
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
            else:
                acked.write(f"{FIRST + number}\n")
                acked.flush()
                number += 1
            time.sleep(0.1)


if __name__ == "__main__":
    main()
