"""Where the WAL lies: its sizes are bounded by the disk below it, which may be another one than the data's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nftui.model.errors import UsageError
from nftui.model.facts import Facts
from nftui.model.host import Medium, Mount
from nftui.model.stack import MountSpec
from nftui.model.units import GIB
from nftui.optimizations.postgres.data import disk_of, wal_free_bytes

from .build import DATA, advise, choose, facts, fragment, live, ran, service, simulate

PGDATA = DATA.target
WAL = MountSpec("bind", "/fast/wal", "/var/lib/postgresql/wal")
SMALL, LARGE = 20 * GIB, 500 * GIB


def world(*mounts: MountSpec, volumes: dict[str, Any] | None = None, **more: Any) -> Facts:
    """Data on a large disk; /fast is a small one."""
    found = facts(service(mounts=mounts or (DATA, WAL), **more), server=live(), free=LARGE, volumes=volumes or {})
    small = Mount("/fast", "ext4", 30 * GIB, SMALL, "disk1", Medium.NVME)
    return replace(found, host=replace(found.host, mounts=(*found.host.mounts, small)))


def free(found: Facts) -> int | None:
    return wal_free_bytes(found, found.stack.services[0])


def nested(source: str, kind: str = "bind", path: str = f"{PGDATA}/pg_wal") -> MountSpec:
    return MountSpec(kind, source, path)


@pytest.mark.parametrize(
    "found",
    [
        world(environment={"POSTGRES_INITDB_WALDIR": WAL.target}),
        world(environment={"POSTGRES_INITDB_ARGS": f"--data-checksums --waldir={WAL.target}"}),
        world(environment={"POSTGRES_INITDB_ARGS": f"-X '{WAL.target}/x' -k"}),
        world(containers=(ran("postgres", environment={"POSTGRES_INITDB_WALDIR": f"{WAL.target}/"}),)),
        world(DATA, nested("/fast/wal")),
        world(MountSpec("bind", "/srv", "/data"), nested("/fast/w", path="/data/a/pg_wal"),
              environment={"PGDATA": "/data/a"}),
        world(MountSpec("bind", "/", PGDATA), environment={"POSTGRES_INITDB_WALDIR": f"{PGDATA}/fast"}),
        world(DATA, MountSpec("bind", "/fast", "/pgwal")),
        world(DATA, nested("wal", "volume"),
              volumes={"wal": {"driver_opts": {"type": "none", "o": "bind", "device": "/fast/wal"}}}),
    ],
)  # fmt: skip
def test_the_disk_below_the_wal_bounds_it(found: Facts) -> None:
    assert free(found) == SMALL
    disk = disk_of(found, found.stack.services[0])
    assert disk is not None and disk.path == "/", "costs follow the data"
    lines = advise(found, choose(workload="web"))
    assert (lines["max_wal_size"].value, lines["min_wal_size"].value) == ("2GB", "512MB")
    assert "below its WAL" in str(lines["max_wal_size"].why)
    for name in ("max_wal_size", "min_wal_size"):
        with pytest.raises(UsageError, match="below its WAL"):
            advise(found, choose(**{name: "11GB"}))


@pytest.mark.parametrize(
    "found",
    [
        world(DATA),
        world(DATA, MountSpec("bind", "/fast/archive", "/wal_archive")),
        world(DATA, MountSpec("bind", "/fast/x", "/backup/walnut")),
        world(DATA, nested("/fast/log", path=f"{PGDATA}/log")),
        world(DATA, environment={"POSTGRES_INITDB_ARGS": "--data-checksums --locale-provider=icu"}),
    ],
)
def test_what_lies_beside_is_not_the_wal(found: Facts) -> None:
    assert free(found) == LARGE
    assert advise(found, choose(workload="web", max_wal_size="11GB"))["max_wal_size"].value == "11GB"


def remote() -> Facts:
    found = world(DATA)
    assert found.engine is not None
    return replace(found, engine=replace(found.engine, local=False))


@pytest.mark.parametrize(
    "found",
    [
        remote(),
        world(DATA, environment={"POSTGRES_INITDB_WALDIR": "/in/the/container"}),
        world(DATA, nested("wal", "volume"), volumes={"wal": {"driver": "rexray"}}),
        world(DATA, nested("wal", "volume"),
              volumes={"wal": {"driver_opts": {"type": "nfs", "o": "addr=10.0.0.9,rw", "device": ":/wal"}}}),
        world(DATA, nested("", "tmpfs")),
    ],
)  # fmt: skip
def test_on_an_unknown_disk_the_wal_stays_as_it_is(found: Facts) -> None:
    assert free(found) is None
    lines = advise(found)
    assert [(lines[n].value, lines[n].changes) for n in ("max_wal_size", "min_wal_size")] == [
        ("1GB", False),
        ("80MB", False),
    ]
    assert "is not known" in str(lines["max_wal_size"].why)
    written = fragment(found)
    assert not {"max_wal_size", "min_wal_size"} & written.values["db"].keys()
    assert fragment(simulate(found, written)) == written


def test_a_choice_on_an_unknown_disk_is_taken_and_said() -> None:
    lines = advise(remote(), choose(max_wal_size="2GB"))
    assert lines["max_wal_size"].value == "2GB"
    assert ["nothing proves" in str(n) for n in lines["max_wal_size"].notes] == [True]
    for found, value in ((remote(), "512MB"), (world(DATA), "2GB")):
        assert not advise(found, choose(max_wal_size=value))["max_wal_size"].notes
