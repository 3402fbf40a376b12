"""Services of nftui's own in a stack with profiles: Compose takes the project under every choice of them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from nftui.engine.own import in_profiles
from nftui.model.advice import Fragment
from nftui.model.stack import Invocation, Service, Stack

STARTED = {"condition": "service_started"}


def made(server: tuple[str, ...], app: tuple[str, ...], *, waits: bool = True) -> Mapping[str, Mapping[str, object]]:
    """Between a server and its app stands one of nftui's own, which waits for the server unless it takes its place."""
    stack = Stack(
        "p", Invocation("/p", ("/p/compose.yaml",)), (Service("db", profiles=server), Service("api", profiles=app))
    )
    own: dict[str, object] = {"image": "x", **({"depends_on": {"db": STARTED}} if waits else {})}
    services = {"own": own, "api": {"environment": {"HOST": "own"}, "depends_on": {"own": STARTED}}}
    users = ("api",) if waits else ("db", "api")
    return in_profiles(Fragment("x", services, own={"own": users}), stack).services


def enabled(profiles: object, chosen: str) -> bool:
    assert isinstance(profiles, (list, tuple))
    return not profiles or chosen in profiles


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("app", [(), ("data",), ("web",), ("data", "web")])
@pytest.mark.parametrize("server", [(), ("data",), ("data", "web")])
def test_none_that_is_enabled_depends_on_one_that_is_not(
    server: tuple[str, ...], app: tuple[str, ...], waits: bool
) -> None:
    services = made(server, app, waits=waits)
    own, mine = services["own"], services["own"].get("profiles", [])
    for chosen in ("", "data", "web"):
        if enabled(mine, chosen) and own.get("depends_on"):
            assert enabled(server, chosen), chosen
        if enabled(app, chosen) and services["api"].get("depends_on"):
            assert enabled(mine, chosen), chosen
    if enabled(server, "data") and enabled(app, "data"):
        assert enabled(mine, "data"), "what its server and its app are enabled by enables it"


def test_without_profiles_nothing_is_added() -> None:
    services = made((), ())
    assert "profiles" not in services["own"] and services["api"]["depends_on"] == {"own": STARTED}
    assert made(("data",), ("data",))["own"]["profiles"] == ["data"]
    assert made(("data",), ("data",))["api"]["depends_on"] == {"own": STARTED}
    assert "depends_on" not in made(("data",), ())["api"]
