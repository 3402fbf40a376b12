"""After the shipped catalog was edited: `python -m nftui.catalog` makes its parsed twin anew (see parsed.py)."""

from __future__ import annotations

from nftui.catalog.loader import SHIPPED, parse_yaml
from nftui.catalog.parsed import write_parsed

if __name__ == "__main__":
    write_parsed(SHIPPED, parse_yaml)
