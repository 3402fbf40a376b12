"""Entry point of `nftui` and `python -m nftui`; everything heavy is imported where it is used."""

import sys


def main() -> int:
    """Run the command line; return the process exit code (cli.md, "Exit codes")."""
    from nftui.cli.main import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
