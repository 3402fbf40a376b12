"""The one knob of the optimization: an image for each service."""

from __future__ import annotations

from nftui.model.knobs import Kind, Knob
from nftui.model.message import msg

ID = "images"
PIN, STAY = "pin", "stay"
POLICY = "databases reference 4; catalog, lifetimes"

KNOB = Knob(
    "{service}", Kind.TEXT, msg("image"),
    msg("What the service runs: an image reference, pin for exactly what runs now, stay for what your files say."),
    POLICY, unit="image reference", per_service=False, dynamic="service",
)  # fmt: skip
KNOBS = (KNOB,)
