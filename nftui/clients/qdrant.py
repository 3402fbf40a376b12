"""The way to a Qdrant: its port, its key, TLS where its service speaks it, and paths of its API."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Mapping
from urllib.parse import quote

from nftui.clients.http import HttpClient, HttpUnreachable
from nftui.clients.qdrant_settings import absolute, in_force, mount_of, read_inside
from nftui.model.message import Message, msg
from nftui.model.stack import Service

_KEYS = ("QDRANT__SERVICE__API_KEY", "QDRANT__SERVICE__ALT_API_KEY", "QDRANT__SERVICE__READ_ONLY_API_KEY")
"""The one that may write comes first."""


_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_ON = ("true", "1", "on", "yes")
"""What the server takes for true."""
_LIMITED_S = 60.0
"""A strict mode counts reads by the minute (1.13): after one of them a request that may be made at all is answered."""
_OVERWRITE = "QDRANT__STORAGE__OPTIMIZERS_OVERWRITE__"


def connect_qdrant(service: Service) -> HttpClient:
    """The first route that answers. Raises HttpUnreachable, also where its certificate cannot be verified."""
    environment = in_force(service)
    port = environment.get("QDRANT__SERVICE__HTTP_PORT", "")
    tls = _trust(service, environment) if _is_on(environment, "ENABLE_TLS") else None
    if port == "0":
        raise HttpUnreachable(msg("{service}: its REST port is closed (QDRANT__SERVICE__HTTP_PORT=0), and nftui asks "
                                  "no other.", service=service.name))  # fmt: skip
    client = HttpClient(service, int(port) if port.isdigit() else 6333, _key_of(service), tls=tls)
    client.limited_s = _LIMITED_S
    return client


def connect_in(service: Service, port: int, dial: Callable[[float], socket.socket]) -> HttpClient:
    """A server in a helper that knows the service's keys and speaks no TLS; `dial` connects."""
    client = HttpClient(service, port, _key_of(service), dial=dial)
    client.limited_s = _LIMITED_S
    return client


def _key_of(service: Service) -> dict[str, str]:
    """The header that lets nftui in; {} where the service names no key."""
    environment = in_force(service)
    key = next((environment[name] for name in _KEYS if name in environment), None)
    return {"api-key": key} if key else {}


def overwritten(service: Service) -> dict[str, int]:
    """Values of the optimizers that it is set to put over those of every collection, by their names in the API."""
    found = {k.removeprefix(_OVERWRITE): v for k, v in in_force(service).items() if k.startswith(_OVERWRITE)}
    return {name.lower().removesuffix("_kb"): int(v) for name, v in found.items() if v.isdigit()}


def snapshot_places(service: Service, root: str) -> tuple[str, ...]:
    """Directories of the engine's machine in which it makes snapshots, and works on them: a mount's, else `root`, the
    engine's own. Those that are not known are left out.
    """
    given, container = in_force(service), service.running
    paths = [given.get("QDRANT__STORAGE__SNAPSHOTS_PATH") or "./snapshots", given.get("QDRANT__STORAGE__TEMP_PATH")]
    mounts = [mount_of(container, absolute(path)) for path in paths if path] if container else []
    places = (mount.host_path if mount else root for mount in mounts)
    return tuple(dict.fromkeys(place for place in places if place))


def _is_on(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(f"QDRANT__SERVICE__{name}", "").lower() in _ON


def _trust(service: Service, environment: Mapping[str, str]) -> ssl.SSLContext:
    """Believes nobody but the certificate that the service is given, whatever name it bears: it is asked by address.

    That file is read where it is mounted from; the key of the API must not go to anybody else.
    """
    if _is_on(environment, "VERIFY_HTTPS_CLIENT_CERTIFICATE"):
        raise _unverified(service, msg("it asks for a client's certificate, and nftui has none"))
    container = service.running
    path = environment.get("QDRANT__TLS__CERT") or "./tls/cert.pem"
    path = absolute(path)
    try:
        own = _CERTIFICATE.search((read_inside(container, path) if container else None) or "")
    except OSError as error:
        raise _unverified(service, msg("{path} cannot be read: {reason}", path=path, reason=error.strerror)) from None
    if own is None:
        raise _unverified(service, msg("{path} is on no mount that nftui can read", path=path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata=own[0])
    except (ssl.SSLError, ValueError):
        raise _unverified(service, msg("{path} holds no certificate", path=path)) from None
    return context


def _unverified(service: Service, reason: Message) -> HttpUnreachable:
    return HttpUnreachable(
        msg("{service} speaks TLS, and who answers cannot be verified: {reason}.", service=service.name, reason=reason)
    )


def collection_path(name: str, *rest: str) -> str:
    """`/collections/NAME/REST…`, names quoted."""
    return "/".join(("/collections", quote(name, safe=""), *(quote(part, safe="/") for part in rest)))
