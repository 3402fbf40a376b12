"""Who is pooled and why, how large pools are, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nftui.engine.planner import draft
from nftui.engine.state import InForce
from nftui.model.choices import Selection
from nftui.model.errors import UsageError
from nftui.model.facts import Facts, Live
from nftui.model.pooling import OutsideFacts, Session
from nftui.optimizations.pgbouncer import OPTIMIZATION
from nftui.optimizations.registry import load_registry
from tests.optimizations.test_contract import standing
from tests.pgbouncer.build import (
    URL,
    advise,
    app,
    choose,
    environment,
    facts,
    fragment,
    roles,
    server,
    text_of,
    with_address,
)

N8N = (
    "DB_TYPE: postgresdb, DB_POSTGRESDB_HOST: db, DB_POSTGRESDB_DATABASE: shop, DB_POSTGRESDB_USER: shop, "
    "DB_POSTGRESDB_PASSWORD: '${SHOP_PASSWORD}'"
)
SHOP = "postgresql://shop:${SHOP_PASSWORD}@db:5432"
SPLIT = "DB_HOST: db, DB_USER: shop, DB_PASSWORD: x, DB_NAME: shop"
HOSTS = "    extra_hosts: ['pgbouncer:10.0.0.1']\n"
JDBC = "SPRING_DATASOURCE_URL: 'jdbc:postgresql://db:5432/shop', SPRING_DATASOURCE_USERNAME: shop"
REALTIME = ("api", "supabase/realtime:v2.30", f"{SPLIT}")
ROUTES = {
    "Prisma's schema": (app(variables=f"DATABASE_URL: '{URL}?schema=public'"), "direct", "pgbouncer=true"),
    "Prisma's schema, set later": (
        app(variables=f"DATABASE_URL: '{URL}?schema=shop&pgbouncer=true&connection_limit=5'"),
        "session",
        "Nothing is known",
    ),
    "Prisma without a schema": (app(variables=f"DATABASE_URL: '{URL}?connection_limit=5'"), "session", "Nothing"),
    "a timeout in the URL": (app(variables=f"DATABASE_URL: '{URL}?statement_timeout=5000'"), "session", "Nothing"),
    "memory in the URL": (app(variables=f"DATABASE_URL: '{URL}?work_mem=8MB'"), "direct", "work_mem"),
    "a setting of one's own": (app(variables=f"DATABASE_URL: '{URL}?app.tenant=7'"), "direct", "app.tenant"),
    "a driver's own parameters": (
        app(
            variables=f"DATABASE_URL: '{URL}?prepareThreshold=0&preparedStatementCacheQueries=0&pool_size=5"
            "&prepared_statement_cache_size=0&default_query_exec_mode=exec&application_name=a.b'"
        ),
        "session",
        "Nothing is known",
    ),
    "no password": (app(variables="DATABASE_URL: 'postgresql://shop@db/shop'"), "direct", "no password"),
    "libpq's password": (
        app(variables="DATABASE_URL: 'postgresql://shop@db/shop', PGPASSWORD: x"),
        "session",
        "Nothing is known",
    ),
    "a password in a file": (
        app(variables="DATABASE_URL: 'postgresql://shop@db/shop', DB_PASSWORD_FILE: /run/secrets/x"),
        "session",
        "Nothing is known",
    ),
    "a connection string": (
        app(variables="DSN: 'host=db user=shop password=x dbname=shop port=5432 sslmode=disable TimeZone=UTC'"),
        "session",
        "Nothing is known",
    ),
    "a connection string with a schema": (
        app(variables="DSN: 'host=db user=shop password=x dbname=shop search_path=t'"),
        "direct",
        "search_path",
    ),
    "Npgsql": (
        app(
            variables="ConnectionStrings__Shop: 'Host=db;Database=shop;User ID=shop;Password=x;No Reset On Close=true'"
        ),
        "session",
        "Nothing is known",
    ),
    "Npgsql's schema": (
        app(variables="ConnectionStrings__Shop: 'Host=db;Database=shop;Username=shop;Password=x;Search Path=t'"),
        "direct",
        "Search_Path",
    ),
    "a login beside the URL": (app(variables=f"{JDBC}, SPRING_DATASOURCE_PASSWORD: x"), "session", "Nothing is known"),
    "replication": (app(*REALTIME), "direct", "replication"),
    "nothing is known": (app(), "session", "Nothing is known"),
    "known to pool": (app("flow", "n8nio/n8n:1.60", N8N), "pooled", "transaction mode"),
    "a migration": (app("api-migrate"), "direct", "Migrations"),
    "a job": (app(more="    restart: 'no'\n"), "direct", "jobs"),
    "an exporter": (app("metrics", "prometheuscommunity/postgres-exporter:v0.15"), "direct", "exporters"),
    "TLS asked": (app(variables=f"DATABASE_URL: '{URL}?sslmode=require'"), "direct", "sslmode=require"),
    "its own schema": (app(variables=f"DATABASE_URL: '{URL}?options=-csearch_path%3Dx'"), "direct", "search_path"),
    "a schema in the URL": (app(variables=f"DATABASE_URL: '{URL}?search_path=tenant'"), "direct", "search_path"),
    "a schema by JDBC": (
        app(variables="DB_URL: 'jdbc:postgresql://db/shop?user=shop&password=x&currentSchema=x'"),
        "direct",
        "currentSchema",
    ),
    "a role in the URL": (app(variables=f"DATABASE_URL: '{URL}?role=owner'"), "direct", "role"),
    "a schema by PGOPTIONS": (
        app(variables=f"DATABASE_URL: '{URL}', PGOPTIONS: '-c search_path=tenant'"),
        "direct",
        "search_path=tenant",
    ),
    "a schema beside a timeout": (
        app(variables=f"{SPLIT}, PGOPTIONS: '-c lock_timeout=1s --search_path=tenant'"),
        "direct",
        "search_path=tenant",
    ),
    "a timeout": (app(variables=f"{SPLIT}, PGOPTIONS: '-c lock_timeout=1s'"), "session", "Nothing is known"),
    "a query of another kind": (
        app(variables=f"DATABASE_URL: '{URL}?connect_timeout=3'"),
        "session",
        "Nothing is known",
    ),
    "n8n's own schema": (app("flow", "n8nio/n8n:1.60", f"{N8N}, DB_POSTGRESDB_SCHEMA: flow"), "direct", "schema flow"),
    "n8n's usual schema": (app("flow", "n8nio/n8n:1.60", f"{N8N}, DB_POSTGRESDB_SCHEMA: public"), "pooled", "known"),
    "no database named": (app("odoo", "odoo:17", "HOST: db, USER: shop, PASSWORD: x"), "direct", "no variable"),
    "libpq's own default": (app(variables="PGHOST: db, PGUSER: shop, PGPASSWORD: x"), "session", "Nothing is known"),
    "a name in need of quotes": (app(variables=f"DATABASE_URL: '{SHOP}/my%20shop'"), "direct", "cannot name"),
    "a name beyond ASCII": (app(variables=f"DATABASE_URL: '{SHOP}/gesch%C3%A4ft'"), "direct", "cannot name"),
    "the console's name": (app(variables=f"DATABASE_URL: '{SHOP}/pgbouncer'"), "direct", "cannot name"),
    "a name with all signs": (app(variables=f"DATABASE_URL: '{SHOP}/my-shop_v2.1'"), "session", "Nothing is known"),
    "a fixed name": (app(more=HOSTS), "direct", "extra_hosts"),
    "another network": (app(more="    networks: [other]\n") + "networks: {other: {}}\n", "direct", "no network"),
    "no role": (app(variables="DATABASE_URL: 'postgresql://nobody:x@db/shop'"), "direct", "no login role nobody"),
    "one variable": (app(variables="DATABASE_URL: '${WHOLE}'"), "direct", "does not show its host"),
}


@pytest.mark.parametrize("case", ROUTES)
def test_each_app_is_judged_with_its_reason(tmp_path: Path, case: str) -> None:
    text, route, words = ROUTES[case]
    found = facts(tmp_path, text)
    if case == "one variable":
        found = _with_environment(found)
    line = next(a for k, a in advise(found).items() if k.startswith("route."))
    assert (line.value, line.recommended) == (route, route) and words in str(line.why), str(line.why)


def _with_environment(found: Facts) -> Facts:
    services = tuple(
        replace(s, environment={"DATABASE_URL": URL}) if s.name == "api" else s for s in found.stack.services
    )
    return replace(found, stack=replace(found.stack, services=services))


@pytest.mark.parametrize(("kind", "words"), [("md5", "md5"), ("none", "knows no password")])
def test_a_password_that_cannot_be_learnt_keeps_the_app_direct(tmp_path: Path, kind: str, words: str) -> None:
    found = facts(tmp_path, app(), known=server(roles=roles(shop=kind)))
    assert not OPTIMIZATION.applies(found).applicable and words in str(OPTIMIZATION.applies(found).reason)
    with pytest.raises(UsageError, match=words):
        advise(found, route_api="pooled")


def test_what_is_encrypted_is_not_made_clear(tmp_path: Path) -> None:
    plain = app("b", variables=f"DATABASE_URL: '{URL}?sslmode=disable'")
    lines = advise(facts(tmp_path, app("a"), plain, known=server(tls=True)))
    assert (lines["route.a"].value, lines["route.b"].value) == ("direct", "session")
    assert "TLS" in str(lines["route.a"].why)


@pytest.mark.parametrize(("name", "route"), [("SMTP_SSLMODE", "direct"), ("DB_SSLMODE", "session")])
def test_another_servers_sslmode_says_nothing_of_this_one(tmp_path: Path, name: str, route: str) -> None:
    found = facts(tmp_path, app(variables=f"{SPLIT}, {name}: disable"), known=server(tls=True))
    assert advise(found)["route.api"].value == route


@pytest.mark.parametrize(("above", "route"), [("api", "direct"), ("other", "session")])
def test_who_is_started_before_the_server_does_not_wait_for_a_pooler(tmp_path: Path, above: str, route: str) -> None:
    found = facts(tmp_path, app(), app("middle", variables="", more=f"    depends_on: [{above}]\n"),
                  app("other", variables=""))  # fmt: skip
    services = tuple(
        replace(s, config={**s.config, "depends_on": ["middle"]}) if s.name == "db" else s for s in found.stack.services
    )
    line = advise(replace(found, stack=replace(found.stack, services=services)))["route.api"]
    assert line.value == route and ("started after it" in str(line.why)) == (route == "direct")


BOUND = ["schema=tenant&pgbouncer=true", "schema_search_path=tenant", "variables[statement_timeout]=5s"]


@pytest.mark.parametrize("query", BOUND)
def test_what_sets_its_session_is_not_pooled(tmp_path: Path, query: str) -> None:
    found = facts(tmp_path, app(variables=f"DATABASE_URL: '{URL}?{query}'"))
    with pytest.raises(UsageError, match="which only session mode serves"):
        advise(found, route_api="pooled")
    assert advise(found, route_api="session")["route.api"].value == "session"
    assert advise(found, route_api="pooled", pool_mode="session")["route.api"].value == "pooled"
    known = facts(tmp_path, app("flow", "langflowai/langflow:1.4", f"LANGFLOW_DATABASE_URL: '{URL}?{query}'"))
    assert advise(known)["route.flow"].value == "session"


def test_prismas_usual_schema_may_be_pooled(tmp_path: Path) -> None:
    found = facts(tmp_path, app(variables=f"DATABASE_URL: '{URL}?schema=public&pgbouncer=true'"))
    assert advise(found, route_api="pooled")["route.api"].value == "pooled"


@pytest.mark.parametrize(
    ("values", "route"),
    [({}, "pooled"), ({"image": "acme/pgbouncer:1.20"}, "session"), ({"max_prepared_statements": "0"}, "session")],
)
def test_who_names_statements_is_pooled_where_they_are_kept_apart(
    tmp_path: Path, values: dict[str, str], route: str
) -> None:
    found = facts(tmp_path, app("flow", "langflowai/langflow:1.4", f"LANGFLOW_DATABASE_URL: '{URL}'"))
    line = advise(found, **values)["route.flow"]
    assert line.value == route and ("prepared statements" in str(line.why)) == (route == "session")
    unnamed = facts(tmp_path, app("flow", "n8nio/n8n:1.60", N8N))
    assert advise(unnamed, **values)["route.flow"].value == "pooled"


@pytest.mark.parametrize(
    ("sessions", "word"),
    [
        ((Session("10.0.0.9", "shop", "shop", listens=True),), "LISTEN"),
        ((Session("10.0.0.9", "shop", "shop", holds_lock=True),), "advisory"),
        ((Session("10.0.0.8", "shop", "shop", listens=True),), "known to work"),
    ],
)
def test_what_the_server_sees_beats_the_catalog(tmp_path: Path, sessions: tuple[Session, ...], word: str) -> None:
    found = facts(tmp_path, app("flow", "n8nio/n8n:1.60", N8N))
    line = advise(with_address(found, "flow", "10.0.0.9", *sessions))["route.flow"]
    assert word in str(line.why) and line.value == ("pooled" if word == "known to work" else "session")


@pytest.mark.parametrize(
    ("login", "route"), [(("shop", "shop"), "session"), (("shop", "else"), "pooled"), (("else", "shop"), "pooled")]
)
def test_so_does_what_statements_of_its_login_have_set(tmp_path: Path, login: tuple[str, str], route: str) -> None:
    known = server(set_by={login: ("app.tenant", "search_path")})
    found = facts(tmp_path, app("flow", "n8nio/n8n:1.60", N8N), known=known)
    line = advise(found)["route.flow"]
    assert line.value == route and ("set app.tenant, search_path" in str(line.why)) == (route == "session")
    assert advise(found, route_flow="pooled")["route.flow"].value == "pooled"


def test_beside_an_app_in_transaction_mode_the_unknown_stays_direct(tmp_path: Path) -> None:
    found = facts(tmp_path, app(), app("flow", "n8nio/n8n:1.60", N8N))
    lines = advise(found)
    assert (lines["route.api"].value, lines["route.flow"].value) == ("direct", "pooled")
    assert lines["pool_mode"].value == "transaction"
    with pytest.raises(UsageError, match="one mode"):
        advise(found, route_api="session")


def test_statement_mode_is_for_those_who_ask_for_it(tmp_path: Path) -> None:
    found = facts(tmp_path, app("flow", "n8nio/n8n:1.60", N8N))
    assert advise(found, pool_mode="statement")["route.flow"].value == "session"
    made = fragment(found, pool_mode="statement", route_flow="pooled")
    assert "shop = host=db port=5432 dbname=shop pool_mode=statement" in text_of(made, "pgbouncer.ini")


@pytest.mark.parametrize(
    ("connections", "apps", "pool", "reserve"), [(100, 1, 25, 5), (100, 4, 20, 3), (20, 1, 12, 2), (12, 2, 3, 0)]
)
def test_pools_share_what_the_server_has(tmp_path: Path, connections: int, apps: int, pool: int, reserve: int) -> None:
    services = [app(f"a{n}", variables=f"DATABASE_URL: 'postgresql://u{n}:x@db/d{n}'") for n in range(apps)]
    known = server(max_connections=connections, roles=roles(**{f"u{n}": "scram" for n in range(apps)}))
    lines = advise(facts(tmp_path, *services, known=known))
    assert (lines["default_pool_size"].value, lines["reserve_pool_size"].value) == (str(pool), str(reserve))
    assert apps * (pool + reserve) <= connections - 3 - 3


@pytest.mark.parametrize(("held", "route"), [(19, "session"), (20, "direct")])
def test_an_unknown_app_with_more_clients_than_a_pool_stays_direct(tmp_path: Path, held: int, route: str) -> None:
    sessions = [Session("10.0.0.9", "shop", "shop") for _ in range(held)]
    others = [Session("10.0.0.8", "shop", "shop"), Session("10.0.0.9", "else", "shop")]
    line = advise(with_address(facts(tmp_path, app()), "api", "10.0.0.9", *sessions, *others))["route.api"]
    assert line.value == route and (str(held) in str(line.why)) == (route == "direct")


def test_a_pool_that_cannot_fit_is_refused_with_the_sum(tmp_path: Path) -> None:
    found = facts(tmp_path, app())
    with pytest.raises(UsageError, match=r"1 × \(200 \+ 0\).*94.*max_connections 100"):
        advise(found, default_pool_size="200", reserve_pool_size="0")
    assert advise(found, default_pool_size="90")["reserve_pool_size"].value == "4"
    tiny = facts(tmp_path, app(), known=server(max_connections=6))
    assert not OPTIMIZATION.applies(tiny).applicable and "cannot fit" in str(OPTIMIZATION.applies(tiny).reason)


def test_an_image_that_is_not_there_leaves_everything_direct(tmp_path: Path) -> None:
    found = replace(facts(tmp_path, app()), images=frozenset({"acme/pool:1.24"}))
    assert advise(found)["route.api"].value == "direct" and "docker pull" in str(advise(found)["route.api"].why)
    assert not fragment(found).services
    assert advise(found, image="acme/pool:1.24")["route.api"].value == "session"
    with pytest.raises(UsageError, match="docker pull acme/other:1"):
        advise(found, image="acme/other:1")


def test_prepared_statements_by_version(tmp_path: Path) -> None:
    found = facts(tmp_path, app())
    assert "max_prepared_statements = 200" in text_of(fragment(found), "pgbouncer.ini")
    assert "prepared" not in text_of(fragment(found, image="acme/pgbouncer:1.18"), "pgbouncer.ini")
    with pytest.raises(UsageError, match=r"1\.21"):
        advise(found, image="acme/pgbouncer:latest", max_prepared_statements="50")


def test_startup_timeouts_are_dropped_only_where_they_are_sent(tmp_path: Path) -> None:
    plain, n8n = facts(tmp_path, app()), facts(tmp_path, app("flow", "n8nio/n8n:1.60", N8N))
    assert "ignore_startup_parameters = extra_float_digits\n" in text_of(fragment(plain), "pgbouncer.ini")
    text = text_of(fragment(n8n), "pgbouncer.ini")
    ignored = "extra_float_digits,idle_in_transaction_session_timeout,lock_timeout,statement_timeout"
    assert f"ignore_startup_parameters = {ignored}\n" in text
    assert any("ALTER ROLE" in str(note) for note in advise(n8n)["route.flow"].notes)


@pytest.mark.parametrize("image", ["1.18", "1.25"])
def test_a_timeout_by_itself_is_dropped_by_any_version(tmp_path: Path, image: str) -> None:
    found = facts(tmp_path, app(variables=f"DATABASE_URL: '{URL}?lock_timeout=1s'"))
    assert "lock_timeout" in text_of(fragment(found, image=f"acme/pgbouncer:{image}"), "pgbouncer.ini")
    assert any("ALTER ROLE" in str(note) for note in advise(found)["route.api"].notes)


@pytest.mark.parametrize(
    ("image", "options", "direct"),
    [
        ("1.19", "-c statement_timeout=5s", True), ("latest", "-c statement_timeout=5s", True), ("1.19", "", False),
        ("1.20", "-c statement_timeout=5s", False), ("1.20", "--statement_timeout=5s", True),
        ("1.23", "--statement_timeout=5s", False),
    ],
)  # fmt: skip
def test_timeouts_in_options_need_a_version_that_looks_into_them(
    tmp_path: Path, image: str, options: str, direct: bool
) -> None:
    found = facts(tmp_path, app(variables=f"DATABASE_URL: '{URL}', PGOPTIONS: '{options}'"))
    line = advise(found, image=f"acme/pgbouncer:{image}")["route.api"]
    assert (line.value == "direct") is direct and ("later" in str(line.why)) is direct, str(line.why)


@pytest.mark.parametrize(("image", "value"), [("1.18", "direct"), ("1.20", "pooled")])
def test_so_does_an_app_that_sends_them_by_itself(tmp_path: Path, image: str, value: str) -> None:
    found = facts(tmp_path, app("flow", "n8nio/n8n:1.60", N8N))
    assert advise(found, image=f"acme/pgbouncer:{image}")["route.flow"].value == value


@pytest.mark.parametrize(
    ("image", "mode", "signal"),
    [
        ("1.25.2", "transaction", "SIGINT"), ("1.18", "transaction", "SIGINT"), ("1.23", "session", "SIGQUIT"),
        ("1.22", "session", "SIGTERM"), ("latest", "session", "SIGQUIT"),
    ],
)  # fmt: skip
def test_it_is_ended_within_its_grace_period(tmp_path: Path, image: str, mode: str, signal: str) -> None:
    made = fragment(facts(tmp_path, app()), image=f"acme/pgbouncer:{image}", route_api="pooled", pool_mode=mode)
    assert made.services["pgbouncer"]["stop_signal"] == signal


def test_a_server_that_recovers_for_long_does_not_make_it_ill(tmp_path: Path) -> None:
    check = fragment(facts(tmp_path, app())).services["pgbouncer"]["healthcheck"]
    assert isinstance(check, dict) and check["start_period"] == "15m" and "pg_isready" in check["test"][1]


def test_a_database_that_the_server_does_not_have_is_named(tmp_path: Path) -> None:
    found = facts(tmp_path, app(), known=server(databases=("postgres",)))
    assert "no database shop" in str(advise(found)["route.api"].why)
    assert advise(facts(tmp_path, app(), known=server(databases=("shop",))))["route.api"].value == "session"


@pytest.mark.parametrize(
    ("services", "error", "words"),
    [
        (("  pool: {image: 'edoburu/pgbouncer:v1.25.2-p0'}\n", app()), None, "pool pools connections already"),
        (("  pool: {image: 'ghcr.io/postgresml/pgcat:1'}\n", app()), None, "pools connections already"),
        ((), None, "No service of this stack"),
        ((app(),), "db asks for a password.", "cannot be read: db asks"),
    ],
)
def test_where_it_does_not_apply_it_says_why(
    tmp_path: Path, services: tuple[str, ...], error: str | None, words: str
) -> None:
    applies = OPTIMIZATION.applies(facts(tmp_path, *services, error=error))
    assert not applies.applicable and words in str(applies.reason), str(applies.reason)


def test_a_database_outside_is_named(tmp_path: Path) -> None:
    found = facts(tmp_path, app(variables="DATABASE_URL: 'postgresql://a:x@db.example.org/shop'"))
    services = tuple(s for s in found.stack.services if s.name != "db")
    reason = str(OPTIMIZATION.applies(replace(found, stack=replace(found.stack, services=services))).reason)
    assert "db.example.org" in reason and "never tuned" in reason


FAR = "db.example.org:5432"


@pytest.mark.parametrize(
    ("live", "words"),
    [
        (Live("postgres-outside", FAR, OutsideFacts("16.2", 90)), ["version 16.2", "max_connections 90"]),
        (Live("postgres-outside", FAR, None, "connection refused."), ["not be read (connection refused)"]),
        (None, ["not be read (nobody asked it)"]),
    ],
    ids=["it was read", "it did not answer", "not asked"],
)
def test_one_beside_the_stacks_own_is_named_as_well(tmp_path: Path, live: Live | None, words: list[str]) -> None:
    far = app("far", variables="DATABASE_URL: 'postgresql://a:x@db.example.org/shop'")
    found = facts(tmp_path, app(), far)
    found = replace(found, live={**found.live, **({(FAR, "postgres-outside"): live} if live else {})})
    (note,) = advise(found)["server"].notes
    assert all(
        word in str(note) for word in [f"far uses a PostgreSQL outside of this stack ({FAR}", "never tuned", *words]
    )
    assert "route.far" not in advise(found) and "far" not in fragment(found).services
    assert not advise(facts(tmp_path, app()))["server"].notes


def test_no_secret_is_copied_and_the_verifier_is_hidden(tmp_path: Path) -> None:
    made = fragment(facts(tmp_path, app()))
    assert environment(made, "api")["DATABASE_URL"] == URL.replace("@db:", "@pgbouncer:")
    users = made.files[0].files["userlist.txt"]
    assert users.secret and users.mode == 0o640 and text_of(made, "userlist.txt").startswith('"shop" "SCRAM-SHA-256$')
    assert "not-a-secret-shop" not in repr(made) and "SCRAM-SHA" not in text_of(made, "pgbouncer.ini")
    assert made.own == {"pgbouncer": ("api",)} and " user=" not in text_of(made, "pgbouncer.ini")


def test_descriptors_cover_clients_and_pools(tmp_path: Path) -> None:
    made = fragment(facts(tmp_path, app()), max_client_conn="3000")
    limits = made.services["pgbouncer"]["ulimits"]
    assert isinstance(limits, dict) and limits["nofile"]["soft"] >= 3000 + 30


def test_a_new_password_is_another_assertion(tmp_path: Path) -> None:
    found = facts(tmp_path, app())
    rotated = facts(tmp_path, app(), known=server(roles={"shop": replace(roles(shop="scram")["shop"], verifier="x")}))
    before, after = (OPTIMIZATION.checks(f, fragment(f)) for f in (found, rotated))
    assert [a.target for a in before] == ["db.role.shop"] and before[0].expected != after[0].expected
    assert fragment(found).files[0].digest != fragment(rotated).files[0].digest


def _limit(found: Facts, **values: str) -> int:
    limit = fragment(found, **values).services["pgbouncer"]["mem_limit"]
    assert isinstance(limit, int)
    return limit


def test_the_pooler_is_limited_by_its_clients_and_the_budget_keeps_that(tmp_path: Path) -> None:
    found = facts(tmp_path, app("flow", "n8nio/n8n:1.60", N8N))
    few, many = (_limit(found, max_client_conn=str(n)) for n in (100, 20000))
    assert 64 << 20 <= few < 128 << 20 and many > 20000 * 32 * 1024
    on, off = Selection.ON, Selection.UNTOUCHED
    (demand,) = OPTIMIZATION.demand(found, choose(max_client_conn="20000").select("pgbouncer", on))
    assert (demand.service, demand.floor, demand.worst) == ("pgbouncer", many, many)
    assert not OPTIMIZATION.demand(found, choose().select("pgbouncer", off)), "nothing is brought"
    assert not OPTIMIZATION.demand(found, choose(route_flow="direct").select("pgbouncer", on)), "nobody goes through it"
    refused = choose(default_pool_size="4000").select("pgbouncer", on)
    assert not OPTIMIZATION.demand(found, refused), "it is refused, and the advice says so"


@pytest.mark.parametrize(
    ("pooler", "kept"), [(Selection.UNTOUCHED, True), (Selection.OFF, False), (Selection.ON, True)]
)
def test_a_pooler_in_force_is_in_the_budget_of_a_plan_that_leaves_it(
    tmp_path: Path, pooler: Selection, kept: bool
) -> None:
    found = facts(tmp_path, app("flow", "n8nio/n8n:1.60", N8N))
    brought = fragment(found, max_client_conn="20000")
    in_force = InForce(1, "run", choose(max_client_conn="20000"), (brought,))
    choices = choose(**({"max_client_conn": "20000"} if pooler is Selection.ON else {})).select("pgbouncer", pooler)
    made = draft(found, choices.select("postgres", Selection.ON), load_registry(), standing(found, in_force))
    sizes = dict(made.memory.services)
    assert sizes.get("pgbouncer") == (_limit(found, max_client_conn="20000") if kept else None)
    assert set(sizes) - {"pgbouncer"} == {"db", "flow"}


# -- what is told ---------------------------------------------------------------------------------------------------
def test_an_image_that_is_not_here_is_told_first(tmp_path: Path) -> None:
    """It applies, for another image may be named; until then the line says what it waits for, not "nothing to do"."""
    found = replace(facts(tmp_path, app()), images=frozenset())
    registry = load_registry()
    chosen = choose().select("pgbouncer", Selection.ON)
    (item,) = [o for o in draft(found, chosen, registry, standing(found)).optimizations if o.id == "pgbouncer"]
    assert item.applicable and str(item.lacks).startswith("Its image is not here: docker pull edoburu/pgbouncer:")
    assert "nothing" not in str(item.lacks) and not any("0 pools" in str(line.why) for line in item.advice)
    here = replace(found, images=frozenset({"edoburu/pgbouncer:v1.25.2-p0", "acme/pool:1.24"}))
    (item,) = [o for o in draft(here, chosen, registry, standing(here)).optimizations if o.id == "pgbouncer"]
    assert item.lacks is None
    other = replace(found, images=frozenset({"acme/pool:1.24"}))
    named = chosen.set("pgbouncer", None, "image", "acme/pool:1.24")
    (item,) = [o for o in draft(other, named, registry, standing(other)).optimizations if o.id == "pgbouncer"]
    assert item.lacks is None, "what was named is there"


def test_where_no_pooler_stands_none_is_the_present_value(tmp_path: Path) -> None:
    lines = advise(facts(tmp_path, app()))
    assert {lines[name].current for name in ("pool_mode", "max_client_conn", "image", "server")} == {"none"}
    assert lines["route.api"].current == "direct"


def test_each_reason_is_of_this_stack(tmp_path: Path) -> None:
    found = facts(tmp_path, app("flow", "n8nio/n8n:1.60", N8N), app("api-migrate"))
    lines = advise(found)
    same = {line.knob for line in lines.values() for knob in OPTIMIZATION.knobs
            if knob.name == line.knob and knob.main and str(knob.why) == str(line.why)}  # fmt: skip
    assert not same
    assert str(lines["pool_mode"].why).startswith("flow needs nothing of its session")
    assert str(lines["default_pool_size"].why).startswith("One pool of a user and a database may hold")
    assert "one pool" in str(OPTIMIZATION.steps(found, fragment(found))[0].summary)


def test_a_refusal_is_translated_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        advise(facts(tmp_path, app("api-migrate", variables=f"DATABASE_URL: '{URL}?sslmode=require'")),
               **{"route_api-migrate": "session"})  # fmt: skip
    assert "«it asks for TLS" in caught.value.message.render(lambda text: f"«{text}»")
