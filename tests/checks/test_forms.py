"""The same finding in the different forms in which public stacks write it, and the near misses beside them.

`forms/*.yaml` are lists of: `id`, `expect` (services, null for the whole stack; empty where it must be silent),
`compose` (text) and `files` (other files of the project, by path). It is the day that TODAY says, on one host.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

import nftui.probes
from nftui.model.finding_ids import IDS, REFUSALS
from nftui.model.host import Cpu, Host
from nftui.model.units import GIB
from nftui.system.clock import SystemClock
from tests.checks.build import check, read

FORMS = [
    pytest.param(form, id=f"{path.stem}-{number}-{form['id']}")
    for path in sorted((Path(__file__).parent / "forms").glob("*.yaml"))
    for number, form in enumerate(yaml.safe_load(path.read_text()))
]


TODAY = datetime(2026, 11, 24, tzinfo=UTC)
HOST = Host(memory_bytes=16 * GIB, memory_available_bytes=8 * GIB, swap_bytes=GIB, cpu=Cpu(4, 4, None))


@pytest.mark.parametrize("form", FORMS)
def test_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: dict[str, Any]) -> None:
    assert form["id"] in (*IDS, *REFUSALS)
    monkeypatch.setattr(SystemClock, "now", lambda _: TODAY)
    every = check(read(tmp_path, form["compose"], form.get("files"), HOST))
    found = [service for service, id in every if id == form["id"]]
    assert sorted(found, key=str) == sorted(form["expect"], key=str)


def test_what_the_reader_refuses_is_listed() -> None:
    """A new id of the reader becomes a public id of `check`: it has to be added to the list."""
    text = "".join(path.read_text() for path in Path(nftui.probes.__path__[0]).glob("compose_*.py"))
    written = set(re.findall(r'(?:problem\(|yield )"([a-z]+(?:-[a-z]+)+)"', text))
    assert len(written) > 15
    assert written - {*REFUSALS, *IDS} == set()


def test_a_variable_that_must_be_set_is_named_by_the_evidence(tmp_path: Path) -> None:
    facts = read(
        tmp_path, "services:\n  a:\n    image: x/a:1\n    environment:\n      A: ${NEEDED:?say it}\n", None, HOST
    )
    evidence = check(facts)[None, "variable-missing"].evidence
    assert [(e.key, e.line) for e in evidence] == [("NEEDED", 5)]
