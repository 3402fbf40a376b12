"""Facts for the tests: a stack of text, and what its server would say of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from nftui.model.advice import Advice, Fragment
from nftui.model.choices import Choices
from nftui.model.facts import Facts, Live
from nftui.model.pooling import RoleSecret, ServerFacts, Session
from nftui.model.stack import Container
from nftui.optimizations.pgbouncer import OPTIMIZATION
from tests.checks.build import read

VERIFIER = "SCRAM-SHA-256$4096:bm90LWE=$bm90LWE=:bm90LWE="
URL = "postgresql://shop:${SHOP_PASSWORD}@db:5432/shop"
DB = "  db: {image: 'postgres:15', volumes: ['data:/var/lib/postgresql/data']}\n"
VOLUMES = "volumes: {data: {}}\n"
ENV = {".env": "SHOP_PASSWORD=not-a-secret-shop\n"}


def app(
    name: str = "api", image: str = "example/app:1", variables: str = f"DATABASE_URL: '{URL}'", more: str = ""
) -> str:
    """One service's text; `more` are further lines, indented by four."""
    return f"  {name}:\n    image: {image}\n    environment: {{{variables}}}\n{more}"


def roles(**kinds: str) -> dict[str, RoleSecret]:
    """Name to how its password is kept."""
    return {n: RoleSecret(n, k, VERIFIER if k == "scram" else "", n == "admin") for n, k in kinds.items()}


def server(**more: object) -> ServerFacts:
    """A stock server with one role."""
    values: dict[str, object] = {"max_connections": 100, "reserved": 3, "roles": roles(shop="scram")}
    return ServerFacts(**{**values, **more})  # type: ignore[arg-type]


def facts(directory: Path, *services: str, known: ServerFacts | None = None, error: str | None = None) -> Facts:
    """A stack with a server `db` and these services; `known` None and `error` None: a stock server."""
    found = read(directory, "services:\n" + DB + "".join(services) + VOLUMES, ENV)
    value = None if error else known or server()
    return replace(found, live={("db", "postgres-roles"): Live("postgres-roles", "db", value, error)})


def with_address(found: Facts, name: str, address: str, *sessions: Session) -> Facts:
    """The service runs at that address, and the server sees these sessions."""
    container = Container("c1", f"{name}-1", name, 1, "running", None, "i", "s", addresses={"default": address})
    services = tuple(replace(s, containers=(container,)) if s.name == name else s for s in found.stack.services)
    live = found.live[("db", "postgres-roles")]
    assert isinstance(live.value, ServerFacts)
    seen = replace(live, value=replace(live.value, sessions=sessions))
    return replace(
        found, stack=replace(found.stack, services=services), live={**found.live, ("db", "postgres-roles"): seen}
    )


def choose(**values: str) -> Choices:
    """Values by knob; `route_api` stands for "route.api"."""
    chosen = Choices()
    for name, value in values.items():
        chosen = chosen.set("pgbouncer", None, name.replace("route_", "route.", 1), value)
    return chosen


def advise(found: Facts, **values: str) -> dict[str, Advice]:
    """Knob to advice."""
    return {a.knob: a for a in OPTIMIZATION.advise(found, choose(**values), {})}


def fragment(found: Facts, **values: str) -> Fragment:
    """What would be written."""
    return OPTIMIZATION.fragment(found, OPTIMIZATION.advise(found, choose(**values), {}))


def text_of(made: Fragment, name: str) -> str:
    """One of its files."""
    content = made.files[0].files[name].content
    assert content is not None
    return content.decode()


def environment(made: Fragment, service: str) -> Mapping[str, str]:
    """What it writes of a service's variables."""
    found = made.services[service]["environment"]
    assert isinstance(found, Mapping)
    return found
