"""Every call of Compose names project, files and engine; what it prints is read without guessing."""

import dataclasses
import json

import pytest

from nftui.model.message import msg
from nftui.model.stack import Invocation
from nftui.system.compose import ComposeCli, ComposeError, actions, version_tuple
from nftui.system.endpoint import Endpoint
from nftui.system.processes import CommandMissing, Completed, FakeCommands

INVOCATION = Invocation(
    "/srv/app", ("/srv/app/compose.yaml",), ("x",), ("/srv/app/prod.env",), "app", working_directory="/srv"
)
ENVIRON = {
    "PATH": "/bin", "TAG": "7", "NFTUI_STATE_DIR": "/s", "COMPOSE_FILE": "a:b", "COMPOSE_PROFILES": "y",
    "COMPOSE_PROJECT_NAME": "z", "DOCKER_CONTEXT": "far", "COMPOSE_REMOVE_ORPHANS": "1", "PWD": "/elsewhere",
}  # fmt: skip
VERSION: dict[tuple[str, ...], Completed | Exception] = {("version", "--short"): Completed((), 0, "2.26.1-4\n")}


def compose(answers: dict[tuple[str, ...], Completed | Exception], invocation: Invocation = INVOCATION) -> ComposeCli:
    return ComposeCli(FakeCommands(answers), invocation, Endpoint(), ENVIRON, "/srv/app/compose.nftui.yaml")


def calls(port: ComposeCli) -> FakeCommands:
    assert isinstance(port.commands, FakeCommands)
    return port.commands


def test_a_call_is_explicit() -> None:
    port = compose({("config",): Completed((), 0, '{"name": "app"}')})
    assert port.config() == {"name": "app"}
    assert " ".join(calls(port).log[0]) == (
        "docker --host unix:///var/run/docker.sock compose --ansi never -p app --project-directory /srv/app "
        "-f /srv/app/compose.yaml --env-file /srv/app/prod.env --profile x config --format json"
    )
    port.config(with_override=True, interpolate=False, profiles=())
    assert " ".join(calls(port).log[-1]).endswith(
        "-f /srv/app/compose.yaml -f /srv/app/compose.nftui.yaml --env-file /srv/app/prod.env "
        "config --format json --no-interpolate"
    )


def test_the_childs_environment() -> None:
    port = compose({("config",): Completed((), 0, "{}")})
    port.config()
    assert calls(port).environments[0] == {
        "PATH": "/bin", "TAG": "7", "PWD": "/srv", "COMPOSE_PROFILES": "x", "COMPOSE_IGNORE_ORPHANS": "1",
        "COMPOSE_REMOVE_ORPHANS": "0", "DOCKER_HOST": "unix:///var/run/docker.sock",
    }  # fmt: skip


def test_values_are_what_containers_get() -> None:
    port = compose({("config",): Completed((), 0, '{"services": {"a": {"command": ["a$$b", "$$$$"]}}}')})
    assert port.config()["services"]["a"]["command"] == ["a$b", "$$"]
    assert port.config(interpolate=False)["services"]["a"]["command"] == ["a$$b", "$$$$"]


def test_a_refusal_has_composes_words_without_secrets() -> None:
    said = 'level=warning msg="x"\ninvalid interpolation format for services.db.environment.DB_PASSWORD: "hun$ter2"'
    port = compose({**VERSION, ("config",): Completed((), 15, "", said)})
    with pytest.raises(ComposeError, match="Compose says: invalid interpolation") as caught:
        port.config()
    assert caught.value.id == "compose-refused"
    assert "ter2" not in str(caught.value) + caught.value.said
    assert caught.value.problem().blocks == ("plan", "apply")


def test_a_compose_that_was_killed_is_not_quoted_as_if_it_had_refused() -> None:
    port = compose({**VERSION, ("config",): Completed((), -9, "", " Container x-db-1  Starting")})
    with pytest.raises(ComposeError, match="ended by signal 9, after: Container x-db-1  Starting"):
        port.config()


@pytest.mark.parametrize(
    ("answers", "id"),
    [
        ({("docker",): Completed((), 1, "", "unknown command: docker compose")}, "compose-missing"),
        ({("docker",): CommandMissing(msg("docker is not installed"))}, "compose-missing"),
        ({("compose",): Completed((), 0, "2.17.3")}, "compose-old"),
        ({("compose",): Completed((), 1), ("docker-compose",): Completed((), 0, "1.29.2")}, "compose-v1"),
    ],
)
def test_without_a_usable_compose(answers: dict[tuple[str, ...], Completed | Exception], id: str) -> None:
    for ask in (ComposeCli.version, ComposeCli.stop):
        port = compose(answers)
        with pytest.raises(ComposeError) as caught:
            ask(port) if ask is ComposeCli.version else port.stop("db", 5)
        assert caught.value.id == id


