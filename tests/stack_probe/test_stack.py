"""A stack from what Compose, the engine and the plain files say; whatever is missing becomes one line."""

from pathlib import Path
from typing import Any

import pytest

from nftui.engine.check import notes, obstacles
from nftui.model.message import msg
from nftui.model.stack import Invocation, Place, Problem, Role, Stack
from nftui.probes.containers import are_coming, companions, namespace_ids, pending_changes, stale_services
from nftui.probes.inspected import ENVIRONMENT_FILE
from nftui.probes.stack import read_stack
from nftui.system.compose import ComposeError
from nftui.system.docker import EngineError
from tests.stack_probe.fakes import FakeCompose, FakeEngine, Read, classify, container

DB: dict[str, Any] = {
    "image": "postgres:15", "command": ["postgres", "-c", "a=b"], "environment": {"POSTGRES_USER": "u", "N": None},
    "deploy": {"resources": {"limits": {"memory": "536870912", "cpus": 1.5}, "reservations": {"memory": "134217728"}}},
    "shm_size": "67108864", "stop_grace_period": "1m30s", "restart": "always",
    "volumes": [{"type": "volume", "source": "data", "target": "/var/lib/postgresql/data"}], "tmpfs": ["/run:size=1m"],
    "ports": [{"target": 5432, "published": "5432", "host_ip": "127.0.0.1", "protocol": "tcp"}],
}  # fmt: skip
CACHE: dict[str, Any] = {"image": "redis:7", "mem_limit": "1048576", "cpus": 0.5, "scale": 2, "depends_on": {"db": {}}}
MAIL: dict[str, Any] = {"image": "mail", "profiles": ["mail"]}
ACTIVE = {"name": "app", "services": {"db": DB, "cache": CACHE}, "volumes": {"data": {}}}
ALL = {"name": "app", "services": {"db": DB, "cache": CACHE, "mail": MAIL}}
READ = Read(ALL, {"services": {"db": {"image": "${I}"}}},
            {"services.db": Place("c.yaml", 2), "services.db.image": Place("c.yaml", 3), "services.dbx": Place("x", 9)},
            environment={"DB_PASSWORD": "Hunter2!"}, active=("db", "cache"))  # fmt: skip


@pytest.fixture
def invocation(tmp_path: Path) -> Invocation:
    (tmp_path / "c.yaml").write_text("services: {a: {profiles: [x]}}")
    (tmp_path / "prod.env").write_text("")
    return Invocation(str(tmp_path), (str(tmp_path / "c.yaml"),))


def files(invocation: Invocation, *more: str) -> dict[str, str]:
    return {"com.docker.compose.project.config_files": ",".join((*invocation.files, *more))}


def read(invocation: Invocation, engine: Any, compose: Any, source: Read = READ) -> Stack:
    return read_stack(invocation, engine, compose, lambda i, e: source, classify, {})


def full(invocation: Invocation) -> FakeCompose:
    return FakeCompose(invocation, {(): ACTIVE, ("*",): ALL})


def ids(stack: Stack) -> list[str]:
    return [p.id for p in stack.problems]


def test_services_as_declared(invocation: Invocation) -> None:
    stack = read(invocation, FakeEngine(), full(invocation))
    assert (stack.name, stack.resolved_by, stack.problems) == ("app", "compose", ())
    db, cache, mail = stack.services
    assert (db.role, db.version, db.memory_limit_bytes, db.memory_reservation_bytes) == (
        Role.POSTGRES,
        "15",
        512 << 20,
        128 << 20,
    )
    assert (db.cpus, db.shm_bytes, db.stop_grace_s, db.restart, db.scale) == (1.5, 64 << 20, 90.0, "always", 1)
    assert [(m.type, m.source, m.target) for m in db.mounts] == [
        ("volume", "data", "/var/lib/postgresql/data"), ("tmpfs", None, "/run")]  # fmt: skip
    assert (db.ports[0].target, db.ports[0].published, db.ports[0].host_ip) == ("5432", "5432", "127.0.0.1")
    assert (db.raw, db.place("image.x"), db.place("environment")) == (
        {"image": "${I}"},
        Place("c.yaml", 3),
        Place("c.yaml", 2),
    )
    assert (cache.memory_limit_bytes, cache.cpus, cache.scale) == (1 << 20, 0.5, 2)
    assert (mail.active, mail.profiles) == (False, ("mail",))


