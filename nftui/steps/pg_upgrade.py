"""Step kinds that put a PostgreSQL server's data into a new data directory of another version: dump, restore, compare.

Nobody else reaches either server: the old one runs on its own volume, stopped for everybody, in a helper without a
network, and writes no row; the new one is made beside it in the place that is being filled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from nftui.clients import pgmanifest, pgscripts
from nftui.model.message import Message, msg
from nftui.model.plan import StepSpec
from nftui.model.postgres import CLUSTER_PROBE, ClusterFacts
from nftui.steps.calls import Data
from nftui.steps.copy import make_marked, must_be_vacant, must_have_room, remove_unopened
from nftui.steps.helping import Follow, helper, run
from nftui.steps.kind import Context, Found, StepFailed
from nftui.steps.places import FENCED, fenced_name, find, future_path, name_of, path_of, place_of
from nftui.steps.reading import Reading

ROOM = 2.2
"""Times the old data directory: an uncompressed dump and the new one, with its WAL."""
_ENTRIES = 4
"""Times the old entries: as many files again, and one for each table of the dump."""
_OLDEST = 11
"""The oldest major whose rows can be compared (hashtextextended)."""
_PLACE, _ROOT, _POSTGRES = "/nftui", "0:0", "postgres"
_DIFFERENCES = 3
"""That are named."""


def why_not(found: ClusterFacts) -> Iterator[Message]:
    """What a dump would not bring along, or what depends on the server being this one."""
    if not found.superuser:
        yield msg("its login is no superuser, and only that one can dump roles and everything")
    if found.in_recovery:
        yield msg("it is a standby: upgrade its primary, then make it anew")
    if found.major < _OLDEST:
        yield msg("rows of PostgreSQL {major} cannot be compared with those of a newer one", major=found.major)
    for names, text in (
        (found.tablespaces, "tablespaces of yours lie outside of its data directory ({names})"),
        (found.slots, "replication slots ({names}): what follows them would lose its place"),
        (found.subscriptions, "subscriptions ({names}): they would lose their place"),
        (found.closed, "databases that let nobody connect ({names}) cannot be dumped"),
        (found.unread, "the extensions of {names} could not be read"),
        (
            found.outside,
            "its configuration includes files outside of its data ({names}), which it would not find while "
            "it is dumped: put them beside the data, or on the service's command line",
        ),
    ):
        if names:
            yield msg(text, names=", ".join(names))
    if any("timescaledb" in d.extensions for d in found.databases):
        yield msg("TimescaleDB's data is restored by its own procedure (timescaledb_pre_restore), which nftui has not")
    if found.prepared:
        yield msg("{count} prepared transactions: no dump has them; commit or roll them back", count=found.prepared)


class PgCheckKind(Reading):
    """Whether the new image can hold what the old server has, asked while everything runs. Changes nothing."""

    name = "pg-check"
    version = 1

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed: what a dump lacks, too little room, an extension, locale or setting that is not there."""
        source, target = path_of(place_of(step, "source"), ctx), place_of(step, "target")
        facts = ctx.trees.facts(source)
        _must_be_whole(source, facts.problems)
        must_be_vacant(target, ctx)
        must_have_room(int(facts.bytes * ROOM), facts.entries * _ENTRIES, future_path(target, ctx), ctx)
        found = _cluster(step, ctx)
        has = _try_image(step, found, ctx)
        _must_have(step, found, has)
        _must_be_mountable(step, has)
        _must_know_columns(step, found, has)
        return {"bytes": facts.bytes, "version": next((x for x in has if x.startswith("postgres ")), "")}


def _must_be_whole(source: str, problems: Iterable[str]) -> None:
    """The old server is started on this one place: its WAL must lie in it."""
    why = next((p for p in problems if PurePosixPath(p.partition(" ")[0]).name == "pg_wal"), None)
    if why is not None:
        raise StepFailed(
            msg("{source} is not all of the old server: {why}. Put its WAL back into its data directory first.",
                source=source, why=why)
        )  # fmt: skip


def _must_be_mountable(step: StepSpec, has: list[str]) -> None:
    """No container starts whose mount goes through a link of its image that leads to the directory above."""
    links = [line.removeprefix("linked ") for line in has if line.startswith("linked ")]
    inside = PurePosixPath(str(step.params["inside"]))
    through = next((link for link in links if inside.is_relative_to(link)), None)
    if through is not None:
        raise StepFailed(
            msg("{image} has a link at {path}, where the data of {service} is mounted, and no container starts so. "
                "Take a newer minor version of it.", image=str(step.params["image"]), path=through,
                service=str(step.service))
        )  # fmt: skip