def test_a_stand_alone_compose_serves_too() -> None:
    port = compose({("compose",): Completed((), 1), ("docker-compose",): Completed((), 0, "{}"),
                    ("docker-compose", "version"): Completed((), 0, "v2.29.7")})  # fmt: skip
    assert port.config() == {}
    assert calls(port).log[-1][:3] == ("docker-compose", "--ansi", "never")


DRY_RUN = """ DRY-RUN MODE -  Container app-db-1  Recreate
 DRY-RUN MODE -  Container app-db-1  Recreated
 DRY-RUN MODE -  Container app-web-1  Running
 DRY-RUN MODE -  Container app-new-1  Creating
 DRY-RUN MODE -  Container app-new-1  Created
 DRY-RUN MODE -  Container app-job-1  Created
 DRY-RUN MODE -  Container b69fc5966e41_app-db-1  Starting
 DRY-RUN MODE -  Container app-new-1  Starting
"""


def test_a_dry_run_is_read() -> None:
    assert actions(DRY_RUN) == {
        "app-db-1": "recreate",
        "app-web-1": "running",
        "app-new-1": "create",
        "app-job-1": "start",
    }


def test_a_dry_run_starts_nothing_not_even_in_play() -> None:
    port = compose({**VERSION, ("up",): Completed((), 0, "", DRY_RUN)})
    assert port.dry_run_up(scales={"web": 2})["app-db-1"] == "recreate"
    line = " ".join(calls(port).log[-1])
    assert line.endswith("--dry-run up --no-start --no-build --pull never --scale web=2")


def test_up_is_the_command_of_the_rules() -> None:
    port = compose({**VERSION, ("up",): Completed((), 0)})
    port.up("db", scale=3, grace_s=120)
    line = " ".join(calls(port).log[-1])
    assert line.endswith("up -d --no-deps --no-build --pull never -t 120 --scale db=3 db")
    assert "-f /srv/app/compose.nftui.yaml" in line
    port.up("db", scale=1, grace_s=5, force=True, companions={"x": 1}, with_override=False)
    assert " ".join(calls(port).log[-1]).endswith("-t 5 --force-recreate --scale db=1 db")


@pytest.mark.parametrize(("beside", "kept"), [("Running", True), ("Recreate", False), ("Starting", False)])
def test_companions_come_along_only_untouched(beside: str, kept: bool) -> None:
    said = f" DRY-RUN MODE -  Container app-web-1  Recreate\n DRY-RUN MODE -  Container app-db-1  {beside}\n"
    port = compose({**VERSION, ("up",): Completed((), 0, "", said)})
    port.up("web", scale=1, grace_s=5, companions={"db": 1})
    assert ("db=1" in calls(port).log[-1]) is kept


def test_hashes_are_asked_of_the_resolved_document() -> None:
    port = compose({**VERSION, ("--hash",): Completed((), 0, "a aaa\nb bbb\n")})
    services = {
        "a": {"x": "$"},
        "b": {"network_mode": "service:a"},
        "c": {"volumes_from": ["a"]},
        "d": {"ipc": "service:z"},
    }
    assert port.hashes({"name": "app", "services": services}, {"a": "1234"}) == {"a": "aaa", "b": "bbb"}
    log = calls(port)
    assert log.log[-1][log.log[-1].index("-f") + 1] == "-"
    assert json.loads(log.inputs[-1] or "")["services"] == {"a": {"x": "$$"}, "b": {"network_mode": "container:1234"}}


def test_versions() -> None:
    assert version_tuple("2.26.1-4") == (2, 26, 1)
    assert version_tuple("v2.40.0+ds1") == (2, 40, 0)


def test_the_plugins_own_program_reads_the_files() -> None:
    port = compose({("/lib/docker-compose", "--ansi"): Completed((), 0, '{"name": "app"}')})
    port = dataclasses.replace(port, plugin="/lib/docker-compose")
    assert port.config() == {"name": "app"}
    assert [argv[0] for argv in calls(port).log] == ["/lib/docker-compose"]


def test_the_plugins_own_program_makes_hashes_of_a_document() -> None:
    port = compose({("/lib/docker-compose", "--ansi"): Completed((), 0, "a aaa\n")})
    port = dataclasses.replace(port, plugin="/lib/docker-compose")
    assert port.hashes({"name": "app", "services": {"a": {}}}) == {"a": "aaa"}
    assert [argv[0] for argv in calls(port).log] == ["/lib/docker-compose"]


@pytest.mark.parametrize("direct", [Completed((), 1, "", "no"), CommandMissing(msg("gone"))])
def test_only_the_plugins_success_counts(direct: Completed | Exception) -> None:
    port = compose({("/lib/docker-compose",): direct, ("docker",): Completed((), 0, '{"name": "app"}')})
    port = dataclasses.replace(port, plugin="/lib/docker-compose")
    assert port.config() == {"name": "app"}
    assert [argv[0] for argv in calls(port).log] == ["/lib/docker-compose", "docker"]
