"""What is special about an engine or a project is said in one line each; an ordinary one is silent."""

from pathlib import Path
from typing import Any

import pytest

from nftui.model.stack import Container, Engine, Invocation
from nftui.probes.inspected import container_of
from nftui.probes.surroundings import (
    container_problems,
    elsewhere,
    engine_problems,
    label_env_files,
    manager_problems,
    managers,
    stack_services,
)
from tests.stack_probe.fakes import PREFIX, FakeEngine, container


def labelled(**labels: str) -> Container:
    return container_of(container("db", labels={PREFIX + k.replace("__", "."): v for k, v in labels.items()}))


def test_an_ordinary_engine_is_silent() -> None:
    assert engine_problems(Engine("20.10", "A", architecture="x86_64")) == []


@pytest.mark.parametrize(
    ("fields", "id", "blocks"),
    [
        ({"product": "podman"}, "engine-podman", ("apply",)),
        ({"product": "desktop", "local": False}, "engine-desktop", ("apply",)),
        ({"product": "snap"}, "engine-snap", ()),
        ({"local": False}, "engine-remote", ("apply",)),
        ({"rootless": True}, "engine-rootless", ()),
        ({"userns_remap": True}, "engine-userns", ()),
        ({"selinux": True}, "engine-selinux", ()),
        ({"swarm": True}, "engine-swarm", ()),
        ({"architecture": "aarch64"}, "engine-arm", ()),
    ],
)
def test_each_special_engine_is_one_line(fields: dict[str, Any], id: str, blocks: tuple[str, ...]) -> None:
    found = engine_problems(Engine("20.10", "A", **fields))
    assert [(p.id, p.blocks) for p in found] == [(id, blocks)]
    assert "\n" not in found[0].text


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ({PREFIX + "project.working_dir": "/data/compose/7"}, "portainer"),
        ({"coolify.managed": "true"}, "coolify"),
        ({PREFIX + "project.working_dir": "/etc/dokploy/compose/x/code"}, "dokploy"),
        ({"io.casaos.v1.app.store.id": "7"}, "casaos"),
        ({"com.docker.stack.namespace": "app"}, "swarm"),
    ],
)
def test_managers_by_their_traces(labels: dict[str, str], name: str) -> None:
    assert managers([container_of(container("db", labels=labels))], []) == (name,)


def test_managers_that_only_watch() -> None:
    assert managers([], [{"Image": "containrrr/watchtower:latest"}, {"Image": "redis:7"}]) == ("watchtower",)
    assert [p.id for p in manager_problems(["coolify", "watchtower"])] == ["manager-redeploys", "manager-watchtower"]
    assert manager_problems([]) == []
    assert [p.id for p in stack_services([{"Labels": {"com.docker.stack.namespace": "app"}}], "app")] == ["stack-swarm"]


def test_how_containers_were_started(tmp_path: Path) -> None:
    base, more, own = (tmp_path / n for n in ("compose.yaml", "more.yaml", "compose.nftui.yaml"))
    for path in (base, more):
        path.write_text("")
    invocation = Invocation(str(tmp_path), (str(base),))

    def ids(*lists: str, **labels: str) -> list[str]:
        return [
            p.id for p in container_problems(invocation, [labelled(project__config_files=f, **labels) for f in lists])
        ]

    assert ids(str(base), f"{base},{own}") == []
    assert ids(f"{base},{more}") == ["started-from-other-files"]
    assert ids(str(base), f"{base},{more}") == ["labels-disagree"]
    assert ids("/gone/compose.yml") == ["started-from-absent-files", "started-from-other-files"]
    assert ids(str(base), version="1.29.2") == ["compose-v1-containers"]


@pytest.mark.parametrize(
    ("mine", "theirs", "more", "same"),
    [
        ("compose.yaml", "{d}/compose.yaml", {}, True),
        ("compose.yaml", "{d}/compose.yaml,{d}/prod.yaml", {}, True),
        ("compose.yaml,prod.yaml", "{d}/compose.yaml", {}, True),
        ("compose.yaml", "{d}/link.yaml,{d}/compose.nftui.yaml", {}, True),
        ("compose.yaml", "compose.yaml", {}, True),
        ("compose.yaml,one.yaml", "{d}/compose.yaml,{d}/two.yaml", {}, False),
        ("compose.yaml", "{d}/other.yaml", {}, False),
        ("compose.yaml", "", {}, False),
        ("compose.yaml", "{d}/compose.yaml", {"state": {"Status": "exited"}}, False),
        ("compose.yaml", "{d}/compose.yaml", {"project": "app"}, False),
        ("compose.yaml", "{d}/compose.yaml", {"oneoff": "True"}, False),
    ],
)
def test_other_projects_of_the_same_files(
    tmp_path: Path, mine: str, theirs: str, more: dict[str, Any], same: bool
) -> None:
    (tmp_path / "compose.yaml").write_text("")
    (tmp_path / "link.yaml").symlink_to("compose.yaml")
    labels = {
        PREFIX + "project.config_files": theirs.format(d=tmp_path), PREFIX + "project.working_dir": str(tmp_path),
        PREFIX + "oneoff": more.pop("oneoff", "False"),
    }  # fmt: skip
    engine = FakeEngine([container("db", project=more.pop("project", "shop"), labels=labels, **more)])
    invocation = Invocation(str(tmp_path), tuple(str(tmp_path / f) for f in mine.split(",")))
    assert elsewhere(invocation, engine.containers(), "app") == (("shop",) if same else ())


def test_env_files_of_labels(tmp_path: Path) -> None:
    invocation = Invocation(str(tmp_path), ())
    for name in (".env", "a.env", "b.env"):
        (tmp_path / name).write_text("")
    a, b = (
        labelled(project__environment_file=f"{tmp_path}/a.env"),
        labelled(project__environment_file=f"{tmp_path}/b.env"),
    )
    assert label_env_files(invocation, [a, a]) == (f"{tmp_path}/a.env",)
    assert label_env_files(invocation, [a, b]) == ()
    assert label_env_files(invocation, [labelled(project__environment_file=f"{tmp_path}/.env")]) == ()
    assert label_env_files(invocation, [labelled()]) == ()
