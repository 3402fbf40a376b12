"""What each service should run, what is written for it, and what is refused: no engine."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from nftui.engine.planner import draft
from nftui.engine.protocols import MovesData, Prepares
from nftui.model.advice import Advice, Fragment
from nftui.model.choices import Choices, Selection
from nftui.model.errors import UsageError
from nftui.model.facts import Facts, Live
from nftui.model.host import Cpu
from nftui.model.images import StoredImage
from nftui.model.plan import DataSwitch
from nftui.model.postgres import ClusterFacts, DatabaseFacts, PostgresFacts
from nftui.model.redis import RedisFacts
from nftui.model.stack import Container, MountSpec, Role
from nftui.model.units import GIB
from nftui.optimizations.images import OPTIMIZATION
from nftui.optimizations.images.versions import _with_version, distribution, next_of
from tests.checks.build import read
from tests.optimizations.test_contract import REGISTRY, standing

STACK = """
services:
  db: {{image: "{db}", volumes: ["data:{data}"], environment: {{POSTGRES_PASSWORD: not-a-secret}}}}
  cache: {{image: "{cache}", volumes: ["keys:/data"]}}
  web: {{image: "{web}", environment: {{{environment}}}}}
  files: {{image: "shop/files:1.2", volumes: ["files:/files"]}}
  built: {{build: ., image: "shop/built"}}
{more}volumes: {{data: {{}}, keys: {{}}, files: {{}}}}
"""
PGDATA = "/var/lib/postgresql/data"
URLS = 'DATABASE_URL: "postgresql://u:not-a-secret@db/x", REDIS_URL: "redis://cache"'
CLUSTER = ClusterFacts(130000, True, "postgres", (DatabaseFacts("x", 5000, "UTF8", "C", "C"),), directory=PGDATA)


def facts(tmp_path: Path, db: str = "postgres:13", cache: str = "redis:6.2", web: str = "shop/web:latest",
          running: str | None = None, volume: str = "p_data", cluster: ClusterFacts | None = CLUSTER,
          redis: RedisFacts | None = None, data: str = PGDATA, environment: str = URLS,
          more: str = "") -> Facts:  # fmt: skip
    """A running stack; `running` is the version that the database says, where it is not the tag's."""
    found = read(tmp_path, STACK.format(db=db, cache=cache, web=web, data=data, environment=environment,
                                         more=more))  # fmt: skip
    version = running or (db.rpartition(":")[2].partition("-")[0])
    major = int(version.partition(".")[0]) if version[0].isdigit() else 13
    mounts = {
        "db": (MountSpec("volume", volume, data, host_path="/v/data"),),
        "cache": (MountSpec("volume", "p_keys", "/data", host_path="/v/keys"),),
        "files": (MountSpec("volume", "p_files", "/files", host_path="/v/files"),),
    }
    services = []
    for service in found.stack.services:
        name, image = service.name, service.image or ""
        container = Container(
            name, name, name, 1, "running", None, image, f"sha256:{name}1",
            environment={"PGDATA": PGDATA} if service.name == "db" else {}, mounts=mounts.get(service.name, ()),
            networks=("p_default",), command=("postgres", "-c", "work_mem=8MB", "--max-connections=50"),
        )  # fmt: skip
        services.append(replace(service, containers=(container,)))
    live = {
        ("db", "postgres"): Live("postgres", "db", PostgresFacts(major * 10000, version)),
        ("cache", "redis"): Live("redis", "cache", redis or RedisFacts("6.2.1", config={"appendonly": "no"})),
        ("db", "postgres-cluster"): Live("postgres-cluster", "db", cluster, None if cluster else "password refused"),
    }
    stack = replace(found.stack, name="p", services=tuple(services), volumes={"data": {"name": "p_data"}})
    return replace(found, stack=stack, live=live, images=frozenset())


def advised(found: Facts, **chosen: str) -> dict[str, Advice]:
    choices = Choices({"images": Selection.ON}, {("images", None, name): value for name, value in chosen.items()})
    return {a.knob: a for a in OPTIMIZATION.advise(found, choices, {})}


def fragment(found: Facts, **chosen: str) -> Fragment:
    return OPTIMIZATION.fragment(found, tuple(advised(found, **chosen).values()))


