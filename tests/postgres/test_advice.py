"""Advice: the operator's own values, refused values, parts, notes, fragments, steps and checks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nftui.engine.planner import draft
from nftui.model.choices import Choices, Selection
from nftui.model.errors import UsageError
from nftui.model.host import Host
from nftui.model.postgres import RoleSetting
from nftui.model.units import GIB, MIB
from nftui.optimizations.postgres import OPTIMIZATION
from nftui.presets import build_choices
from nftui.probes.surroundings import elsewhere_problems
from tests.optimizations.test_contract import standing

from .build import advise, choose, data_mount, facts, fragment, grants, live, ran, service, setting, simulate


def from_file(name: str, shown: str) -> dict[str, object]:
    return {name: setting(name, shown, "configuration file", sourcefile="/etc/x.conf", sourceline=3)}


def test_memory_is_the_grant_never_the_host() -> None:
    world = facts(service(memory_limit_bytes=None), server=live())
    assert advise(world, memory=2 * GIB)["shared_buffers"].value == "512MB"
    bigger = replace(world, host=replace(world.host, memory_bytes=1024 * GIB))
    assert advise(bigger, memory=2 * GIB) == advise(world, memory=2 * GIB)


def test_without_any_memory_nothing_is_guessed() -> None:
    world = facts(service(memory_limit_bytes=None), server=live())
    lines = {a.knob: a for a in OPTIMIZATION.advise(world, Choices(), {})}
    assert lines["shared_buffers"].recommended is None and not lines["shared_buffers"].changes
    assert lines["random_page_cost"].value == "1.1"
    with pytest.raises(UsageError, match="shared_buffers"):
        OPTIMIZATION.advise(world, choose(shared_buffers="1GB"), {})


def test_initdb_s_own_lines_are_nobody_s_choice() -> None:
    line = advise(facts(server=live()))["shared_buffers"]
    assert (line.current, line.value, line.kept, line.changes) == ("128MB", "1GB", False, True)


@pytest.mark.parametrize("command", [None, ["postgres", "-c", "work_mem=6MB"]])
def test_the_operator_s_own_value_is_kept(command: object) -> None:
    changed = {} if command else from_file("work_mem", "6MB")
    server = live(changed=changed or {"work_mem": setting("work_mem", "6MB", "command line")})  # type: ignore[arg-type]
    world = facts(service(command=command), server=server)
    line = advise(world)["work_mem"]
    assert (line.value, line.kept, line.changes) == ("6MB", True, False)
    assert line.recommended not in (None, "6MB")
    assert "work_mem" not in fragment(world).values["db"]
    chosen = advise(world, choose(work_mem="7MB"))["work_mem"]
    assert (chosen.value, chosen.kept, chosen.changes) == ("7MB", False, True)


def test_a_kept_value_shapes_the_rest() -> None:
    world = facts(server=live(changed=from_file("max_connections", "400")))  # type: ignore[arg-type]
    assert advise(world)["max_connections"].value == "400"
    assert advise(world)["work_mem"].value != advise(facts(server=live()))["work_mem"].value


@pytest.mark.parametrize("command", [None, ["postgres", "-c", "work_mem=256MB"]])
def test_an_unsafe_own_value_is_replaced_and_said(command: object) -> None:
    changed = {"work_mem": setting("work_mem", "256MB", "command line" if command else "configuration file")}
    world = facts(service(command=command), server=live(changed=changed))
    line = advise(world)["work_mem"]
    assert not line.kept and line.changes and line.value == advise(facts(server=live()))["work_mem"].value
    assert any("does not fit" in str(note) for note in line.notes)
    again = advise(simulate(world, fragment(world)))["work_mem"]
    assert not again.changes and again.value == line.value


def test_alter_system_beneath_our_command_line_is_named() -> None:
    server = live(changed=from_file("shared_buffers", "200MB"), auto_conf=("shared_buffers",))  # type: ignore[arg-type]
    kept = advise(facts(server=server))["shared_buffers"]
    assert kept.kept and not kept.notes
    hidden = advise(facts(server=server), choose(shared_buffers="1GB"))["shared_buffers"]
    assert any("ALTER SYSTEM set shared_buffers = 200MB" in str(n) for n in hidden.notes)


def test_role_and_database_values_are_named() -> None:
    server = live(role_settings=(RoleSetting("shop", "app", "work_mem", "64MB"),))
    notes = advise(facts(server=server))["work_mem"].notes
    assert [str(n) for n in notes] == [
        "role app in database shop has its own work_mem = 64MB, which stands above this."
    ]


def test_a_value_nftui_wrote_is_no_input() -> None:
    """Whatever stands on the command line beside the declared flags, the recommendation is the same."""
    plain = advise(facts(server=live()))
    rows = {"work_mem": setting("work_mem", "99MB", "command line"), "jit": setting("jit", "on", "command line")}
    by_us = service(containers=(ran("postgres", "-c", "jit=on", "-c", "work_mem=99MB"),))
    hidden = advise(facts(by_us, server=live(changed=rows)))
    assert not any(a.kept for a in hidden.values())
    assert {k: a.recommended for k, a in hidden.items()} == {k: a.recommended for k, a in plain.items()}


def test_noise_is_not_written() -> None:
    rows = {"shared_buffers": setting("shared_buffers", "1000MB", "command line")}
    world = facts(service(containers=(ran("postgres", "-c", "shared_buffers=1000MB"),)), server=live(changed=rows))
    line = advise(world)["shared_buffers"]
    assert (line.value, line.recommended, line.changes) == ("1000MB", "1GB", False)
    assert fragment(world).values["db"]["shared_buffers"] == "1000MB", "it must stay"


def test_without_a_server_to_ask() -> None:
    lines = advise(facts())
    assert lines["shared_buffers"].current is None and lines["shared_buffers"].value == "1GB"
    assert any("could not be asked" in str(n) for n in lines["shared_buffers"].notes)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"work_mem": "1GB"}, "work_mem"),
        ({"shared_buffers": "3GB"}, "shared_buffers"),
        ({"shared_buffers": "50%"}, "shared_buffers"),
        ({"maintenance_work_mem": "2GB"}, "maintenance_work_mem"),
        ({"max_connections": "5000"}, "max_connections"),
        ({"max_connections": "30"}, "max_connections"),
        ({"shm_size": "64MB", "work_mem": "10MB"}, "shm_size"),
        ({"huge_pages": "on"}, "huge_pages"),
        ({"wal_compression": "zstd"}, "wal_compression"),
        ({"max_wal_size": "400GB"}, "max_wal_size"),
        ({"io_method": "sync"}, "io_method"),
    ],
)
def test_values_that_do_not_fit_are_refused(values: dict[str, str], named: str) -> None:
    server = live(14, connections_now=40)
    with pytest.raises(UsageError) as caught:
        advise(facts(service(14), server=server), choose(**values))
    assert f"postgres.{named} = " in str(caught.value) and "db" in str(caught.value)


def test_a_refusal_says_what_would_fit_and_that_fits() -> None:
    with pytest.raises(UsageError, match=r"4 GiB.*at most (\d+\w+) fits") as caught:
        advise(facts(server=live()), choose(work_mem="1GB"))
    most = str(caught.value).rpartition("at most ")[2].split()[0]
    assert advise(facts(server=live()), choose(work_mem=most))["work_mem"].value == most


def test_ratios_are_of_the_service_s_memory() -> None:
    assert advise(facts(server=live()), choose(shared_buffers="25%"))["shared_buffers"].value == "1GB"


def test_a_small_shared_memory_that_was_chosen_lowers_work_mem() -> None:
    lines = advise(facts(server=live()), choose(shm_size="64MB"))
    assert (
        lines["shm_size"].value == "64MB" and lines["work_mem"].value != advise(facts(server=live()))["work_mem"].value
    )


@pytest.mark.parametrize(
    ("declared", "value", "kept"), [(None, "352MB", False), (64 * MIB, "352MB", False), (2 * GIB, "2GB", True)]
)
def test_shm_size(declared: int | None, value: str, kept: bool) -> None:
    lines = advise(facts(service(shm_bytes=declared), server=live()), choose(workload="web"))
    assert (lines["shm_size"].value, lines["shm_size"].kept) == (value, kept)


def test_shm_is_left_alone_where_it_is_not_the_container_s() -> None:
    world = facts(service(config={"ipc": "host"}), server=live())
    assert advise(world)["shm_size"].value is None
    assert "shm_size" not in fragment(world).services["db"]


@pytest.mark.parametrize(("declared", "value"), [(None, "90s"), (30.0, "90s"), (300.0, "300s")])
def test_stop_grace_is_never_lowered(declared: float | None, value: str) -> None:
    assert advise(facts(service(stop_grace_s=declared), server=live()))["stop_grace_period"].value == value


def test_standbys_are_never_left_behind() -> None:
    server = live(has_standbys=True, connections_peak=99)
    lines = advise(facts(server=server, cpus=32), memory=64 * GIB)
    assert lines["max_connections"].value == "100" and lines["max_worker_processes"].value == "8"
    with pytest.raises(UsageError, match="standby, or a receiver of WAL"):
        advise(facts(server=server), choose(max_connections="200"))


def test_a_standby_that_came_after_a_raise_changes_nothing() -> None:
    alone = facts(server=live(), cpus=16)
    given = choose(max_connections="200")
    written = fragment(alone, given, memory=64 * GIB)
    assert written.values["db"]["max_worker_processes"] == "16"
    followed = simulate(alone, written, has_standbys=True)
    assert fragment(followed, given, memory=64 * GIB) == written
    with pytest.raises(UsageError, match="standby"):
        advise(followed, choose(max_connections="201"), memory=64 * GIB)


def test_busy_servers_get_more_connections() -> None:
    assert advise(facts(server=live(connections_peak=98)))["max_connections"].value == "130"


@pytest.mark.parametrize("files_read", [True, False])
def test_connections_that_were_raised_stay_when_fewer_are_seen(files_read: bool) -> None:
    """The busy hour is over when the next plan is made: it changes nothing, and turns nobody away."""
    busy = facts(server=live(connections_now=98))
    written = fragment(busy)
    assert written.values["db"]["max_connections"] == "130"
    night = simulate(busy, written, files_read=files_read, connections_now=4)
    assert fragment(night) == written and not advise(night)["max_connections"].changes
    busier = simulate(busy, written, connections_now=125)
    assert advise(busier)["max_connections"].value == "160"
    followed = simulate(busy, written, connections_now=125, has_standbys=True)
    assert advise(followed)["max_connections"].value == "130"
    own = facts(server=live(changed=from_file("max_connections", "40"), connections_now=4))  # type: ignore[arg-type]
    assert advise(own)["max_connections"].value == "40", "the operator's own count is no raise of nftui's"


@pytest.mark.parametrize(("own", "fits"), [("64MB", False), ("65536", False), ("1MB", True), (None, True)])
def test_a_role_s_work_mem_is_part_of_the_proof(own: str | None, fits: bool) -> None:
    rows = (RoleSetting(None, "report", "work_mem", own),) if own else ()
    others = (RoleSetting(None, "report", "maintenance_work_mem", "4GB"),)
    why = str(advise(facts(server=live(role_settings=rows + others)))["work_mem"].why)
    assert ("still fits" in why, "Not proven" in why) == (fits, not fits), why
    assert fits or "64MB" in why


def test_a_server_that_cannot_fit_says_so() -> None:
    world = facts(service(memory_limit_bytes=256 * MIB, command=["postgres", "-c", "max_connections=2000"]))
    notes = [str(n) for n in advise(world, memory=256 * MIB)["work_mem"].notes]
    assert any("The worst case does not fit" in n and "PgBouncer" in n for n in notes)


def test_parts_can_be_switched_off() -> None:
    world = facts(server=live())
    everything = OPTIMIZATION.advise(world, Choices(), grants())
    fewer = OPTIMIZATION.advise(world, choose(tune_wal="off"), grants())
    assert OPTIMIZATION.effort(world, everything).high == 1.0
    assert OPTIMIZATION.effort(world, fewer).high == 0.8
    assert "max_wal_size" not in OPTIMIZATION.fragment(world, fewer).values["db"]
    applied = simulate(world, OPTIMIZATION.fragment(world, everything))
    removed = OPTIMIZATION.fragment(applied, OPTIMIZATION.advise(applied, choose(tune_wal="off"), grants()))
    assert "max_wal_size" not in removed.values["db"] and "shared_buffers" in removed.values["db"]


def test_the_fragment_holds_only_what_differs() -> None:
    written = fragment(facts(service(command=["postgres", "-c", "ssl=on"]), server=live()))
    keys = written.services["db"]
    assert set(keys) == {"command", "shm_size", "stop_grace_period"}
    command = keys["command"]
    assert isinstance(command, list) and command[:3] == ["postgres", "-c", "ssl=on"]
    assert not any("checkpoint_completion_target" in str(word) for word in command)
    assert keys["stop_grace_period"] == "90s" and keys["shm_size"] == "320m"


def test_nothing_to_change_gives_an_empty_fragment() -> None:
    everything_off = choose(tune_memory="off", tune_wal="off", tune_planner="off", tune_runtime="off")
    written = fragment(facts(server=live()), everything_off)
    assert (
        not written.services and not OPTIMIZATION.steps(facts(), written) and not OPTIMIZATION.checks(facts(), written)
    )


def test_steps_and_checks_name_every_written_setting() -> None:
    world = facts(server=live())
    written = fragment(world)
    (step,) = OPTIMIZATION.steps(world, written)
    checks = OPTIMIZATION.checks(world, written)
    assert step.kind == "postgres-settings" and step.service == "db"
    expected = step.params["expected"]
    assert isinstance(expected, dict)
    assert expected == {c.params["name"]: c.expected for c in checks if c.kind == "postgres-setting"}
    assert set(written.values["db"]) - set(expected) == {"shm_size", "stop_grace_period"}
    assert [c.expected for c in checks if c.kind == "container"] == [str(320 * MIB)]


def test_the_demand_follows_the_limit_else_the_data() -> None:
    (limited,) = OPTIMIZATION.demand(facts(server=live()), Choices())
    assert (limited.floor, limited.wanted, limited.worst) == (256 * MIB, 4 * GIB, 4 * GIB)
    server = live(databases={"shop": 4 * GIB})
    (free,) = OPTIMIZATION.demand(facts(service(memory_limit_bytes=None), server=server), Choices())
    assert free.wanted == 6 * GIB
    (asked,) = OPTIMIZATION.demand(facts(service(memory_limit_bytes=None)), choose(shared_buffers="2GB"))
    assert asked.floor == 5 * GIB


def test_two_servers_are_advised_apart() -> None:
    second = replace(service(), name="db2", mounts=(data_mount(16),))
    lines = OPTIMIZATION.advise(
        facts(service(), second), Choices().set("postgres", "db2", "shared_buffers", "200MB"), grants()
    )
    found = {(a.service, a.knob): a.value for a in lines}
    assert found["db", "shared_buffers"] == "1GB" and found["db2", "shared_buffers"] == "200MB"


def test_every_knob_says_why_and_within_which_bounds() -> None:
    names = [knob.name for knob in OPTIMIZATION.knobs]
    assert len(names) == len(set(names))
    for knob in OPTIMIZATION.knobs:
        assert str(knob.why) and knob.source and knob.unit, knob
        assert knob.choices or knob.kind == "boolean" or (knob.minimum is not None and knob.maximum is not None), knob


def test_advice_never_reads_the_host_s_memory() -> None:
    world = facts(server=live())
    blind = replace(world, host=Host(cpu=world.host.cpu, mounts=world.host.mounts))
    assert advise(blind) == advise(world)


def test_how_many_are_connected_at_the_moment_is_not_said() -> None:
    """Two plans of one stack are equal, a moment apart."""
    looks = [advise(facts(server=live(connections_now=n, connections_peak=n))) for n in (8, 9)]
    assert looks[0] == looks[1]
    frees = [advise(facts(server=live(), free=free)) for free in (30 * GIB, 30 * GIB + 70 * MIB)]
    assert frees[0] == frees[1] and "free disk" in str(frees[0]["max_wal_size"].why)


def test_a_role_s_own_value_is_told_and_not_watched() -> None:
    """It stands above the command line, for nftui's login too: what is below it cannot be read."""
    rows = {"work_mem": setting("work_mem", "7MB", "user")}
    server = live(changed=rows, role_settings=(RoleSetting(None, "app", "work_mem", "7MB"),))
    world = facts(service(), server=server)
    assert any("role app has its own work_mem = 7MB" in str(n) for n in advise(world)["work_mem"].notes)
    written = fragment(world)
    assert "work_mem" in written.values["db"]
    (step,) = OPTIMIZATION.steps(world, written)
    assert step.params["above"] == {"work_mem": "7MB"}
    watched = {a.target for a in OPTIMIZATION.checks(world, written) if a.kind == "postgres-setting"}
    assert "db.work_mem" not in watched and "db.shared_buffers" in watched
    (plain,) = OPTIMIZATION.steps(facts(server=live()), fragment(facts(server=live())))
    assert "above" not in plain.params