def _cluster(step: StepSpec, ctx: Context) -> ClusterFacts:
    live = ctx.probe(str(step.service), CLUSTER_PROBE)
    if not isinstance(live.value, ClusterFacts):
        raise StepFailed(msg("{service} cannot be asked: {why}.", service=str(step.service), why=live.error or "?"))
    reasons = [str(reason) for reason in why_not(live.value)]
    if reasons:
        raise StepFailed(msg("{service} is not upgraded: {why}.", service=str(step.service), why="; ".join(reasons)))
    return live.value


def _try_image(step: StepSpec, found: ClusterFacts, ctx: Context) -> list[str]:
    """What the new image has, as a server of it tells that is made and thrown away."""
    kinds = sorted({(d.encoding, d.collate, d.ctype) for d in found.databases})
    words = [word for kind in kinds for word in kind]
    with helper(step, ctx, _image(step, ctx), {}) as where:
        follow = Follow("trying the new image")
        out = run(step, ctx, where, "nftui-trial", pgscripts.TRIAL, *words, user=_POSTGRES, follow=follow)
    return out.splitlines()


def _must_have(step: StepSpec, found: ClusterFacts, has: list[str]) -> None:
    image = str(step.params["image"])
    wanted = {e for d in found.databases for e in d.extensions}
    lacking = sorted(e for e in wanted if f"extension {e}" not in has)
    flags = step.params.get("flags")
    names = [str(n) for n in flags] if isinstance(flags, list) else []
    unknown = sorted(n for n in names if "." not in n and f"setting {n}" not in has)
    locales = [line for line in has if line.startswith("locale ")]
    if lacking:
        raise StepFailed(msg("{image} lacks the extensions {names}.", image=image, names=", ".join(lacking)))
    if unknown:
        raise StepFailed(
            msg("{image} does not know the settings {names} of the service's command.", image=image,
                names=", ".join(unknown))
        )  # fmt: skip
    if locales:
        raise StepFailed(msg("{image} cannot make a database as yours: {why}.", image=image, why=locales[0]))


_COLUMN_OPTIONS = {"n_distinct", "n_distinct_inherited"}
"""What ALTER TABLE takes (its manual, 11 to 18)."""


def _must_know_columns(step: StepSpec, found: ClusterFacts, has: list[str]) -> None:
    """A minor version may mark each column with an option of its own that only minors of its day keep out of dumps:
    pg_dump 18.6 hands on the `pg_attver` of 17.12, and no server takes it [X]."""
    own = {line.removeprefix("option ") for line in has if line.startswith("option ")}
    unknown = sorted({o for d in found.databases for o in d.column_options} - _COLUMN_OPTIONS - own)
    if unknown:
        raise StepFailed(
            msg("{image} is older than what {service} runs, by its minor version: a dump would hold {names}, which it "
                "does not know. Take a newer minor version of it.", image=str(step.params["image"]),
                service=str(step.service), names=", ".join(unknown))
        )  # fmt: skip