def switches(found: Facts, **chosen: str) -> dict[str, DataSwitch]:
    assert isinstance(OPTIMIZATION, MovesData)
    return {s.service: s for s in OPTIMIZATION.switches(found, fragment(found, **chosen))}


def test_it_has_nothing_to_do_where_nothing_runs(tmp_path: Path) -> None:
    found = facts(tmp_path)
    assert OPTIMIZATION.applies(found).services == ("db", "cache", "web", "files")
    down = tuple(replace(s, containers=()) for s in found.stack.services)
    applies = OPTIMIZATION.applies(replace(found, stack=replace(found.stack, services=down)))
    assert not applies.applicable and "Nothing of this stack runs" in str(applies.reason)


def test_what_is_due_is_recommended_the_rest_stays_or_is_pinned(tmp_path: Path) -> None:
    lines = advised(facts(tmp_path, cache="redis:6.0"))
    rehearse = lines.pop("rehearse")
    assert (rehearse.value, rehearse.recommended, rehearse.service) == ("on", "on", None)
    assert {n: a.recommended for n, a in lines.items()} == {
        "db": "postgres:15", "cache": "redis:7", "web": "pin", "files": "stay"
    }  # fmt: skip
    # A day that came moves nobody's data: that is done when it is asked for.
    assert {n: a.value for n, a in lines.items()} == {"db": "stay", "cache": "stay", "web": "pin", "files": "stay"}
    assert "images.db=postgres:15" in " ".join(map(str, lines["db"].notes)) and not lines["db"].changes
    # The row stands among those that ask for an answer, and r takes the recommendation.
    assert lines["db"].kept and lines["cache"].kept and not lines["web"].kept and not lines["files"].kept
    assert str(lines["db"].why).startswith("Support of PostgreSQL 13 ended on 2025-11-13: no fixes since")
    asked = advised(facts(tmp_path), db="postgres:15")["db"]
    assert (asked.value, asked.kept, asked.changes) == ("postgres:15", False, True)
    assert not advised(facts(tmp_path), db="stay")["db"].kept
    later = {name: a.value for name, a in advised(facts(tmp_path, db="postgres:17.2", cache="redis:7.4")).items()}
    assert later["db"] == later["cache"] == "stay"


@pytest.mark.parametrize(
    ("image", "version", "wanted"),
    [
        ("postgres:13.4-alpine3.18", "13.4", "postgres:15-alpine"), ("postgres:13-bullseye", "13", "postgres:15"),
        ("pgvector/pgvector:pg13", "13", None), ("grafana/grafana:9.3.1", "9.3.1", "grafana/grafana:10.4.7"),
        ("qdrant/qdrant:v1.12.0", "1.12.0", "qdrant/qdrant:v1.13.6"), ("shop/postgres:13", "13", "shop/postgres:15"),
        ("valkey/valkey:7.2", "7.2", None), ("redis:6.0.5-alpine", "6.0.5", "redis:7-alpine"),
        ("postgres:18", "18", None), ("redis:8.0.3-alpine", "8.0.3", "redis:8.2-alpine"), ("redis:8.2", "8.2", None),
    ],
)  # fmt: skip
def test_the_next_step_keeps_the_variant(image: str, version: str, wanted: str | None) -> None:
    roles = {"grafana": Role.GRAFANA, "qdrant": Role.QDRANT, "redis": Role.REDIS, "valkey": Role.REDIS}
    role = next((r for name, r in roles.items() if name in image), Role.POSTGRES)
    step = next_of(role, image, version)
    if "pgvector" in image:
        assert step is not None and step[0] == "pgvector/pgvector:pg15"
    else:
        assert (step[0] if step else None) == wanted


@pytest.mark.parametrize(
    "image",
    ["pgvector/pgvector:0.8.0-pg16", "timescale/timescaledb:2.14.2-pg16", "citusdata/citus:12.1",
     "paradedb/paradedb:v0.15.0"],
)  # fmt: skip
def test_an_extensions_version_is_not_the_servers(tmp_path: Path, image: str) -> None:
    """Taken for it, the data of a running 16 would seem to have been moved there, and a pin would dump it."""
    found = facts(tmp_path, db=image, running="16.4", cluster=replace(CLUSTER, version_num=160004))
    for value in ("stay", "pin"):
        line = advised(found, db=value)["db"]
        assert line.value == value and "cannot read" not in " ".join(map(str, line.notes))
        assert not switches(found, db=value)
        assert "volumes" not in fragment(found, db=value).services.get("db", {})


