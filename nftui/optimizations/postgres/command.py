"""The command that starts a PostgreSQL, rebuilt whole with our settings among its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nftui.optimizations._command import command
from nftui.optimizations._command.flags import Syntax
from nftui.optimizations.postgres.flags import read_flags, written
from nftui.optimizations.postgres.gucs import GUCS
from nftui.optimizations.postgres.images import has_stock_command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nftui.model.stack import Service


def _stock(service: Service) -> tuple[str, ...]:
    return ("postgres",) if has_stock_command(service) else ()


_SYNTAX = Syntax(("postgres",), read_flags, written, GUCS, _stock)


def declared_flags(service: Service) -> dict[str, str]:
    """Settings that the operator's command, else the image's own, gives the server (name to the text); {} where it
    cannot be read."""
    return command.declared_flags(_SYNTAX, service)


def written_flags(service: Service) -> frozenset[str]:
    """Settings that nftui put on the running command: they stand among its words, and the operator's has them not."""
    return frozenset(command.running_flags(_SYNTAX, service)) - declared_flags(service).keys()


def shows_flags(service: Service) -> bool:
    """Whether the operator's command shows everything that it gives the server."""
    return command.shows_flags(_SYNTAX, service)


def merge(service: Service, settings: Mapping[str, str]) -> str | list[str]:
    """The whole `command` with those settings. Raises CannotMerge."""
    return command.merge(_SYNTAX, service, settings)
