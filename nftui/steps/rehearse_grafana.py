"""The rehearsal of a Grafana that keeps its database in a file: copied while it runs, and migrated by the new image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from nftui.clients.grafana import Holdings, copy_database, read_holdings
from nftui.model.message import msg
from nftui.model.plan import StepSpec
from nftui.model.stack import Container
from nftui.model.units import MIB
from nftui.steps.calls import Data
from nftui.steps.kind import Context, StepFailed
from nftui.steps.rehearse import Rehearsal, copy_files, source_of, used_memory
from nftui.system.helpers import Server

PORT = 3000
_CACHES = ("png", "pdf", "csv", "log")
"""Of its data directory: pictures and exports that it makes anew (conf/defaults.ini, temp_data_lifetime), its log."""
_BESIDE = ("", "-journal", "-wal", "-shm")
"""What of SQLite's must not be copied as a file, by what stands behind the database's name."""
_LEAST = 256 * MIB
"""Memory that a Grafana takes at its start."""
_ALONE = {
    # Answers here, whatever the configuration says: its environment goes before that (pkg/setting).
    "GF_SERVER_PROTOCOL": "http", "GF_SERVER_HTTP_ADDR": "127.0.0.1", "GF_SERVER_HTTP_PORT": str(PORT),
    "GF_SERVER_SERVE_FROM_SUB_PATH": "false",
    # Reaches for plugins of the world at its start: run.sh gives up without them, or its server does (12).
    "GF_INSTALL_PLUGINS": "", "GF_PLUGINS_PREINSTALL_DISABLED": "true",
    "GF_ANALYTICS_REPORTING_ENABLED": "false", "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
}  # fmt: skip
_NEEDS_OTHERS = ("GF_INSTALL_PLUGINS", "GF_PLUGINS_PREINSTALL", "GF_UNIFIED_ALERTING_HA_", *_ALONE)
"""Beginnings of variables that go: what they ask for is there only with a network, or is said otherwise above."""
_SHOWN = 3
"""Names of what is missing that are told, for each table."""


class GrafanaRehearsalKind(Rehearsal[Holdings]):
    """Its database between two transactions, and its plugins; each image migrates the copy as far as it knows, and
    then what people made is counted."""

    name = "grafana-rehearsal"

    def memory(self, step: StepSpec, running: Container, ctx: Context) -> int:
        """See Rehearsal."""
        return max(_LEAST, used_memory(running, ctx))

    def fill(self, step: StepSpec, before: Data, path: str, ctx: Context) -> None:
        """See Rehearsal. The files first: where they are begun anew, all goes."""
        file = str(step.params["file"])
        source, deadline = source_of(step, ctx), ctx.now() + step.stall_s
        if not ctx.trees.holds(source, file):
            raise StepFailed(msg("{source} holds no {name}: {service} keeps its database elsewhere.", source=source,
                                 name=file, service=str(step.service)))  # fmt: skip
        copy_files(step, path, ctx, skip=lambda name: _is_left_out(name, file))

        def tell(fraction: float | None) -> None:
            if ctx.now() >= deadline:
                raise StepFailed(msg("The database of {service} is written to so often that a copy of it comes to no "
                                     "end.", service=str(step.service)))  # fmt: skip
            ctx.progress(f"copying the database of {step.service}", fraction)

        copy_database(str(Path(source, file)), str(Path(path, file)), tell)

    def serving(self, found: Server) -> Server:
        """See Rehearsal."""
        kept = {n: v for n, v in found.environment.items() if not n.startswith(_NEEDS_OTHERS)}
        return replace(found, environment={**kept, **_ALONE})

    def has_it(self, step: StepSpec, helper: str, ctx: Context) -> bool:
        """See Rehearsal. It listens once it has migrated, and asks its database for this."""
        health = ctx.api_in(str(step.service), helper, PORT).json("/api/health")
        return isinstance(health, Mapping) and health.get("database") == "ok"

    def tell(self, step: StepSpec, helper: str, path: str, ctx: Context) -> Holdings:
        """See Rehearsal."""
        return read_holdings(str(Path(path, str(step.params["file"]))))

    def lacking(self, was: Holdings, now: Holdings) -> list[str]:
        """Tables with fewer rows, with what is missing; a table that one of them does not have says nothing."""
        both = [table for table in was.names if table in now.names]
        less = [t for t in both if len(now.names[t]) < len(was.names[t])]
        failed = [f"migration {name}" for name in now.failed if name not in was.failed]
        return [_fewer(table, was.names[table], now.names[table]) for table in less] + failed

    def words(self, now: Holdings) -> tuple[str, object]:
        """See Rehearsal."""
        counts = {table: len(names) for table, names in now.names.items()}
        told = {"dashboard": "dashboards", "data_source": "data sources", "alert_rule": "alert rules", "user": "users"}
        shown = ", ".join(f"{counts[table]} {word}" for table, word in told.items() if table in counts)
        return shown or "nothing", counts


def _is_left_out(name: str, file: str) -> bool:
    """`name` is relative to the mount, as `file` is."""
    if name in [file + end for end in _BESIDE]:
        return True
    folder = PurePosixPath(file).parent
    path = PurePosixPath(name)
    return path.is_relative_to(folder) and path.relative_to(folder).parts[:1] in [(cache,) for cache in _CACHES]


def _fewer(table: str, was: tuple[str, ...], now: tuple[str, ...]) -> str:
    """A login may be written in small letters by a newer version."""
    gone = Counter(map(str.casefold, was)) - Counter(map(str.casefold, now))
    names = [name for name in was if name.casefold() in gone][:_SHOWN]
    return f"{table.replace('_', ' ')} {len(now)} of {len(was)} (without {', '.join(names)})"