def test_another_build_of_an_extension_stays_in_its_place(tmp_path: Path) -> None:
    cluster = replace(CLUSTER, version_num=160004)
    found = facts(tmp_path, db="pgvector/pgvector:0.8.0-pg16", running="16.4", cluster=cluster)
    assert not switches(found, db="pgvector/pgvector:0.8.1-pg16")
    assert _with_version("pgvector/pgvector:0.8.0-pg13", "15") == "pgvector/pgvector:0.8.0-pg15"
    assert _with_version("timescale/timescaledb-ha:pg13.2-ts2.14", "15") == "timescale/timescaledb-ha:pg15-ts2.14"


def test_timescale_is_not_dumped_as_others_are(tmp_path: Path) -> None:
    base = replace(CLUSTER.databases[0], extensions=("plpgsql", "timescaledb"))
    found = facts(tmp_path, cluster=replace(CLUSTER, databases=(base,)))
    with pytest.raises(UsageError, match="its own procedure"):
        advised(found, db="postgres:15")


def test_a_version_in_a_name_of_a_release_is_none() -> None:
    assert distribution("postgres:15-bookworm") == "bookworm" and distribution("postgres:15.3") is None
    assert _with_version("registry:5000/a/postgres:13", "15") == "registry:5000/a/postgres:15"


def test_a_repository_of_ones_own_goes_only_to_what_is_on_the_engine(tmp_path: Path) -> None:
    own = facts(tmp_path, db="shop/postgres:13")
    assert advised(own)["db"].value == "stay"
    here = replace(own, images=frozenset({"shop/postgres:15"}))
    assert advised(here)["db"].recommended == "shop/postgres:15" != advised(own)["db"].recommended


def test_a_major_is_written_with_its_new_place_and_moved_by_a_dump(tmp_path: Path) -> None:
    found = facts(tmp_path)
    keys = fragment(found, db="postgres:15").services["db"]
    assert keys == {"image": "postgres:15", "volumes": [{"type": "volume", "source": "p_db-15", "target": PGDATA}]}
    assert fragment(found, db="postgres:15").volumes["p_db-15"] == {"external": True, "name": "p_db-15"}
    switch = switches(found, db="postgres:15")["db"]
    assert switch.source == {"type": "volume", "name": "p_data"} and switch.target["name"] == "p_db-15"
    assert switch.fence == {"path": "global/pg_control", "block": "absent"} and switch.size_bytes == 5000
    assert switch.writers == ("web", "files", "built")
    assert switch.dump and switch.dump["flags"] == ["max_connections", "work_mem"]
    assert switch.dump["old_image"] == "sha256:db1" and switch.dump["got"] == "image:db"


def test_a_data_directory_below_its_mount_is_fenced_there(tmp_path: Path) -> None:
    switch = switches(facts(tmp_path, data="/var/lib/postgresql"), db="postgres:15")["db"]
    assert switch.fence["path"] == "data/global/pg_control" and switch.dump
    assert (switch.dump["inside"], switch.dump["pgdata"]) == ("/var/lib/postgresql", PGDATA)


def test_from_18_on_the_image_is_told_where_its_data_is(tmp_path: Path) -> None:
    found = facts(tmp_path, db="postgres:16")
    assert fragment(found, db="postgres:18").services["db"]["environment"] == {"PGDATA": PGDATA}
    assert "environment" not in fragment(found, db="postgres:17").services["db"]


