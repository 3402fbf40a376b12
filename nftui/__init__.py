"""nftui: tune a Docker Compose stack, measured and reversible, in one SSH login."""

__version__ = "0.1.0"
