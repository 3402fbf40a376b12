"""Which Docker Engine is meant, found as the Docker CLI finds it.

`--context`, then DOCKER_HOST, then DOCKER_CONTEXT, then the current context of the CLI's configuration,
then the default socket. It is resolved once; nftui's own calls and every child get the same answer
(under sudo HOME is root's, so root's contexts count, as they do for `sudo docker`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from nftui.model.dataclass import dataclass
from nftui.model.errors import UsageError
from nftui.model.message import msg

DEFAULT_HOST = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificates for a tcp endpoint; `verify` False accepts any server."""

    ca: str | None
    cert: str | None
    key: str | None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Address of an engine: `host` is unix:///…, tcp://…, ssh://…; `source` says where it was found."""

    host: str = DEFAULT_HOST
    context: str = "default"
    source: str = "default"
    tls: Tls | None = None

    @property
    def scheme(self) -> str:
        """unix, tcp, ssh, npipe, …"""
        return self.host.partition("://")[0]

    @property
    def path(self) -> str:
        """What follows the scheme: a socket's path, or host:port."""
        return self.host.partition("://")[2]

    @property
    def arguments(self) -> tuple[str, ...]:
        """Arguments of `docker` that lead a child to this very engine."""
        if self.context != "default":
            return ("--context", self.context)
        return ("--host", self.host)


def resolve_endpoint(environ: Mapping[str, str], context: str | None = None) -> Endpoint:
    """The engine that `docker` would talk to with this environment; `context` is `--context`.

    Raises UsageError for a context that does not exist. Source: docker/cli, cli/command/cli.go resolveContextName.
    """
    config = _config_directory(environ)
    if context:
        return _of_context(config, context, environ, "--context")
    if environ.get("DOCKER_HOST"):
        return _default(environ)
    if environ.get("DOCKER_CONTEXT"):
        return _of_context(config, environ["DOCKER_CONTEXT"], environ, "DOCKER_CONTEXT")
    current = _read(config / "config.json").get("currentContext")
    if isinstance(current, str) and current:
        return _of_context(config, current, environ, str(config / "config.json"))
    return _default(environ)


def _default(environ: Mapping[str, str]) -> Endpoint:
    host = environ.get("DOCKER_HOST", "").strip()
    if not host:
        return Endpoint()
    return Endpoint(_with_scheme(host), "default", "DOCKER_HOST", _environment_tls(environ))


def _with_scheme(host: str) -> str:
    if host.startswith("/"):
        return f"unix://{host}"
    return host if "://" in host else f"tcp://{host}"


def _environment_tls(environ: Mapping[str, str]) -> Tls | None:
    """DOCKER_TLS_VERIFY (any value that is not empty) and DOCKER_CERT_PATH, as the CLI reads them."""
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    if not (verify or environ.get("DOCKER_TLS")):
        return None
    folder = Path(environ.get("DOCKER_CERT_PATH") or _config_directory(environ))
    return Tls(_present(folder / "ca.pem"), _present(folder / "cert.pem"), _present(folder / "key.pem"), verify)


def _config_directory(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or "/root") / ".docker")


def _of_context(config: Path, name: str, environ: Mapping[str, str], source: str) -> Endpoint:
    if name == "default":
        return _default(environ)
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = _read(config / "contexts" / "meta" / key / "meta.json")
    endpoints = meta.get("Endpoints")
    docker = endpoints.get("docker") if isinstance(endpoints, dict) else None
    if not isinstance(docker, dict):
        raise UsageError(
            msg("There is no Docker context {name} (from {source}). See `docker context ls`.", name=name, source=source)
        )
    folder = config / "contexts" / "tls" / key / "docker"
    tls = None
    if folder.is_dir():
        skip = docker.get("SkipTLSVerify") is True
        tls = Tls(_present(folder / "ca.pem"), _present(folder / "cert.pem"), _present(folder / "key.pem"), not skip)
    return Endpoint(_with_scheme(str(docker.get("Host") or DEFAULT_HOST)), name, source, tls)


def _present(path: Path) -> str | None:
    return str(path) if path.is_file() else None


def _read(path: Path) -> dict[str, object]:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