def test_18_keeps_the_mount_of_the_files_and_its_directory_below(tmp_path: Path) -> None:
    """Its image has one volume at /var/lib/postgresql and its data in 18/docker: the files' own mount stays in force,
    so the variable must name the directory in it, or the data would lie in a volume without a name."""
    keys = fragment(facts(tmp_path, db="postgres:17"), db="postgres:18").services["db"]
    assert keys["environment"] == {"PGDATA": PGDATA}
    assert keys["volumes"] == [{"type": "volume", "source": "p_db-18", "target": PGDATA}]
    above = fragment(facts(tmp_path, db="postgres:17", data="/var/lib/postgresql"), db="postgres:18").services["db"]
    assert above["environment"] == {"PGDATA": PGDATA} and above["volumes"][0]["target"] == "/var/lib/postgresql"  # type: ignore[index]


def _of_18(tmp_path: Path, **container: object) -> Facts:
    """A server of 18 as its image has it, on the mount that its manual tells."""
    found = facts(tmp_path, db="postgres:18", data="/var/lib/postgresql")
    own = "/var/lib/postgresql/18/docker"
    services = tuple(
        replace(s, containers=(replace(s.containers[0], environment={"PGDATA": own}, **container),))  # type: ignore[arg-type]
        if s.name == "db" else s for s in found.stack.services
    )  # fmt: skip
    return replace(found, stack=replace(found.stack, services=services))


def test_a_server_of_18_is_found_in_the_directory_of_its_image(tmp_path: Path) -> None:
    """The next major comes beside it, and is told the directory that the data has in the mount."""
    found = _of_18(tmp_path)
    switch = switches(found, db="postgres:19")["db"]
    assert switch.fence["path"] == "18/docker/global/pg_control" and switch.dump
    assert switch.dump["pgdata"] == "/var/lib/postgresql/18/docker"
    assert switch.dump["inside"] == "/var/lib/postgresql" and switch.target["name"] == "p_db-19"
    keys = fragment(found, db="postgres:19").services["db"]
    assert keys["environment"] == {"PGDATA": "/var/lib/postgresql/18/docker"}, "the image would look in 19/docker"
    assert "db" not in switches(found, db="postgres:18.2"), "its files are those of 18.0"


def test_a_server_of_18_whose_mount_is_the_former_one_is_refused(tmp_path: Path) -> None:
    """Its data lies in the image's own volume beside it, which no new container is handed."""
    mount = MountSpec("volume", "p_data", PGDATA, host_path="/v/data")
    with pytest.raises(UsageError, match="on no mount of its own"):
        advised(_of_18(tmp_path, mounts=(mount,)), db="postgres:19")


@pytest.mark.parametrize(
    ("name", "value"),
    [("POSTGRES_INITDB_WALDIR", "/wal"), ("POSTGRES_INITDB_ARGS", "-E UTF8 --waldir=/wal"),
     ("POSTGRES_INITDB_ARGS", "-X /wal")],
)  # fmt: skip
def test_a_server_whose_wal_lies_elsewhere_is_not_dumped(tmp_path: Path, name: str, value: str) -> None:
    found = facts(tmp_path)
    db = found.stack.service("db")
    assert db is not None
    others = tuple(s for s in found.stack.services if s.name != "db")
    told = replace(db, environment={**db.environment, name: value})
    with pytest.raises(UsageError, match="its WAL lies at /wal"):
        advised(replace(found, stack=replace(found.stack, services=(told, *others))), db="postgres:15")


def test_bitnamis_data_is_found_where_its_server_has_it(tmp_path: Path) -> None:
    place = "/bitnami/postgresql"
    found = facts(tmp_path, db="bitnami/postgresql:13", data=place, cluster=replace(CLUSTER, directory=f"{place}/data"))
    db = found.stack.service("db")
    assert db is not None
    bare = replace(db, containers=tuple(replace(c, environment={}) for c in db.containers))
    others = tuple(s for s in found.stack.services if s.name != "db")
    found = replace(found, stack=replace(found.stack, services=(bare, *others)))
    assert advised(found, db="pin")["db"].value == "pin"
    with pytest.raises(UsageError, match="Bitnami's images"):
        advised(found, db="bitnami/postgresql:15")


