"""Artefacts that live in a server: how their end is looked at beforehand, and how it comes."""

from __future__ import annotations

from collections.abc import Callable

from nftui.clients.qdrant import collection_path
from nftui.clients.qdrant_nodes import read_aliases
from nftui.model.artefact import Artefact
from nftui.model.errors import NftuiError
from nftui.model.message import msg
from nftui.steps.calls import ApiCalls

KIND = "collection"
_TIMEOUT_S = 120.0
Api = Callable[[str], ApiCalls]


def must_be_unused(artefact: Artefact, api: Api) -> None:
    """The end of a collection is that of its aliases as well. Raises NftuiError where apps would lose their way."""
    collection = artefact.details["collection"]
    found = read_aliases(api(str(artefact.details["service"])))
    leading = sorted(alias for alias, target in found.items() if target == collection)
    if leading:
        raise NftuiError(
            msg("The alias {aliases} leads to {name}: it is in use and stays.", aliases=", ".join(leading),
                name=artefact.name)
        )  # fmt: skip


def remove(artefact: Artefact, api: Api) -> None:
    """For good; one that is gone already is fine. Raises NftuiError."""
    path = collection_path(str(artefact.details["collection"]))
    api(str(artefact.details["service"])).send("DELETE", path, timeout_s=_TIMEOUT_S)