def test_services_with_their_containers(invocation: Invocation) -> None:
    engine = FakeEngine([
        container("db", env=["A=b=c"], host={"Memory": 5, "NanoCpus": 1_500_000_000, "ShmSize": 9},
                  ports={"5432/tcp": [{"HostIp": "127.0.0.1", "HostPort": "5433"}], "1/tcp": None},
                  mounts=[{"Type": "volume", "Name": "app_data", "Source": "/v/_data", "Destination": "/d"}],
                  state={"Health": {"Status": "healthy"}}),
        container("db", 2, state={"Status": "exited", "ExitCode": 137, "OOMKilled": True}),
        container("db", 3, labels={"com.docker.compose.oneoff": "True"}),
        container("db", project="other"),
    ], images={"sha256:1": {"RepoDigests": ["redis@sha256:abc"]}})  # fmt: skip
    db = read(invocation, engine, full(invocation)).services[0]
    assert [c.name for c in db.containers] == ["app-db-1", "app-db-2"]
    first, second = db.containers
    assert (first.environment, first.memory_limit_bytes, first.cpus, first.health) == ({"A": "b=c"}, 5, 1.5, "healthy")
    assert (first.published, first.addresses) == ({"5432/tcp": ("127.0.0.1", 5433)}, {"app_default": "172.18.0.2"})
    assert (first.mounts[0].source, first.mounts[0].host_path) == ("app_data", "/v/_data")
    assert (first.image_digests, first.config_hash, first.pid, first.exit_code) == (
        ("redis@sha256:abc",),
        "hash-db",
        77,
        None,
    )
    assert (second.running, second.pid, second.exit_code, second.oom_killed) == (False, None, 137, True)


def test_a_profile_that_does_not_resolve_is_named(invocation: Invocation) -> None:
    said = 'service "mail" refers to undefined network x: invalid compose project'
    source = Read(
        ALL, problems=(Problem("network-undefined", "mail uses x"), Problem("other", "db is odd")), active=("db",)
    )
    stack = read(invocation, FakeEngine(), FakeCompose(invocation, {(): ACTIVE, ("*",): said}), source)
    assert stack.resolved_by == "compose"
    assert [(p.id, p.blocks) for p in stack.problems] == [("profile-unresolved", ()), ("other", ())]
    assert stack.problems[0].text == (
        'Profile mail does not resolve: service "mail" refers to undefined network x. What is in use does.'
    )
    assert [s.name for s in stack.services if not s.active] == ["mail"]


def test_a_project_that_does_not_resolve_is_read_from_its_files(invocation: Invocation) -> None:
    said = 'invalid value "Hunter2!" for services.db.image'
    compose = FakeCompose(invocation, {(): said, ("*",): said, ("mail",): ALL})
    stack = read(invocation, FakeEngine(), compose)
    assert (stack.resolved_by, ids(stack), stack.problems[0].blocks) == (
        "files",
        ["project-unresolved"],
        ("plan", "apply"),
    )
    assert "It resolves under: --profile mail." in stack.problems[0].text
    assert "Hunter2" not in stack.problems[0].text + str(stack.problems[0].message)
    assert [s.active for s in stack.services] == [True, True, False]


def test_files_that_run_under_another_name_are_told(invocation: Invocation) -> None:
    other = container("db", project="shop", labels=files(invocation))
    stack = read(invocation, FakeEngine([other]), full(invocation))
    assert (stack.services[0].state, stack.elsewhere) == ("absent", ("shop",))
    assert [(p.id, p.blocks) for p in stack.problems] == [("runs-as-another-project", ("apply",))]
    text = "Nothing runs as project app; the same files run as shop. Say -p shop."
    assert (stack.problems[0].text, notes(stack.problems)) == (text, stack.problems)
    assert [str(m) for m in obstacles(stack.problems)] == [text]


def test_both_names_run(invocation: Invocation) -> None:
    mine, other = (container("db", project=p, labels=files(invocation)) for p in ("app", "shop"))
    stack = read(invocation, FakeEngine([mine, other]), full(invocation))
    assert (stack.services[0].state, stack.elsewhere, stack.problems[0].blocks) == ("running", ("shop",), ())
    assert "takes part in the next `docker compose up` of shop" in stack.problems[0].text
    assert [str(m) for m in obstacles(stack.problems)] == [stack.problems[0].text]


@pytest.mark.parametrize("compose", [None, ComposeError("compose-old", msg("Compose 2.1 is too old"))])
def test_without_compose(invocation: Invocation, compose: Any) -> None:
    stack = read(invocation, FakeEngine([container("db")]), compose)
    assert (stack.resolved_by, ids(stack)) == ("files", [compose.id if compose else "compose-missing"])
    assert stack.services[0].running is not None


