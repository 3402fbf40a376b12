"""Random projects of several files: what Compose makes of them, the reader makes too, and both refuse the same ones."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from nftui.model.stack import Invocation
from nftui.probes.reader import read_project
from tests.reader.projects import compose_config, need_compose, undoubled
from tests.reader.test_differential import tidy

# Values that an attribute may take; one is drawn for each file.
CHOICES: dict[str, list[Any]] = {
    "image": ["i:1", "i:${A:-2}", "i@sha256:" + "a" * 64],
    "environment": [
        {"K1": 1.5, "K2": True, "K3": None},
        {"K1": "${B:+alt}", "SHELL_V": None, "K2": "$$B $B"},
        ["K1=${UNSET-x}", "SHELL_V", "UNSET"],
        ["K2=a=b", "K3=", "K1=${EMPTY:-${B:-x}}"],
    ],
    "ports": [
        ["80"],
        ["8080:80", "53:53/udp"],
        ["127.0.0.1:1:1", "3000-3002:3000-3002"],
        [80, "${P:-7}:7"],
        ["[::1]:5:5"],
    ],
    "volumes": [
        ["v1:/a", "./x:/b:ro"],
        ["/anon", "~/h:/d", "v2:/a:ro"],
        [{"type": "bind", "source": "./y", "target": "/b"}, "${D:-./z}:/f", "../up:/g:z"],
        [{"type": "tmpfs", "target": "/t", "tmpfs": {"size": "10m"}}, "v1:/e:nocopy"],
    ],
    "command": ['run me "a b"', ["a", "b $$c", "${B}"], None, 'sh -c "x && y"', "a; b", ""],
    "entrypoint": ["x y", ["z"], None, []],
    "labels": [{"a": "${A}", "b": 1}, ["a=1", "c"]],
    "networks": [["n1"], {"n1": None}, {"n1": {"aliases": ["q"]}, "n2": None}],
    "healthcheck": [{"test": "x y", "interval": "10s"}, {"test": ["CMD", "a"], "timeout": "90s"}, {"retries": 3}],
    "deploy": [
        {"resources": {"limits": {"memory": "1g"}}},
        {"resources": {"limits": {"cpus": "0.5"}}},
        {"resources": {"reservations": {"memory": "10M"}}, "replicas": 2},
    ],
    "env_file": ["e.env", ["e.env", "f.env"], [{"path": "gone", "required": False}]],
    "tmpfs": ["/run", ["/run", "/tmp"]],
    "dns": ["1.1.1.1", ["1.1.1.1", "2.2.2.2"]],
    "extra_hosts": [["a:1.1.1.1"], {"b": "2.2.2.2"}, ["c=::1"]],
    "logging": [
        {"driver": "json-file", "options": {"max-size": "1m"}},
        {"options": {"max-file": 3}},
        {"driver": "local"},
    ],
    "ulimits": [{"nofile": 5}, {"nofile": {"soft": 1, "hard": 2}}],
    "build": ["./ctx", {"context": ".", "args": ["A=1", "SHELL_V"]}, {"context": "c", "args": {"B": 2}}],
    "cap_add": [["A"], ["B", "A"]],
    "expose": [["80"], [81]],
    "sysctls": [{"a": 1}, ["a=2", "b=3"]],
    "mem_reservation": ["10m"],
    "stop_grace_period": ["90s", "1h"],
    "depends_on": [["s0"], {"s0": {"condition": "service_healthy"}}],
    "extends": ["s0", {"service": "s0"}],
    "profiles": [["p"], [""]],
}
DOT_ENVS = ['A=ea\nB="eb $A"\n', "A='x'\nB=${C:-q}\nP=77\n", "", "A=\nexport B=1 # c\nEMPTY=\n"]
PROJECTS = 40


def service(pick: random.Random, name: str, first: bool) -> dict[str, Any]:
    leave = {"depends_on", "extends"} if name == "s0" else set()
    leave |= set() if first else {"extends", "profiles"}
    chosen = {key: pick.choice(values) for key, values in CHOICES.items() if key not in leave and pick.random() < 0.3}
    return {"image": "base", **chosen} if first else chosen


def write_project(pick: random.Random, directory: Path) -> tuple[str, ...]:
    (directory / ".env").write_text(pick.choice(DOT_ENVS))
    (directory / "e.env").write_text("K1=fe\nE1=$A\n")
    (directory / "f.env").write_text("K1=ff\nSHELL_V\nF=${K1}\n")
    names = [f"s{number}" for number in range(pick.randint(1, 4))]
    files = []
    for number in range(pick.randint(1, 3)):
        services = {name: service(pick, name, number == 0) for name in names if number == 0 or pick.random() < 0.7}
        networks = {"n1": None, "n2": {"driver": "bridge"}}
        document = {
            "volumes": {"v1": None, "v2": {}},
            "networks": networks,
            **({"services": services} if services else {}),
        }
        path = directory / f"f{number}.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        files.append(str(path))
    return tuple(files)


@pytest.mark.parametrize("seed", range(PROJECTS))
def test_random_project(seed: int, tmp_path: Path) -> None:
    need_compose()
    environ = {"PATH": os.environ["PATH"], "HOME": "/home/tester", "SHELL_V": "from shell"}
    call = Invocation(str(tmp_path), write_project(random.Random(seed), tmp_path))  # noqa: S311 - not for secrets
    project, result = read_project(call, environ), compose_config(call, environ)
    refused = [problem for problem in project.problems if problem.blocks]
    if result.returncode != 0:
        assert refused, result.stderr
        return
    assert refused == []
    expected = undoubled(json.loads(result.stdout))
    assert set(project.active) == set(expected["services"])
    for name, wanted in expected["services"].items():
        assert tidy(project.document["services"][name]) == tidy(wanted), name  # type: ignore[index]
