"""Known applications: every entry has a source, finds its server, and is pointed elsewhere without copying a secret."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.catalog import CatalogError, load_catalog
from nftui.catalog.addresses import find_address, replace_address
from nftui.catalog.apps import App, Use
from nftui.catalog.connections import Connection, connections, rewrite
from nftui.catalog.loader import SHIPPED
from nftui.catalog.schema import Catalog
from nftui.model.stack import Invocation, Port, Role, Service, Stack

APPS = load_catalog([SHIPPED]).apps
CASES = [pytest.param(a, u, id=f"{a.id}-{u.server}-{n}") for a in APPS for n, u in enumerate(a.uses)]
STORES = {
    Role.POSTGRES: Service("store", Role.POSTGRES, image="postgres:16"),
    Role.REDIS: Service("store", Role.REDIS, image="redis:7"),
}
SECRET = "${PASSWORD:-not-a-real-secret}"
TEXTS = {
    "GITLAB_OMNIBUS_CONFIG": "redis['enable'] = false\ngitlab_rails['{}_host'] = '{}'\n",
    "WORDPRESS_CONFIG_EXTRA": "define('WP_DEBUG', true); // {}\ndefine( 'WP_REDIS_HOST', '{}' );\n",
}


def stack(*services: Service) -> Stack:
    return Stack("s", Invocation("/s", ()), services)


def image_of(app: App) -> str:
    return app.images[0].replace("*/", "example/").replace("*", "") + ":1"


def conditions(use: Use) -> dict[str, str]:
    return {name: values[0] for name, values in use.when.items()}


def environments(use: Use, host: str, password: str) -> list[dict[str, str]]:
    """Every way in which the entry says that the host can be given."""
    found = []
    scheme, port = ("postgresql", 5432) if use.server is Role.POSTGRES else ("redis", 6379)
    for key in use.urls:
        found.append({key: f"{scheme}://user:{password}@{host}:{port}/0"})
    if use.keys.get("host"):
        port_key = use.keys.get("port")
        found.append({use.keys["host"]: host} | ({port_key: str(port)} if port_key else {}))
    if use.text:
        found.append({use.text: TEXTS[use.text].format("db" if use.server is Role.POSTGRES else "redis", host)})
    return [values | conditions(use) for values in found]


def links(app: App, use: Use, environment: dict[str, str]) -> list[Connection]:
    client = Service("client", Role.APP, image=image_of(app), environment=environment)
    return [c for c in connections(stack(client, STORES[use.server])) if c.use == use]


def test_the_catalog_holds_the_apps_that_people_run() -> None:
    assert len(APPS) >= 40
    assert {"n8n", "gitlab", "nextcloud", "dify", "mastodon", "keycloak", "airflow"} <= {a.id for a in APPS}


@pytest.mark.parametrize(("app", "use"), CASES)
def test_every_way_in_is_sourced_found_and_rewritten(app: App, use: Use) -> None:
    assert use.source
    ways = environments(use, "store", "secret")
    assert ways, "an entry without a way in"
    for shown, source in zip(ways, environments(use, "store", SECRET), strict=True):
        (link,) = links(app, use, shown)
        assert (link.server.name, link.purposes, link.app) == ("store", use.purposes, app)
        default = 5432 if use.server is Role.POSTGRES else 6379
        changed = rewrite(link, source, "pooler", 6432 if use.text is None else default)
        assert changed.refused is None
        after = {**source, **changed.values}
        assert links(app, use, {**shown, **changed.values}) == []  # it points elsewhere now
        assert all(SECRET in after[k] for k, v in source.items() if SECRET in v)
        assert "pooler" in after[link.key]
        if use.text is None:
            assert "6432" in " ".join(changed.values.values())


def test_every_app_has_a_way_in_that_is_rewritten() -> None:
    assert [a.id for a in APPS if not any(environments(u, "store", "x") for u in a.uses)] == []


@pytest.mark.parametrize(("app", "use"), [(a, u) for a in APPS for u in a.uses if u.default_host])
def test_a_host_that_only_the_image_names_is_found_and_not_rewritten(app: App, use: Use) -> None:
    server = replace(STORES[use.server], name=str(use.default_host))
    client = Service("client", Role.APP, image=image_of(app), environment=conditions(use))
    (link,) = (c for c in connections(stack(client, server)) if c.use == use)
    assert (link.server.name, rewrite(link, {}, "pooler", 6432).refused) == (server.name, "image")


@pytest.mark.parametrize(("app", "use"), [(a, u) for a in APPS for u in a.uses if u.when])
def test_what_is_not_switched_on_is_no_connection(app: App, use: Use) -> None:
    for environment in environments(use, "store", "secret"):
        for name, values in use.when.items():
            unset = {k: v for k, v in environment.items() if k != name}
            assert bool(links(app, use, unset)) == ("" in values)
            assert not links(app, use, {**environment, name: "other"})


REWRITES = [
    ("postgres://${U:-u}:${P}@${H:-db}:${PORT:-5432}/x?a=b", "postgres://${U:-u}:${P}@pooler:6432/x?a=b"),
    ("postgresql+asyncpg://u:p%40@db/x", "postgresql+asyncpg://u:p%40@pooler:6432/x"),
    ("jdbc:postgresql://db/kc?sslmode=disable", "jdbc:postgresql://pooler:6432/kc?sslmode=disable"),
    ("Host=db;Database=x;Password=${P}", "Host=pooler;port=6432;Database=x;Password=${P}"),
    ("host=db port=5432 user=x", "host=pooler port=6432 user=x"),
    ("db:5432", "pooler:6432"),
    ("${H:-db}", "pooler:6432"),
    ("redis://a:1,b:2/0", None),
]


@pytest.mark.parametrize(("text", "expected"), REWRITES)
def test_hosts_in_texts_are_replaced(text: str, expected: str | None) -> None:
    assert replace_address(text, "pooler", 6432, default_port=5432) == expected


def test_a_default_port_that_was_not_written_stays_out() -> None:
    assert replace_address("postgres://u@db/x", "pooler", 5432, default_port=5432) == "postgres://u@pooler/x"


def test_a_url_that_is_one_variable_is_refused_rather_than_copied() -> None:
    client = Service("c", Role.APP, image="example/a", environment={"DATABASE_URL": "postgres://u:p@store/x"})
    (link,) = connections(stack(client, STORES[Role.POSTGRES]))
    for source in ("${DATABASE_URL}", "${DATABASE_URL:-postgres://u:p@store/x}"):
        assert rewrite(link, {"DATABASE_URL": source}, "pooler", 6432).refused == "DATABASE_URL"


def split(host: str, port: str | None = None) -> Connection:
    given = {"DB_HOST": host} | ({"DB_PORT": port} if port else {})
    client = Service("c", Role.APP, image="example/a", environment=given)
    (link,) = connections(stack(client, STORES[Role.POSTGRES]))
    return link


@pytest.mark.parametrize(
    ("host", "port", "source", "to", "values"),
    [
        ("store", None, {}, 5432, {"DB_HOST": "pooler"}),
        ("store", None, {}, 6432, {"DB_HOST": "pooler:6432"}),
        ("store", "5432", {}, 6432, {"DB_HOST": "pooler", "DB_PORT": "6432"}),
        ("store", "5432", {}, 5432, {"DB_HOST": "pooler", "DB_PORT": "5432"}),
        ("store", "5432", {"DB_HOST": "${H}"}, 5432, {"DB_HOST": "pooler", "DB_PORT": "5432"}),
        ("store:5432", None, {}, 5432, None),
    ],
)
def test_a_host_that_is_written_elsewhere_is_replaced_where_it_is_nothing_but_a_name(
    host: str, port: str | None, source: dict[str, str], to: int, values: dict[str, str] | None
) -> None:
    changed = rewrite(split(host, port), source, "pooler", to)
    assert (changed.values, changed.refused) == ((values, None) if values else ({}, "DB_HOST"))


def test_a_variable_that_is_called_as_what_names_no_host_is_none() -> None:
    link = replace(split("store"), keys=("command",))
    client = replace(link.client, environment={"command": "store"})
    assert rewrite(replace(link, client=client), {}, "pooler", 5432).refused == "command"


NAMES = [
    ({}, "store", True),
    ({}, "STORE", True),
    ({}, "box", True),  # its container_name
    ({}, "alias", True),
    ({"links": ["store:other"]}, "other", True),
    ({}, "elsewhere", False),
    ({"extra_hosts": ["store:10.0.0.1"]}, "store", False),
    ({"extra_hosts": {"out": "host-gateway"}}, "out", True),  # through the published port
    ({}, "host.docker.internal", True),
    ({}, "localhost", False),
    ({"network_mode": "service:store"}, "localhost", True),
]


@pytest.mark.parametrize(("config", "host", "found"), NAMES)
def test_a_host_is_resolved_as_the_container_would(config: dict[str, object], host: str, found: bool) -> None:
    server = Service(
        "store",
        Role.POSTGRES,
        ports=(Port(target="5432", published="5432"),),
        config={"container_name": "box", "networks": {"default": {"aliases": ["alias"]}}},
    )
    client = Service("c", Role.APP, environment={"DATABASE_URL": f"postgres://u@{host}:5432/x"}, config=config)
    assert bool(connections(stack(client, server))) is found


WORDS = [
    ("CELERY_BROKER_URL", ["queue"]), ("QUEUE_REDIS_URL", ["queue"]), ("SESSION_REDIS_URL", ["session"]),
    ("CACHE_URL", ["cache"]), ("REDIS_URL", []), ("CELERY_RESULT_BACKEND", []), ("CELERY_CACHE_BACKEND", ["cache"]),
]  # fmt: skip


@pytest.mark.parametrize(("key", "purposes"), WORDS)
def test_a_variable_of_an_unknown_app_tells_by_its_name(key: str, purposes: list[str]) -> None:
    client = Service("c", Role.APP, image="example/a", environment={key: "redis://store/0"})
    (link,) = connections(stack(client, STORES[Role.REDIS]))
    assert list(link.purposes) == purposes


def worker(**more: object) -> list[Connection]:
    config = {"command": ["bundle", "exec", "sidekiq"], "depends_on": ["store"], **more}
    return list(connections(stack(Service("c", Role.APP, image="example/a", config=config), STORES[Role.REDIS])))


def test_a_worker_of_jobs_uses_the_redis_that_it_depends_on() -> None:
    (link,) = worker()
    assert (link.key, list(link.purposes)) == ("command", ["queue"])
    assert worker(command=["bundle", "exec", "puma"]) == []
    assert worker(depends_on=["other"]) == []


def test_a_value_with_no_host_is_none() -> None:
    assert find_address("a b c") is None
    assert find_address("") is None


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("postgresql://app:S3cr3t/xYz+9@db:5432/app", None), ("postgresql://app:12/xYz@db/app", None),
        ("postgresql://app:S3cr3t?x@db/app", None), ("postgresql://app:12#x@db/app", None),
        ("redis://S3cr3t/x@db:6379", None), ("postgresql://app:S3cr3t%2FxYz@db:5432/app", "5432"),
        ("postgresql://app:x@db:5432/app?application_name=a@b", "5432"),
        ("postgresql://app:x@db:${PORT:-1}/app", "${PORT:-1}"),
    ],
)  # fmt: skip
def test_a_piece_of_a_password_is_no_host_and_no_port(url: str, port: str | None) -> None:
    found = find_address(url)
    assert (found and (found.host, found.port)) == (port and ("db", port))


def test_a_url_that_a_password_tears_is_not_rewritten() -> None:
    assert replace_address("postgresql://app:12/xYz@db/app", "new", 6432, default_port=5432) is None
    told = "postgresql://app:12%2FxYz@db/app?application_name=a@b"
    assert replace_address(told, "new", 6432, default_port=5432) == told.replace("@db", "@new:6432")


WRONG = [
    ("apps: [{id: a, images: [a], uses: [{server: redis}]}]", "apps[0].uses[0].source: must be a text"),
    ("apps: [{id: a, uses: []}]", "apps[0].images: an image is needed"),
    ("apps: [{id: a, images: [a], uses: [{server: redis, source: s, purposes: [x]}]}]", "purposes: 'x' is not one of"),
    ("apps: [{id: a, images: [a], uses: [{server: redis, source: s, keys: {hst: A}}]}]", "keys.hst: unknown key"),
    ("apps: [{id: a, images: [a]}, {id: a, images: [a]}]", "apps[1].id: a is already taken"),
]


@pytest.mark.parametrize(("text", "expected"), WRONG)
def test_a_wrong_entry_is_named_with_its_key(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(CatalogError) as caught:
        load_catalog([SHIPPED, tmp_path])
    assert expected in str(caught.value)


def test_the_operators_app_stands_first_and_replaces(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("apps:\n  - {id: n8n, images: [ours/n8n], uses: []}\n")
    found: Catalog = load_catalog([SHIPPED, tmp_path])
    assert (found.apps[0].images, len(found.apps)) == (("ours/n8n",), len(APPS))