@pytest.mark.parametrize(
    ("old", "new", "moves"),
    [
        ("postgres:15-bookworm", "postgres:15-alpine", True),
        ("postgres:15-alpine3.20", "postgres:15-alpine3.22", False),
        ("postgres:15-bookworm", "postgres:15-trixie", True), ("postgres:15", "postgres:15-alpine", False),
        ("postgres:15-alpine", "postgres:17-bookworm", True),
    ],
)  # fmt: skip
def test_text_that_is_sorted_otherwise_is_restored_where_the_tags_tell_it(
    tmp_path: Path, old: str, new: str, moves: bool
) -> None:
    """Where they do not, the image is asked before anything is touched; so it is for the same system, too."""
    found = facts(tmp_path, db=old)
    assert ("db" in switches(found, db=new)) == moves
    assert isinstance(OPTIMIZATION, Prepares)
    tried = [s.kind for s in OPTIMIZATION.prepare(found, fragment(found, db=new)) if s.kind == "pg-try"]
    assert tried == ([] if moves else ["pg-try"])


def test_a_user_of_the_files_is_told_to_the_restore(tmp_path: Path) -> None:
    """postgres is 999 on Debian and 70 on Alpine: the image gives its files its own, but for a user that was named."""
    found = facts(tmp_path, db="postgres:15-alpine")
    services = tuple(
        replace(s, config={**s.config, "user": "70:70"}) if s.name == "db" else s for s in found.stack.services
    )
    own = replace(found, stack=replace(found.stack, services=services))
    for facts_now, user in ((found, ""), (own, "70:70")):
        dump = switches(facts_now, db="postgres:17-bookworm")["db"].dump
        assert dump and dump["user"] == user


def test_what_was_moved_is_no_reason_to_go_further(tmp_path: Path) -> None:
    """The files say 13, nftui put 15 there: the same choice writes the same, and moves nothing."""
    moved = facts(tmp_path, running="15.4", volume="p_db-15")
    assert fragment(moved).services["db"] == fragment(facts(tmp_path), db="postgres:15").services["db"]
    assert "db" not in switches(moved)
    between = facts(tmp_path, running="14.9", volume="p_db-14")
    assert advised(between)["db"].recommended == "postgres:15", "the next step is that of the files"
    further = switches(moved, db="postgres:17")["db"]
    assert further.source["name"] == "p_db-15" and further.target["name"] == "p_db-17"


@pytest.mark.parametrize("value", ["stay", "postgres:13", "postgres:14"])
def test_a_way_back_by_a_knob_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(UsageError, match="nftui rollback"):
        advised(facts(tmp_path, running="15.4", volume="p_db-15"), db=value)


def test_what_was_moved_can_be_pinned_where_it_is(tmp_path: Path) -> None:
    keys = fragment(facts(tmp_path, running="15.4", volume="p_db-15"), db="pin").services["db"]
    assert keys["image"] == "sha256:db1" and keys["volumes"][0]["source"] == "p_db-15"  # type: ignore[index]


def test_another_c_library_is_restored_too(tmp_path: Path) -> None:
    found = facts(tmp_path, db="postgres:15-alpine")
    assert switches(found, db="postgres:15-bookworm")["db"].target["name"] == "p_db-15-bookworm"
    assert "db" not in switches(found, db="postgres:15.9-alpine")


def test_a_minor_is_an_ordinary_recreate(tmp_path: Path) -> None:
    assert fragment(facts(tmp_path), db="postgres:13.22").services["db"] == {"image": "postgres:13.22"}


def test_what_cannot_be_dumped_stays_and_says_why(tmp_path: Path) -> None:
    blocked = facts(tmp_path, cluster=replace(CLUSTER, slots=("standby_1",)))
    line = advised(blocked)["db"]
    assert line.value == "stay" and line.recommended == "postgres:15" and "standby_1" in str(line.notes[0])
    with pytest.raises(UsageError, match="standby_1"):
        advised(blocked, db="postgres:15")
    with pytest.raises(UsageError, match="password refused"):
        advised(facts(tmp_path, cluster=None), db="postgres:15")
    with pytest.raises(UsageError, match="/etc/postgresql/own"):
        advised(facts(tmp_path, cluster=replace(CLUSTER, included=("/etc/postgresql/own.conf",))), db="postgres:15")