@pytest.mark.parametrize(
    "engine",
    [None, EngineError("engine-missing", msg("none")), FakeEngine(error=EngineError("engine-missing", msg("down")))],
)
def test_without_an_engine(invocation: Invocation, engine: Any) -> None:
    stack = read(invocation, engine, full(invocation))
    assert (stack.resolved_by, ids(stack)) == ("compose", ["engine-missing"])
    assert stack.services[0].state == "absent"


def test_the_env_file_of_the_running_containers_counts(invocation: Invocation) -> None:
    env = str(Path(invocation.directory) / "prod.env")
    engine = FakeEngine([container("db", labels={ENVIRONMENT_FILE: env, **files(invocation)})])
    compose = full(invocation)
    stack = read(invocation, engine, compose)
    assert stack.invocation.env_files == (env,)
    assert (env,) in compose.asked
    engine.inspected[0]["Config"]["Labels"][ENVIRONMENT_FILE] = "/gone.env"
    assert read(invocation, engine, compose).invocation.env_files == ()


# -- pending changes -----------------------------------------------------------------------------------------
def changed(
    invocation: Invocation, actions: dict[str, str], *more: Any, effective: Any = None, image: str = "sha256:2"
) -> dict[str, tuple[str, ...]]:
    engine = FakeEngine([
        container("db", labels=files(invocation, *more), env=["POSTGRES_USER=old", "PGDATA=/x", "SHELL_ONLY=secret"],
                  host={"Memory": 512 << 20, "NanoCpus": 1_500_000_000}),
        container("cache", labels=files(invocation), host={"Memory": 2 << 20, "NanoCpus": 500_000_000}),
    ], images={"postgres:15": {"Id": image, "Config": {"Env": ["PGDATA=/x"]}}})  # fmt: skip
    compose = FakeCompose(invocation, {(): ACTIVE, ("*",): ALL}, actions, effective)
    return pending_changes(read(invocation, engine, compose), compose, engine)


def test_differences_are_named_without_values(invocation: Invocation) -> None:
    found = changed(invocation, {"app-db-1": "recreate", "app-cache-1": "running"})
    assert found["db"] == ("image: redis:7 is another one now", "environment: POSTGRES_USER, SHELL_ONLY", "command")
    assert found["cache"] == ("memory limit",)
    assert "secret" not in str(found)


def test_a_service_started_with_nftuis_file_is_compared_with_it(invocation: Invocation) -> None:
    own = Path(invocation.directory) / "compose.nftui.yaml"
    own.write_text("")
    found = changed(
        invocation, {"app-db-1": "running", "app-cache-1": "recreate"}, str(own), effective=ACTIVE, image="sha256:1"
    )
    assert set(found) == {"cache"}


def test_stale_services_and_scales(invocation: Invocation) -> None:
    engine = FakeEngine([container("db"), container("cache"), container("cache", 2), container("cache", 3)])
    compose = FakeCompose(invocation, {(): ACTIVE, ("*",): ALL}, {"app-db-1": "recreate", "elsewhere": "recreate"})
    assert stale_services(read(invocation, engine, compose), compose) == ("db",)
    assert ("dry-run", "False", "{'cache': 3}") in compose.asked


def test_companions_are_up_and_healthy(invocation: Invocation) -> None:
    healthy = {"Health": {"Status": "healthy"}}
    engine = FakeEngine([container("db", state=healthy), container("cache")])
    stack = read(invocation, engine, full(invocation))
    assert companions(stack, "cache") == {"db": 1}
    assert companions(stack, "db") == {}
    assert namespace_ids([c for s in stack.services for c in s.containers])["db"] == "app-db-1-id"
    engine.inspected[0]["State"] = {"Status": "running", "Health": {"Status": "unhealthy"}}
    assert companions(read(invocation, engine, full(invocation)), "cache") == {}


@pytest.mark.parametrize(
    ("state", "coming"),
    [
        ({"Status": "running", "Health": {"Status": "starting"}}, True),
        ({"Status": "running", "Health": {"Status": "healthy"}}, False), ({"Status": "running"}, False),
        ({"Status": "running", "Health": {"Status": "unhealthy"}}, False), ({"Status": "exited"}, False),
    ],
)  # fmt: skip
def test_what_has_not_told_yet_whether_it_is_well_is_coming(
    invocation: Invocation, state: dict[str, Any], coming: bool
) -> None:
    engine = FakeEngine([container("db"), container("cache")])
    engine.inspected[0]["State"] = state
    stack = read(invocation, engine, full(invocation))
    assert are_coming(stack, "cache") == coming and not are_coming(stack, "db")
    assert not (coming and companions(stack, "cache")), "it would be waited for without an end"
