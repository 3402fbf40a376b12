"""The command line's fixtures, for the verbs of presets."""

from tests.cli.conftest import nftui, session

__all__ = ["nftui", "session"]