@pytest.mark.parametrize(
    ("named", "included", "why"),
    [
        (
            ("/var/lib/postgresql/data/pgdata/hba", "server.crt", "/run/secrets/key"),
            (f"{PGDATA}/pgdata/own.conf",),
            None,
        ),
        (("/var/lib/postgresql/data/conf/hba",), (), "conf/hba"),
        (("../conf/hba",), (), "conf/hba"),
        ((), (f"{PGDATA}/pgdata/mounted.conf",), "mounted into its data directory"),
    ],
)
def test_files_that_a_dump_would_leave_behind_keep_it_where_it_is(
    tmp_path: Path, named: tuple[str, ...], included: tuple[str, ...], why: str | None
) -> None:
    """Its data lies in a directory of the volume; beside that, the volume is left."""
    cluster = replace(CLUSTER, directory=f"{PGDATA}/pgdata", named=named, included=included)
    found = with_mount(facts(tmp_path, cluster=cluster), f"{PGDATA}/pgdata/mounted.conf")
    if why is None:
        assert advised(found, db="postgres:15")["db"].value == "postgres:15"
        return
    with pytest.raises(UsageError, match=why):
        advised(found, db="postgres:15")


def with_mount(found: Facts, target: str) -> Facts:
    """The database has that file mounted as well."""
    mount = MountSpec("bind", "/srv/own.conf", target, read_only=True)
    services = tuple(
        replace(s, containers=tuple(replace(c, mounts=(*c.mounts, mount)) for c in s.containers))
        if s.name == "db" else s for s in found.stack.services
    )  # fmt: skip
    return replace(found, stack=replace(found.stack, services=services))


@pytest.mark.parametrize(
    ("archives", "image", "told"),
    [(True, "postgres:15", True), (True, "postgres:13.22", False), (False, "postgres:15", False)],
)
def test_a_server_that_archives_is_told_that_its_wal_begins_anew(
    tmp_path: Path, archives: bool, image: str, told: bool
) -> None:
    line = advised(facts(tmp_path, cluster=replace(CLUSTER, archives=archives)), db=image)["db"]
    assert any("archives its WAL" in str(note) for note in line.notes) is told


@pytest.mark.parametrize(
    ("config", "version", "fence"),
    [
        ({"appendonly": "no", "dbfilename": "x.rdb"}, "6.2", ("x.rdb", "directory", None)),
        ({"appendonly": "yes"}, "6.2", ("appendonly.aof", "directory", "appendonlydir")),
        ({"appendonly": "yes", "dir": "/data/sub"}, "7.0", ("sub/appendonlydir", "file", None)),
    ],
)
def test_a_redis_is_fenced_by_what_it_loads(
    tmp_path: Path, config: dict[str, str], version: str, fence: tuple[str, str, str | None]
) -> None:
    target = "redis:8" if version > "7" else "redis:7"
    found = facts(tmp_path, cache=f"redis:{version}", redis=RedisFacts(f"{version}.1", config=config))
    switch = switches(found, cache=target)["cache"]
    assert (switch.fence["path"], switch.fence["block"], switch.fence.get("later_path")) == fence
    assert [s.kind for s in switch.ease] == ["redis-save"] and switch.dump is None
    kinds = [s.kind for s in OPTIMIZATION.steps(found, fragment(found, cache=target)) if s.service == "cache"]
    assert kinds == ["image-check", "redis-count"]


def test_a_cluster_node_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="part of a cluster"):
        advised(facts(tmp_path, redis=RedisFacts("6.2.1", mode="cluster")), cache="redis:7")


def test_nobody_knows_how_an_app_keeps_its_data(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="its own manual"):
        advised(facts(tmp_path), files="shop/files:2.0")
    assert advised(facts(tmp_path), files="shop/files:1.3")["files"].value == "shop/files:1.3"