class PgTryKind(Reading):
    """Whether the new image can run the data as it lies: a server of its own is asked, made and thrown away.

    There is no copy to try it on: the directory of a running server cannot be copied as files. Versions of one major
    keep their files alike, so what can go wrong is what the image lacks.
    """

    name = "pg-try"
    version = 1

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Raises StepFailed: an extension, locale or setting that is not there, text that would be sorted otherwise."""
        live = ctx.probe(str(step.service), CLUSTER_PROBE)
        if not isinstance(live.value, ClusterFacts):
            raise StepFailed(msg("{service} cannot be asked: {why}.", service=str(step.service), why=live.error or "?"))
        has = _try_image(step, live.value, ctx)
        _must_have(step, live.value, has)
        _must_sort_alike(step, live.value, has)
        return {"version": next((x for x in has if x.startswith("postgres ")), "")}


def _must_sort_alike(step: StepSpec, found: ClusterFacts, has: list[str]) -> None:
    """Indexes on text are written in the order of the C library, or of ICU (databases reference 4.1)."""
    by_icu = any(database.by_icu for database in found.databases)
    for name, used, old in (("library", found.sorts_by_library, found.library), ("icu", by_icu, found.icu)):
        new = next((line.removeprefix(name).strip() for line in has if line.startswith(f"{name} ")), "")
        if used and new != old:
            raise StepFailed(
                msg("{image} sorts text by another {name} ({new}) than what {service} runs now ({old}): indexes on "
                    "text would be wrong. Take the same version built on the same system, or name the system in both "
                    "tags.", image=str(step.params["image"]), service=str(step.service), new=new or _NONE[name],
                    old=old or _NONE[name], name=_SORTS[name])
            )  # fmt: skip


_SORTS = {"library": "C library", "icu": "ICU"}
_NONE = {"library": "musl", "icu": "none"}


def _image(step: StepSpec, ctx: Context) -> str:
    """The id of the new image, as the step that got it found it."""
    return str(ctx.recall(str(step.params["got"]))["id"])


def _relative(step: StepSpec) -> str:
    """The data directory inside of its place."""
    return str(PurePosixPath(fenced_name(step)[0]).parents[1])


class PgDumpKind:
    """The old server started where nobody reaches it, told what it holds, and dumped with the new version's tools.

    The target stays marked as being filled; undo removes it while nobody opened it.
    """

    name = "pg-dump"
    version = 1
    reads_files = False

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """Whether the target was there (empty); who made the old server."""
        source = path_of(place_of(step, "source"), ctx)
        return {"existed": find(place_of(step, "target"), ctx) is not None, "bytes": ctx.trees.facts(source).bytes}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """By the mark: it names the step that fills the place."""
        path = find(place_of(step, "target"), ctx)
        if path is None or ctx.trees.vacant(path):
            return Found.BEFORE
        mark = ctx.trees.marked(path)
        if mark is None or mark not in ({}, _note(step)):
            return Found.FOREIGN
        return Found.AFTER if ctx.trees.holds(path, pgscripts.DUMPED) else Found.PARTIAL

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """From the beginning each time: a dump that was cut off is worth nothing."""
        source = path_of(place_of(step, "source"), ctx)
        target = make_marked(step, _note(step), ctx)
        inside, data = str(step.params["inside"]), str(step.params["pgdata"])
        role, jobs, preload = (str(step.params[key]) for key in ("role", "jobs", "preload"))
        with (
            helper(step, ctx, str(step.params["old_image"]), {inside: source, _PLACE: target}) as old,
            helper(step, ctx, _image(step, ctx), {_PLACE: target}) as new,
        ):
            follow = Follow("starting the old server apart")
            run(step, ctx, new, "nftui-prepare", pgscripts.PREPARE, user=_ROOT, follow=follow)
            owner = run(step, ctx, old, "nftui-owner", pgscripts.OWNER, data, user=_ROOT, follow=follow).strip()
            run(step, ctx, old, "nftui-start-old", pgscripts.START_OLD, data, preload, user=owner, follow=follow)
            total = int(run(step, ctx, new, "nftui-size", pgscripts.SIZE, role, user=_POSTGRES, follow=follow))
            follow = Follow("dumping and counting", lambda: ctx.trees.facts(target).bytes, total)
            run(step, ctx, new, "nftui-dump", pgscripts.DUMP, role, jobs, *_STATEMENTS, user=_POSTGRES, follow=follow)
            follow = Follow("stopping the old server")
            wal = run(step, ctx, old, "nftui-stop", pgscripts.STOP, data, user=owner, follow=follow).strip()
            run(step, ctx, old, "nftui-keep", pgscripts.KEEP, data, wal, user=_ROOT, follow=follow)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """The dump is whole; from here on nobody may write to the source."""
        source, target = (path_of(place_of(step, key), ctx) for key in ("source", "target"))
        if not ctx.trees.holds(target, pgscripts.DUMPED):
            raise StepFailed(msg("The dump in {name} is not whole.", name=name_of(place_of(step, "target"))))
        return {"fingerprint": ctx.trees.facts(source).fingerprint}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """Remove what was never opened; keep, fenced, what was."""
        remove_unopened(step, before, ctx)


_STATEMENTS = (pgmanifest.CLUSTER, pgmanifest.DATABASE, pgmanifest.ROWS)


def _note(step: StepSpec) -> dict[str, str]:
    return {"step": step.id.rpartition("/")[0], "source": name_of(place_of(step, "source"))}


class PgRestoreKind:
    """The new server made from the dump, proven equal to the old one, written out, and left fenced for `lift`."""

    name = "pg-restore"
    version = 1
    reads_files = False

    def read(self, step: StepSpec, ctx: Context) -> Data:
        """How much is to come."""
        return {"bytes": ctx.trees.facts(path_of(place_of(step, "source"), ctx)).bytes}

    def classify(self, step: StepSpec, before: Data, ctx: Context) -> Found:
        """After: proven, and where it belongs."""
        path = path_of(place_of(step, "target"), ctx)
        mark = ctx.trees.marked(path)
        if mark is None:
            return Found.AFTER if any(ctx.trees.holds(path, n) for n in fenced_name(step)) else Found.FOREIGN
        if mark == _proven(step):
            return Found.PARTIAL if ctx.trees.holds(path, pgscripts.WORK) else Found.AFTER
        return Found.BEFORE if mark in ({}, _note(step)) else Found.FOREIGN

    def do(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """A restore that was cut off begins anew from the same dump; one that is proven only has to be put in place."""
        path = path_of(place_of(step, "target"), ctx)
        if ctx.trees.marked(path) != _proven(step):
            self._restore(step, int(str(before["bytes"])), path, ctx)
            control = f"{pgscripts.DATA}/global/pg_control"
            if ctx.trees.holds(path, control):
                ctx.trees.rename(path, control, control + FENCED)
            ctx.trees.mark(path, _proven(step))
        ctx.trees.unwrap(path, pgscripts.WORK, pgscripts.DATA, _relative(step))

    def _restore(self, step: StepSpec, total: int, path: str, ctx: Context) -> None:
        role, jobs, preload, memory, buffers = (
            str(step.params[key]) for key in ("role", "jobs", "preload", "memory", "buffers")
        )
        with helper(step, ctx, _image(step, ctx), {_PLACE: path}, shm_bytes=1 << 30) as new:

            def act(name: str, script: str, *arguments: str, follow: Follow, user: str = _POSTGRES) -> str:
                return run(step, ctx, new, name, script, *arguments, user=user, follow=follow)

            follow = Follow("making the new server")
            act("nftui-init", pgscripts.INIT, role, follow=follow)
            act("nftui-start-new", pgscripts.START_NEW, preload, memory, buffers, follow=follow)
            data = f"{path}/{pgscripts.DATA}"
            act("nftui-restore", pgscripts.RESTORE, role, jobs,
                follow=Follow("restoring", lambda: ctx.trees.facts(data).bytes, total))  # fmt: skip
            follow = Follow("counting and comparing the restored rows")
            _must_be_equal(act("nftui-prove", pgscripts.PROVE, role, jobs, *_STATEMENTS, follow=follow))
            _tell_left_out(act("nftui-settings", pgscripts.SETTINGS, role, follow=follow), ctx)
            act("nftui-finish", pgscripts.FINISH, follow=Follow("writing the new server out"))
            user = str(step.params.get("user") or "")
            if user:
                act("nftui-give", pgscripts.GIVE, user, follow=follow, user=_ROOT)

    def verify(self, step: StepSpec, before: Data, ctx: Context) -> Data:
        """Proven and in its place."""
        target = place_of(step, "target")
        path = path_of(target, ctx)
        if self.classify(step, before, ctx) is not Found.AFTER:
            raise StepFailed(msg("The new data in {name} is not whole.", name=name_of(target)))
        size = ctx.trees.facts(path).bytes
        ctx.artefacts.made(name_of(target), size, "rows, roles, settings and objects equal to the old server's")
        return {"bytes": size}

    def undo(self, step: StepSpec, before: Data, ctx: Context) -> None:
        """The step that made the place removes it."""


def _proven(step: StepSpec) -> dict[str, str]:
    return {**_note(step), "whole": "proven"}


def _must_be_equal(differences: str) -> None:
    lines = differences.strip().splitlines()
    if lines:
        shown = "; ".join(" ".join(line.split()) for line in lines[:_DIFFERENCES])
        raise StepFailed(msg("The restored server differs from the old one (< old, > new): {lines}", lines=shown))


def _tell_left_out(names: str, ctx: Context) -> None:
    left = sorted(set(names.split()))
    if left:
        ctx.note(f"settings that the new version does not know were left out: {', '.join(left)}")
