"""Networks that other projects share: where the pooler is, and by which name an app finds it and no other one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from nftui.model.facts import Facts
from tests.pgbouncer.build import URL, advise, app, environment, facts, fragment

ON = "    networks: [{}]\n"
OWN, OUT, BOTH = ON.format("default"), ON.format("shared"), ON.format("default, shared")


def stack(directory: Path, server: str, clients: Mapping[str, str], external: bool = True) -> Facts:
    """A server and apps on these networks, of which `shared` may be another project's as well."""
    services = [app(name, more=text) for name, text in clients.items()]
    networks = f"networks: {{shared: {{{'external: true' if external else ''}}}}}\n"
    found = facts(directory, *services, networks)
    names = {"default": ["default"], "shared": ["shared"], "both": ["default", "shared"]}[server]
    every = tuple(
        replace(s, config={**s.config, "networks": names}) if s.name == "db" else s for s in found.stack.services
    )
    return replace(found, stack=replace(found.stack, name="my_shop", services=every))


CASES = {
    "a network of its own": ("default", OWN, "pgbouncer", ["default"]),
    "an app that is on another one as well": (
        "default", BOTH, "my-shop-pgbouncer", {"default": {"aliases": ["my-shop-pgbouncer"]}}),
    "both meet on their own": ("both", BOTH, "my-shop-pgbouncer", {"default": {"aliases": ["my-shop-pgbouncer"]}}),
    "only the server is on it": ("both", OWN, "pgbouncer", ["default"]),
    "they meet there only": ("shared", OUT, "my-shop-pgbouncer", {"shared": {"aliases": ["my-shop-pgbouncer"]}}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_an_app_on_a_shared_network_uses_a_name_of_this_project(tmp_path: Path, case: str) -> None:
    server, networks, name, joined = CASES[case]
    found = stack(tmp_path, server, {"api": networks})
    made = fragment(found)
    assert environment(made, "api")["DATABASE_URL"] == URL.replace("@db:", f"@{name}:")
    assert made.services["pgbouncer"]["networks"] == joined
    said = any("mixed up" in str(note) for note in advise(found)["route.api"].notes)
    assert said is (case == "they meet there only")


def test_a_network_that_the_project_makes_is_its_own(tmp_path: Path) -> None:
    found = stack(tmp_path, "shared", {"api": OUT}, external=False)
    assert "@pgbouncer:" in environment(fragment(found), "api")["DATABASE_URL"]
    assert fragment(found).services["pgbouncer"]["networks"] == ["shared"]


def test_each_app_has_the_name_that_it_needs(tmp_path: Path) -> None:
    made = fragment(stack(tmp_path, "both", {"api": OWN, "b": OUT}))
    assert "@pgbouncer:" in environment(made, "api")["DATABASE_URL"]
    assert "@my-shop-pgbouncer:" in environment(made, "b")["DATABASE_URL"]
    names = {"aliases": ["my-shop-pgbouncer"]}
    assert made.services["pgbouncer"]["networks"] == {"default": names, "shared": names}


@pytest.mark.parametrize(("name", "route"), [("pgbouncer", "session"), ("my-shop-pgbouncer", "direct")])
def test_a_fixed_name_counts_where_it_is_the_one_that_is_used(tmp_path: Path, name: str, route: str) -> None:
    found = stack(tmp_path, "both", {"api": f"{BOTH}    extra_hosts: ['{name}:10.0.0.1']\n"})
    assert advise(found)["route.api"].value == route
