"""Memory in use, from cgroup files of both versions or from the engine; what is unknown is left out."""

from pathlib import Path

import pytest

from nftui.model.stack import Invocation, Service, Stack
from nftui.probes.inspected import container_of
from nftui.probes.usage import Usage, memory_usage, oom_kills, working_set
from tests.stack_probe.fakes import FakeEngine, container

MIB = 1 << 20


def cgroup(root: Path, pid: int, lines: str, place: str, **files: str) -> None:
    (root / f"proc/{pid}").mkdir(parents=True)
    (root / f"proc/{pid}/cgroup").write_text(lines)
    folder = root / "sys/fs/cgroup" / place
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


@pytest.mark.parametrize("version", [1, 2])
def test_from_the_cgroup(tmp_path: Path, version: int) -> None:
    if version == 1:
        cgroup(tmp_path, 77, "9:cpu:/x\n4:memory:/docker/app-db-1-id\n0::/\n", "memory/docker/app-db-1-id",
               memory__usage_in_bytes=str(9 * MIB), memory__stat=f"inactive_file 1\ntotal_inactive_file {2 * MIB}\n",
        )  # fmt: skip
    else:
        cgroup(tmp_path, 77, "0::/system.slice/docker-app-db-1-id.scope\n", "system.slice/docker-app-db-1-id.scope",
               memory__current=str(9 * MIB), memory__stat=f"anon 5\ninactive_file {2 * MIB}\n")  # fmt: skip
    assert working_set(container_of(container("db")), FakeEngine(), str(tmp_path)) == 7 * MIB


def test_a_pid_of_another_machine_is_not_read(tmp_path: Path) -> None:
    cgroup(tmp_path, 77, "0::/user.slice\n", "user.slice", memory__current="1", memory__stat="inactive_file 0\n")
    sample = {"memory_stats": {"usage": 5 * MIB, "stats": {"inactive_file": MIB}}}
    engine = FakeEngine(samples={"app-db-1-id": sample})
    assert working_set(container_of(container("db")), engine, str(tmp_path)) == 4 * MIB


def test_a_container_that_just_went_away_uses_nothing(tmp_path: Path) -> None:
    engine = FakeEngine(samples={"app-db-1-id": None})  # type: ignore[dict-item]
    assert working_set(container_of(container("db")), engine, str(tmp_path)) is None


def test_the_project_and_the_others(tmp_path: Path) -> None:
    sample = {"memory_stats": {"usage": 3 * MIB, "stats": {}}}
    inspected = [
        container("db"), container("db", 2), container("gone", state={"Status": "exited"}),
        container("x", project="other", host={"Memory": 10 * MIB}), container("y", project="other"),
        container("z", project="other", state={"Status": "exited"}, host={"Memory": 99 * MIB}),
    ]  # fmt: skip
    engine = FakeEngine(inspected, samples={str(c["Id"]): sample for c in inspected[:5]} | {"app-db-2-id": {}})
    services = (Service("db", containers=tuple(container_of(c) for c in inspected[:2])), Service("none"))
    stack = Stack("app", Invocation("/x", ()), services)
    assert memory_usage(stack, engine, str(tmp_path)) == Usage({"db": 3 * MIB}, 13 * MIB, 6 * MIB)


def test_a_service_whose_child_the_kernel_killed(tmp_path: Path) -> None:
    cgroup(tmp_path, 77, "0::/docker-app-db-1-id.scope\n", "docker-app-db-1-id.scope",
           memory__events="oom 3\noom_kill 2\n", memory__current="1", memory__stat="inactive_file 0\n")  # fmt: skip
    inspected = [container("db")]
    stack = Stack("app", Invocation("/x", ()), (Service("db", containers=(container_of(inspected[0]),)),))
    assert memory_usage(stack, FakeEngine(inspected), str(tmp_path)).killed == {"db": 2}


@pytest.mark.parametrize(("version", "expected"), [(1, 2), (2, 2)])
def test_processes_that_the_kernel_killed_are_counted(tmp_path: Path, version: int, expected: int) -> None:
    if version == 1:
        cgroup(tmp_path, 77, "4:memory:/docker/app-db-1-id\n0::/\n", "memory/docker/app-db-1-id",
               memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")  # fmt: skip
    else:
        cgroup(tmp_path, 77, "0::/docker-app-db-1-id.scope\n", "docker-app-db-1-id.scope",
               memory__events="low 0\nmax 9\noom 3\noom_kill 2\n")  # fmt: skip
    assert oom_kills(container_of(container("db")), str(tmp_path)) == expected


def test_an_old_kernel_does_not_count(tmp_path: Path) -> None:
    cgroup(tmp_path, 77, "4:memory:/docker/app-db-1-id\n0::/\n", "memory/docker/app-db-1-id",
           memory__oom_control="oom_kill_disable 0\nunder_oom 0\n")  # fmt: skip
    assert oom_kills(container_of(container("db")), str(tmp_path)) is None
