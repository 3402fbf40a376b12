"""Routes for services that have none, and apps that are told their host by an env_file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.engine.planner import draft
from nftui.model.choices import Choices, Selection
from nftui.model.errors import UsageError
from nftui.model.facts import Facts
from nftui.optimizations.pgbouncer import OPTIMIZATION
from nftui.optimizations.pgbouncer.knobs import ID
from tests.optimizations.test_contract import standing
from tests.pgbouncer.build import advise, app, choose, environment, facts, fragment
from tests.pgbouncer.test_existing import pooled

PROXY = "  proxy: {image: nginx}\n  later: {image: nginx, profiles: [later]}\n"
LOGIN = "DB_USER=shop\nDB_PASSWORD=not-a-secret-shop\nDB_NAME=shop\n"
FROM_FILE = "    env_file: [api.env]\n"


def warnings(found: Facts, choices: Choices) -> list[str]:
    wanted = choices.select(ID, Selection.ON)
    told = map(str, draft(found, wanted, {ID: OPTIMIZATION}, standing(found)).warnings)
    return [text for text in told if text.startswith(ID)]


# -- names that no route has -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "value"), [("nosuch", "pooled"), ("later", "session"), ("proxy", "direct"), ("db", "direct")]
)
def test_a_route_of_nobody_is_told_with_the_routes_that_there_are(tmp_path: Path, name: str, value: str) -> None:
    found = facts(tmp_path, app(), app("web"), PROXY)
    assert warnings(found, choose(**{f"route_{name}": value})) == [
        f"pgbouncer.route.{name} is taken by nothing here. It applies to: api, web."
    ]
    assert warnings(found, choose(route_api="direct", route_web="session")) == []


@pytest.mark.parametrize("name", ["proxy", "db"])
def test_a_route_of_a_service_that_is_there_and_has_no_known_way_is_refused(tmp_path: Path, name: str) -> None:
    found, choices = facts(tmp_path, app(), PROXY), choose(**{f"route_{name}": "pooled"})
    with pytest.raises(UsageError, match=rf"route.{name} = pooled is refused: no variable of it is known to lead"):
        warnings(found, choices)
    # A preset that leaves it to the recommendation stays usable.
    (told,) = warnings(found, replace(choices, yielding=frozenset(choices.values)))
    assert "is refused" in told and told.endswith("What nftui recommends stands instead.")


def test_beside_a_pooler_of_the_operators_a_route_of_nobody_is_told_as_well(tmp_path: Path) -> None:
    assert warnings(pooled(tmp_path), choose(route_nosuch="pooled")) == [
        "pgbouncer.route.nosuch is taken by nothing here."
    ]


# -- what an env_file says ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("file", "variables", "written"),
    [
        (f"{LOGIN}DB_HOST=db\n", "", {"DB_HOST": "pgbouncer"}),
        (f"{LOGIN}DB_HOST=db\nDB_PORT=5432\n", "", {"DB_HOST": "pgbouncer", "DB_PORT": "5432"}),
        (f"{LOGIN}DB_PORT=5432\n", "DB_HOST: db", {"DB_HOST": "pgbouncer", "DB_PORT": "5432"}),
        (f"{LOGIN}DB_HOST=db\n", "DB_PORT: '5432'", {"DB_HOST": "pgbouncer", "DB_PORT": "5432"}),
    ],
)
def test_a_host_of_an_env_file_is_written_anew_and_nothing_else_of_it(
    tmp_path: Path, file: str, variables: str, written: dict[str, str]
) -> None:
    (tmp_path / "api.env").write_text(file)
    found = facts(tmp_path, app(variables=variables, more=FROM_FILE))
    assert advise(found)["route.api"].value == "session"
    assert environment(fragment(found), "api") == written


def test_a_host_that_the_caller_passes_on_is_written_anew_as_one_that_is_interpolated_is(tmp_path: Path) -> None:
    (tmp_path / "api.env").write_text(LOGIN)
    found = facts(tmp_path, app(variables="DB_HOST: ", more=FROM_FILE))
    api = found.stack.service("api")
    assert api is not None and environment_of(found) is None
    passed = replace(api, environment={**api.environment, "DB_HOST": "db"})
    services = tuple(passed if s.name == "api" else s for s in found.stack.services)
    found = replace(found, stack=replace(found.stack, services=services))
    assert environment(fragment(found), "api") == {"DB_HOST": "pgbouncer"}


def environment_of(found: Facts) -> str | None:
    api = found.stack.service("api")
    return api.environment.get("DB_HOST") if api else None


@pytest.mark.parametrize(
    "host", ["DATABASE_URL=postgresql://shop:not-a-secret-shop@db:5432/shop\n", f"{LOGIN}DB_HOST=db:5432\n"]
)
def test_what_could_hold_more_than_a_host_stays_in_its_env_file(tmp_path: Path, host: str) -> None:
    (tmp_path / "api.env").write_text(host)
    found = facts(tmp_path, app("web"), app(variables="", more=FROM_FILE))
    line = advise(found)["route.api"]
    assert line.value == "direct" and "a URL of an env_file" in str(line.why)
    assert "not-a-secret" not in str(fragment(found))
