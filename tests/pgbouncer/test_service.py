"""The pooler's own service: what its healthcheck says and does, and what it is started after."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from nftui.engine.planner import draft
from nftui.model.choices import Choices, Selection
from nftui.optimizations.registry import load_registry
from tests.optimizations.test_contract import standing
from tests.pgbouncer.build import app, facts, fragment, with_address

PSQL = '#!/bin/sh\necho "$2" >>{log}\ncase "$2" in *DNS*) {dns};; esac\n'
HOSTS = '#!/bin/sh\n[ -z "{leads}" ] || echo "{leads}      $2"\n'
READY = '#!/bin/sh\ncase " {alive} " in *" $5 "*) exit 0;; *) exit 2;; esac\n'


def check(directory: Path, dns: str, alive: str, leads: str) -> tuple[int, str]:
    """Its exit code and what the console was asked, with a console that answers so, servers at these hosts, and the
    address to which the server's name leads."""
    service = fragment(facts(directory, app())).services["pgbouncer"]
    health = service["healthcheck"]
    assert isinstance(health, dict)
    programs, log = directory / "bin", directory / "log"
    programs.mkdir()
    log.touch()
    texts = {"psql": PSQL.format(log=log, dns=dns), "pg_isready": READY.format(alive=alive),
             "getent": HOSTS.format(leads=leads)}  # fmt: skip
    for name, text in texts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    script = str(health["test"][1]).replace("$$", "$")
    done = subprocess.run(["/bin/sh", "-c", script], env={"PATH": str(programs)}, check=False, timeout=10)
    return done.returncode, log.read_text()


@pytest.mark.parametrize(
    ("dns", "alive", "leads", "code", "ended"),
    [
        ("echo 'db|4|10.0.0.2:0'", "10.0.0.2 db", "10.0.0.2", 0, False),
        ("echo 'db|4|[fd00::2]:0,10.0.0.2:0'", "10.0.0.2", "10.0.0.2", 0, False),
        ("echo 'db|4|[fd00::2]:0'", "fd00::2 db", "fd00::2", 0, False),
        ("true", "db", "10.0.0.2", 0, False),
        ("echo 'db|1|'", "db", "10.0.0.2", 0, False),
        ("echo 'db|4|10.0.0.2:0'", "", "10.0.0.2", 1, False),
        ("true", "", "", 1, False),
        ("exit 1", "db", "10.0.0.2", 1, False),
        ("echo 'db|4|10.0.0.2:0'", "10.0.0.7 db", "10.0.0.7", 1, True),
        ("echo 'db|4|10.0.0.2:0'", "10.0.0.7 db", "", 1, True),
        ("echo 'db|4|10.0.0.2:0'", "db", "10.0.0.2", 1, False),
        ("echo 'db|4|[fd00::2]:0,10.0.0.2:0'", "db", "fd00::2", 1, False),
    ],
    ids=["served", "one of two", "IPv6", "not asked yet", "not found yet", "server away", "away from the start",
         "no console", "made again elsewhere", "elsewhere, and nobody tells where", "slow to answer there",
         "slow, IPv6"],
)  # fmt: skip
def test_it_is_ended_only_where_the_server_is_elsewhere(
    tmp_path: Path, dns: str, alive: str, leads: str, code: int, ended: bool
) -> None:
    result, asked = check(tmp_path, dns, alive, leads)
    assert result == code and ("SHUTDOWN" in asked) == ended


def test_its_start_is_waited_for_as_long_as_its_server_recovers(tmp_path: Path) -> None:
    found = with_address(facts(tmp_path, app()), "api", "10.0.0.9")
    assert fragment(found).services["pgbouncer"]["depends_on"] == {"db": {"condition": "service_started"}}
    made = draft(found, Choices().select("pgbouncer", Selection.ON), load_registry(), standing(found))
    (start,) = [s for stage in made.stages for s in stage.steps if s.kind == "start"]
    assert (start.target, start.params["after"]) == ("pgbouncer", ["db"])
