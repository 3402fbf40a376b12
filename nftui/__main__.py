"""Entry point of `nftui` and `python -m nftui`; everything heavy is imported where it is used."""

import gc
import sys

_OBJECTS = 200_000
"""New objects between two collections. A verb makes some 70,000 that stay, modules above all, and ends: with Python's
700 every import is interrupted to search all of them, an eighth of the processor time of `check`."""


def main() -> int:
    """Run the command line; return the process exit code (cli.md, "Exit codes")."""
    gc.set_threshold(_OBJECTS)
    from nftui.cli.main import run

    code = run(sys.argv[1:])
    gc.freeze()  # Python searches all objects for garbage once more before it ends: the kernel takes them back anyway
    return code


if __name__ == "__main__":
    sys.exit(main())
