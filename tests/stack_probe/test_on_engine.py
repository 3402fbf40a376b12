"""The same on a real engine: what Compose 2 and Docker really say."""

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nftui.model.stack import ProjectRequest, Stack
from nftui.probes.containers import companions, namespace_ids, pending_changes, project_containers, stale_services
from nftui.probes.project import find_project
from nftui.probes.reader import read_project
from nftui.probes.stack import read_stack
from nftui.probes.surroundings import ELSEWHERE
from nftui.probes.usage import memory_usage
from nftui.system.compose import ComposeCli, ComposeError
from nftui.system.docker import DockerEngine
from nftui.system.endpoint import resolve_endpoint
from nftui.system.processes import LocalCommands
from tests.stack_probe.fakes import classify

pytestmark = pytest.mark.engine

IMAGE = "nftui-test/base:bookworm"
SLEEP = f"image: {IMAGE}, command: [sleep, '1000'], init: true, stop_grace_period: 1s"
FILE = f"""
services:
  db: {{{SLEEP}, env_file: db.env, environment: {{A: "a$$b", S: "${{NFT_SHELL:-x}}"}}, mem_limit: 64m,
       volumes: ["data:/data"], shm_size: 32m, ports: ["127.0.0.1::5432"], ipc: shareable}}
  web: {{{SLEEP}, depends_on: [db]}}
  side: {{{SLEEP}, network_mode: "service:web"}}
  job: {{image: {IMAGE}, command: ["true"], profiles: [jobs]}}
  broken: {{image: {IMAGE}, networks: [nowhere], profiles: [bad]}}
volumes: {{data: }}
"""