def test_without_an_engine_nobody_is_said_not_to_run() -> None:
    here = facts(service())
    trouble = elsewhere_problems(("shop",), "app", running=False)
    other = replace(here, stack=replace(here.stack, elsewhere=("shop",), problems=tuple(trouble)))
    told_of = ((here, "it does not run;"), (replace(here, engine=None), "no engine can be reached"))
    for world, told in (*told_of, (other, "it does not run as project")):
        chosen = Choices().select("postgres", Selection.ON)
        found = draft(world, chosen, {"postgres": OPTIMIZATION}, standing(world))
        (warning,) = (str(w) for w in found.warnings if str(w).startswith("unverified: db"))
        assert told in warning
        assert [p.text in [str(w) for w in found.warnings] for p in world.stack.problems] in ([], [True])
        assert [s.id for s in found.skipped] == ["recreate:db", "postgres-settings:db"]
        assert not [s for s in found.steps if s.service]


def test_the_mission_s_values_give_way_where_a_server_must_not_get_them() -> None:
    small, large = (facts(service(memory_limit_bytes=size), server=live()) for size in (GIB, 12 * GIB))
    wanted, _ = build_choices({"postgres": OPTIMIZATION}, sets=["postgres.shared_buffers=1GB"])
    given = replace(wanted, yielding=frozenset(wanted.values))
    registry = {"postgres": OPTIMIZATION}
    with pytest.raises(UsageError, match="shared_buffers = 1GB is refused"):
        draft(small, wanted, registry, standing(small))
    found = draft(small, given, registry, standing(small))
    assert found.fragments[0].values["db"]["shared_buffers"] == "256MB"
    (told,) = (str(w) for w in found.warnings if "shared_buffers" in str(w))
    assert "is refused for db" in told and "recommends" in told
    assert draft(large, given, registry, standing(large)) == draft(large, wanted, registry, standing(large))