@pytest.mark.parametrize(
    ("environment", "refused"),
    [
        ('DATABASE_URL: "postgresql://u:not-a-secret@db/x"', True), ("PGHOST: db", True),
        ('DB: "mysql+pymysql://u@elsewhere/x"', True), ('SPRING_DATASOURCE_URL: "jdbc:mariadb://m/x"', True),
        ("database__connection__host: shop-db", True), ("MONGO_HOST: 'documents:27017'", True),
        ('REDIS_URL: "redis://cache"', False), ('SITE: "https://mysql.example.org"', False), ("API_HOST: files", False),
    ],
)  # fmt: skip
def test_an_app_with_a_database_may_change_it_for_good(tmp_path: Path, environment: str, refused: bool) -> None:
    more = '  shop-db: {image: "mysql:8.0"}\n  documents: {image: "mongo:7"}\n'
    found = facts(tmp_path, web="shop/web:1.2", environment=environment, more=more)
    if refused:
        with pytest.raises(UsageError, match="its own manual"):
            advised(found, web="shop/web:2")
    else:
        assert advised(found, web="shop/web:2")["web"].value == "shop/web:2"
    told = " ".join(map(str, advised(found, web="shop/web:1.3")["web"].notes))
    assert ("have a backup" in told) == refused
    assert "have a backup" not in " ".join(map(str, advised(found, web="pin")["web"].notes))


@pytest.mark.parametrize(("name", "value"), [("nobody", "x:1"), ("nobody", "pin"), ("built", "stay")])
def test_a_name_that_nobody_has_is_told(tmp_path: Path, name: str, value: str) -> None:
    found = facts(tmp_path)
    choices = Choices({"images": Selection.ON}, {("images", None, name): value})
    told = map(str, draft(found, choices, {"images": OPTIMIZATION}, standing(found)).warnings)
    words = f"images.{name} is taken by nothing here. It applies to: db, cache, web, files."
    assert [text for text in told if "taken by nothing" in text] == [words]


@pytest.mark.parametrize("value", ["pin", "shop/built:2"])
def test_another_image_in_place_of_one_that_is_built_here_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(UsageError, match=f"images.built = {value} is refused: its image is built here"):
        advised(facts(tmp_path), built=value)


def test_an_image_on_the_engine_needs_no_registry_and_is_told_with_its_digest(tmp_path: Path) -> None:
    found = facts(tmp_path)
    digest = "sha256:" + "ab" * 32
    stored = StoredImage("sha256:id", ("postgres:15",), (f"postgres@{digest}",), size=1024)
    known = replace(found, stored={"postgres:15": stored}, images=frozenset({"postgres:15"}))
    notes = " ".join(map(str, advised(known, db="postgres:15")["db"].notes))
    assert digest in notes and "No registry is asked" in notes
    assert "it is pulled before anything is touched" in " ".join(map(str, advised(found, db="postgres:15")["db"].notes))


def test_a_pin_is_the_registrys_digest_where_there_is_one(tmp_path: Path) -> None:
    found = facts(tmp_path, web="nginx")
    digest = f"nginx@sha256:{'0' * 64}"
    services = tuple(
        replace(s, containers=(replace(s.containers[0], image_digests=("other@sha256:1", digest)),))
        if s.name == "web" else s for s in found.stack.services
    )  # fmt: skip
    pinned = replace(found, stack=replace(found.stack, services=services))
    assert fragment(pinned).services["web"] == {"image": digest}
    assert fragment(found).services["web"] == {"image": "sha256:web1"}


def test_every_image_that_changes_is_had_first(tmp_path: Path) -> None:
    found, wish = facts(tmp_path), {"db": "postgres:15", "cache": "redis:7"}
    assert isinstance(OPTIMIZATION, Prepares)
    steps = {s.service: s for s in OPTIMIZATION.prepare(found, fragment(found, **wish)) if s.kind == "image"}
    assert {n: s.target for n, s in steps.items()} == {"db": "postgres:15", "cache": "redis:7", "web": "sha256:web1"}
    assert steps["db"].params == {"keep": "nftui-kept/p-db:db1", "major": "15"} and steps["db"].last_back
    low = OPTIMIZATION.effort(found, tuple(advised(found, **wish).values()))
    assert (low.low, low.high) == (1.75, 2.5)


def _kept(found: Facts, project: str, *names: str) -> list[str]:
    """What the former images of services of these names are kept as."""
    db = found.stack.services[0]
    stack = replace(found.stack, name=project, services=tuple(replace(db, name=name) for name in names))
    live = {(n, probe): v for n in names for (s, probe), v in found.live.items() if s == "db"}
    renamed = replace(found, stack=stack, live=live)
    assert isinstance(OPTIMIZATION, Prepares)
    part = fragment(renamed, **dict.fromkeys(names, "postgres:13.22"))
    return [str(s.params["keep"]) for s in OPTIMIZATION.prepare(renamed, part) if s.kind == "image"]


