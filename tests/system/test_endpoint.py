"""The engine is the one that the Docker CLI would talk to."""

import hashlib
import json
from pathlib import Path

import pytest

from nftui.model.errors import UsageError
from nftui.system.endpoint import Endpoint, Tls, resolve_endpoint


def context(home: Path, name: str, host: str, *, tls: bool = False) -> None:
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = home / ".docker" / "contexts" / "meta" / key
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))
    if tls:
        folder = home / ".docker" / "contexts" / "tls" / key / "docker"
        folder.mkdir(parents=True)
        (folder / "ca.pem").write_text("")


def test_the_default(tmp_path: Path) -> None:
    found = resolve_endpoint({"HOME": str(tmp_path)})
    assert found == Endpoint("unix:///var/run/docker.sock", "default", "default")
    assert found.arguments == ("--host", "unix:///var/run/docker.sock")


def test_the_order(tmp_path: Path) -> None:
    context(tmp_path, "a", "unix:///a.sock")
    context(tmp_path, "b", "ssh://root@b")
    context(tmp_path, "c", "tcp://c:2376", tls=True)
    (tmp_path / ".docker" / "config.json").write_text('{"currentContext": "a"}')
    home = {"HOME": str(tmp_path)}
    assert resolve_endpoint(home).host == "unix:///a.sock"
    assert resolve_endpoint({**home, "DOCKER_CONTEXT": "b"}).host == "ssh://root@b"
    assert resolve_endpoint({**home, "DOCKER_CONTEXT": "b", "DOCKER_HOST": "tcp://h:1"}).host == "tcp://h:1"
    chosen = resolve_endpoint({**home, "DOCKER_HOST": "tcp://h:1"}, "c")
    assert (chosen.host, chosen.arguments) == ("tcp://c:2376", ("--context", "c"))
    assert chosen.tls is not None
    assert chosen.tls.verify
    assert resolve_endpoint(home, "default").host == "unix:///var/run/docker.sock"


def test_a_context_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no Docker context nope"):
        resolve_endpoint({"HOME": str(tmp_path)}, "nope")


def test_tls_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    environ = {"HOME": "/none", "DOCKER_HOST": "h:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    found = resolve_endpoint(environ)
    assert found.host == "tcp://h:2376"
    assert found.tls == Tls(str(tmp_path / "ca.pem"), None, None)