@dataclass
class Project:
    """A project of its own on the engine."""

    directory: Path
    name: str
    engine: DockerEngine

    def compose(self, *arguments: str, **environ: str) -> str:
        argv = ["docker", "compose", "-p", self.name, *arguments]
        done = subprocess.run(
            argv, cwd=self.directory, env={**os.environ, **environ}, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    @property
    def port(self) -> ComposeCli:
        invocation = find_project(ProjectRequest(str(self.directory), name=self.name), os.environ)
        return ComposeCli(LocalCommands(), invocation, self.engine.endpoint, os.environ)

    def read(self) -> Stack:
        return read_stack(self.port.invocation, self.engine, self.port, read_project, classify)

    def labels(self) -> dict[str, str | None]:
        return {c.service: c.config_hash for c in project_containers(self.engine, self.name)}


@pytest.fixture
def project(engine: None, tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "compose.yaml").write_text(FILE)
    (tmp_path / "db.env").write_text("E=1\n")
    port = DockerEngine(resolve_endpoint(os.environ))
    made = Project(tmp_path, f"nftui-t-{secrets.token_hex(3)}", port)
    yield made
    (tmp_path / "compose.yaml").write_text(FILE)
    made.compose("--profile", "jobs", "down", "-v", "--remove-orphans", "-t", "1")
    port.close()


@pytest.fixture
def up(project: Project) -> Callable[..., Project]:
    def start(**environ: str) -> Project:
        project.compose("up", "-d", **environ)
        return project

    return start


def test_a_running_stack_is_read_whole(up: Callable[..., Project]) -> None:
    stack = up().read()
    assert (stack.resolved_by, [p.id for p in stack.problems]) == ("compose", ["profile-unresolved"])
    assert 'service "broken" refers to undefined network nowhere' in stack.problems[0].text
    assert [(s.name, s.active, s.state) for s in stack.services] == [
        ("db", True, "running"), ("web", True, "running"), ("side", True, "running"),
        ("job", False, "absent"), ("broken", False, "absent"),
    ]  # fmt: skip
    db = stack.services[0]
    assert (db.environment, db.memory_limit_bytes, db.shm_bytes) == (
        {"A": "a$b", "E": "1", "S": "x"},
        64 << 20,
        32 << 20,
    )
    container = db.containers[0]
    assert (container.memory_limit_bytes, container.shm_bytes) == (64 << 20, 32 << 20)
    assert container.environment["A"] == "a$b"
    assert container.published["5432/tcp"][0] == "127.0.0.1"
    assert container.mounts[0].host_path is not None
    assert db.place("environment.A") is not None


def test_a_stack_that_runs_under_another_name_is_noticed(up: Callable[..., Project]) -> None:
    project = up()
    looked_at = Project(project.directory, f"{project.name}-not", project.engine).read()
    assert {s.state for s in looked_at.services} == {"absent"}
    assert (looked_at.elsewhere, project.read().elsewhere) == ((project.name,), ())
    assert [p.blocks for p in looked_at.problems if p.id == ELSEWHERE] == [("apply",)]


def test_nothing_is_pending_right_after_up(up: Callable[..., Project]) -> None:
    project = up()
    stack = project.read()
    assert pending_changes(stack, project.port, project.engine) == {}
    assert stale_services(stack, project.port) == ()
    document = project.port.config()
    ids = namespace_ids([c for s in stack.services for c in s.containers])
    assert project.port.hashes(document, ids) == project.labels()


def test_a_variable_of_the_shell_an_env_file_and_docker_update_are_pending(up: Callable[..., Project]) -> None:
    project = up(NFT_SHELL="only-there")
    (project.directory / "db.env").write_text("E=2\n")
    found = pending_changes(project.read(), project.port, project.engine)
    assert found == {"db": ("environment: E, S",)}
    project.compose("up", "-d")
    container = project.read().services[0].containers[0].id
    subprocess.run(
        ["docker", "update", "-m", "70m", "--memory-swap", "140m", container], check=True, capture_output=True
    )
    assert pending_changes(project.read(), project.port, project.engine) == {"db": ("memory limit",)}


def test_what_only_follows_a_changed_service_is_not_pending(up: Callable[..., Project]) -> None:
    project = up()
    text = (
        (project.directory / "compose.yaml").read_text().replace("depends_on: [db]", "depends_on: [db], mem_limit: 64m")
    )
    (project.directory / "compose.yaml").write_text(text)
    found = pending_changes(project.read(), project.port, project.engine)
    assert found == {"web": ("memory limit",)}


def test_a_service_that_was_started_alone_is_not_pending(up: Callable[..., Project]) -> None:
    project = up()
    project.compose("up", "-d", "--no-deps", "--force-recreate", "web")
    assert "Recreate" in project.compose("--dry-run", "up", "-d") or "2.26" not in project.port.version()
    found = pending_changes(project.read(), project.port, project.engine)
    assert found == {"side": ("the network of web, which was recreated",)}


def test_a_tag_that_names_another_image_is_pending(up: Callable[..., Project]) -> None:
    tag = f"nftui-t-{secrets.token_hex(3)}:1"
    images = ["nftui-test/base:bookworm", "nftui-test/app:latest"]
    project = up()
    try:
        subprocess.run(["docker", "tag", images[0], tag], check=True)
        text = (
            (project.directory / "compose.yaml").read_text().replace(f"web: {{image: {IMAGE}", f"web: {{image: '{tag}'")
        )
        (project.directory / "compose.yaml").write_text(text)
        project.compose("up", "-d")
        assert pending_changes(project.read(), project.port, project.engine) == {}
        subprocess.run(["docker", "tag", images[1], tag], check=True)
        found = pending_changes(project.read(), project.port, project.engine)
        assert found == {"web": (f"image: {tag} is another one now",)}
    finally:
        project.compose("rm", "-sf", "web", "side")
        subprocess.run(["docker", "rmi", tag], check=True, capture_output=True)


def test_up_with_nftuis_file_leaves_nothing_for_a_plain_up(up: Callable[..., Project]) -> None:
    project = up()
    own = project.directory / "compose.nftui.yaml"
    own.write_text("services: {web: {mem_limit: 48m}}\n")
    port = project.port.with_override(str(own))
    stack = project.read()
    assert stale_services(stack, project.port) == ("web",)
    beside = companions(stack, "web")
    assert beside == {"db": 1}
    port.up("web", scale=1, grace_s=1, companions=beside)
    port.up("side", scale=1, grace_s=1, companions=companions(project.read(), "side"))
    stack = project.read()
    web = stack.service("web")
    assert web is not None
    assert (web.memory_limit_bytes, web.containers[0].memory_limit_bytes) == (None, 48 << 20)
    assert stale_services(stack, project.port) == ()
    assert pending_changes(stack, project.port, project.engine) == {}
    shown = project.compose("-f", "compose.yaml", "-f", str(own), "--dry-run", "up", "-d")
    assert "Recreate" not in shown


def test_scale_is_kept(up: Callable[..., Project]) -> None:
    project = up()
    project.compose("up", "-d", "--no-deps", "--scale", "web=2", "web")
    web = project.read().service("web")
    assert web is not None
    project.port.up("web", scale=sum(c.running for c in web.containers), grace_s=1, force=True)
    assert len([c for c in project_containers(project.engine, project.name) if c.service == "web" and c.running]) == 2


def test_memory_in_use(up: Callable[..., Project]) -> None:
    project = up()
    stack = project.read()
    found = memory_usage(stack, project.engine)
    usage = found.services
    assert set(usage) == {"db", "web", "side"}
    assert all(10_000 < size < 64 << 20 for size in usage.values())
    assert found.promised >= found.used >= 0
    by_stats = memory_usage(stack, project.engine, "/nowhere").services
    assert abs(by_stats["db"] - usage["db"]) < 8 << 20


def test_env_file_of_the_labels(project: Project) -> None:
    (project.directory / "prod.env").write_text("NFT_SHELL=from-prod\n")
    project.compose("--env-file", "prod.env", "up", "-d", "db")
    stack = project.read()
    assert stack.invocation.env_files == (str(project.directory / "prod.env"),)
    assert stack.services[0].environment["S"] == "from-prod"


def test_composes_refusal_and_the_reduced_mode(project: Project) -> None:
    (project.directory / "compose.yaml").write_text("services: {a: {image: x, network_mode: 7x, mem_limit: lots}}\n")
    stack = project.read()
    assert (stack.resolved_by, stack.problems[0].id) == ("files", "project-unresolved")
    with pytest.raises(ComposeError, match="Compose says"):
        project.port.config()


def test_the_engine_and_its_compose(project: Project) -> None:
    facts = project.engine.facts()
    assert facts.local
    assert facts.version
    assert project.port.version().startswith("2.")