@pytest.mark.parametrize(
    ("project", "name", "plain"),
    [("p", "db", True), ("my_app", "db.main", True), ("p", "_db", False), ("p", "redis_", False), ("app_", "db", False),
     ("p", "a..b", False), ("p", "a___b", False), ("p", "DB", False), ("p", "d" * 300, False)],
)  # fmt: skip
def test_what_ran_is_kept_under_a_name_that_the_engine_takes(
    tmp_path: Path, project: str, name: str, plain: bool
) -> None:
    (kept,) = _kept(facts(tmp_path), project, name)
    assert (kept == f"nftui-kept/{project}-{name}:db1") == plain
    repository, _, tag = kept.removeprefix("nftui-kept/").partition(":")
    assert re.fullmatch(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*", repository) and tag == "db1" and len(kept) < 240
    assert _kept(facts(tmp_path), project, name) == [kept], "the same at each planning"


def test_services_of_like_names_are_kept_apart(tmp_path: Path) -> None:
    names = ("db", "_db", "db_", "DB", "Db")
    assert len(set(_kept(facts(tmp_path), "p", *names))) == len(names)


def _predicted(tmp_path: Path, size: int, cpus: int, load: float | None) -> float:
    cluster = replace(CLUSTER, databases=(DatabaseFacts("x", size, "UTF8", "C", "C"),))
    found = facts(tmp_path, cluster=cluster)
    host = replace(found.host, cpu=Cpu(logical=cpus), load=load)
    return switches(replace(found, host=host, engine=None), db="postgres:15")["db"].downtime_s


def test_the_downtime_of_a_dump_follows_the_processors_that_are_free_for_it(tmp_path: Path) -> None:
    idle = _predicted(tmp_path, 2 * GIB, 2, 0.0)
    assert _predicted(tmp_path, 2 * GIB, 2, None) == idle
    assert _predicted(tmp_path, 4 * GIB, 2, 0.0) > 1.7 * idle
    assert _predicted(tmp_path, 2 * GIB, 8, 0.0) < idle / 2
    assert _predicted(tmp_path, 2 * GIB, 2, 12.0) > 3 * idle
    assert _predicted(tmp_path, 100 * GIB, 8, 0.0) > 600, "a disk is not faster for more processors"


def test_the_downtime_of_a_redis_follows_what_it_holds(tmp_path: Path) -> None:
    """It is saved, saved again by its stop, copied, compared and loaded, all while its apps are stopped."""

    def predicted(held: int | None) -> float:
        live = RedisFacts("6.2.1", config={"appendonly": "no"}, used_memory=held)
        return switches(facts(tmp_path, redis=live), cache="redis:7")["cache"].downtime_s

    measured = 6.0 + 5.5 + 4.3 + 1.3
    assert measured / 2 < predicted(384 * 1024**2) < measured * 2
    assert predicted(None) < 10 and predicted(8 * GIB) > 200


def test_another_version_is_read_back_where_it_comes_and_not_where_its_service_is_tuned(tmp_path: Path) -> None:
    """Tuned first, on the version that runs; then its data moves. Only then does the file name the new image."""
    found = replace(facts(tmp_path), images=frozenset({"postgres:15"}))
    wanted = {"images": Selection.ON, "postgres": Selection.ON}
    values: dict[tuple[str, str | None, str], str] = {("images", None, "db"): "postgres:15"}
    choices = Choices({**dict.fromkeys(REGISTRY, Selection.UNTOUCHED), **wanted}, values)
    settings, data = draft(found, choices, REGISTRY, standing(found)).stages
    assert "recreate:db" in [s.id for s in settings.steps], "it is tuned as it is"
    read = [[s.target for s in stage.steps if s.kind == "image-check"] for stage in (settings, data)]
    assert "db" not in read[0] and read[1] == ["db"]
    tuned = {s.kind for s in settings.steps if s.service == "db" and s.optimization == "postgres"}
    assert tuned & {s.kind for s in data.steps}, "what it was tuned to is read back from the new version as well"
