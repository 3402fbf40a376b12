"""The knobs of the optimization: an image for each service, and whether it is rehearsed."""

from __future__ import annotations

from nftui.model.knobs import Kind, Knob
from nftui.model.message import msg
from nftui.model.stack import Role

ID = "images"
PIN, STAY = "pin", "stay"
PROBES = {Role.POSTGRES: "postgres", Role.REDIS: "redis", Role.QDRANT: "qdrant", Role.OLLAMA: "ollama"}
"""Who tells a server's version: itself."""
POLICY = "databases reference 4; catalog, lifetimes"

KNOB = Knob(
    "{service}", Kind.TEXT, msg("image"),
    msg("What the service runs: an image reference, pin for exactly what runs now, stay for what your files say."),
    POLICY, unit="image reference", per_service=False, dynamic="service",
)  # fmt: skip
REHEARSE = Knob(
    "rehearse", Kind.BOOLEAN, msg("rehearsal"),
    msg("Another image is tried without a network before anything is touched, on a copy of the data where one can be "
        "made."),
    "databases reference 4.4: the target image on a copy of the volume first is the best proof", unit="switch",
    per_service=False, main=False,
)  # fmt: skip
KNOBS = (KNOB, REHEARSE)
