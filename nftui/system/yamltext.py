"""YAML of a configuration that somebody else wrote: read for what it says, never trusted to be any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def read_yaml(text: str) -> Mapping[str, Any]:
    """A configuration, empty where it is none."""
    found = read_document(text)
    return found if isinstance(found, dict) else {}


def read_document(text: str) -> object:
    """What a text in YAML, or in JSON, holds; None where it is neither."""
    import yaml

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe in both cases
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
