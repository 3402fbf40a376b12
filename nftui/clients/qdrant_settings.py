"""What a Qdrant is set to: its configurations, one over the other, and its environment over all of them.

Source: qdrant src/settings.rs, Settings::new; the image's Dockerfile (RUN_MODE, the directory that it starts in).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from nftui.model.stack import Container, MountSpec, Service
from nftui.system.yamltext import read_yaml

HOME = "/qdrant"
"""Where the image starts the server: what its paths are relative to."""
CONFIG = f"{HOME}/config"
_KINDS = ("yaml", "yml", "json")
"""Endings of a configuration, of those that the server tries."""
_MAX_BYTES = 512 * 1024


def configurations(service: Service) -> tuple[str, ...]:
    """Paths in the container at which the server looks for one; the last one wins."""
    container = service.running
    given = {**service.environment, **(container.environment if container else {})}
    mode = given.get("RUN_MODE") or "production"
    stems = (*(f"{CONFIG}/{name}" for name in ("config", mode, "local")), "/etc/qdrant/config")
    command = (
        *(service.entrypoint or ()),
        *(service.command or ()),
        *((container.command if container else None) or ()),
    )
    words = [w.rpartition("=")[2] for w in command]
    named = [absolute(w) for w in words if w.endswith(_KINDS)]
    return tuple(dict.fromkeys((*(f"{stem}.{kind}" for stem in stems for kind in _KINDS), *named)))


def settings_in(text: str) -> Iterator[tuple[tuple[str, ...], object]]:
    """Path of keys and value of everything that a configuration gives."""
    yield from _leaves((), read_yaml(text))


def _leaves(path: tuple[str, ...], tree: Mapping[str, object]) -> Iterator[tuple[tuple[str, ...], object]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves((*path, str(key)), value)
        elif value is not None:
            yield (*path, str(key)), value


def variable(path: tuple[str, ...]) -> str:
    """The name by which the environment gives the same setting."""
    return f"QDRANT__{'__'.join(path).upper()}"


def in_force(service: Service) -> Mapping[str, str]:
    """By the environment's names: what runs beats what the files say, and both beat what a mounted file says.

    Names are compared without regard to case; an empty value is none.
    """
    container = service.running
    found = mounted_settings(service)
    found |= {k.upper(): v for k, v in service.environment.items() if v}
    return found | {k.upper(): v for k, v in (container.environment if container else {}).items() if v}


def mounted_settings(service: Service) -> dict[str, str]:
    """What the configurations say that are mounted into its running container, by the environment's names."""
    container, found = service.running, dict[str, str]()
    for path in configurations(service) if container else ():
        assert container is not None
        try:
            text = read_inside(container, path)
        except OSError:
            continue
        found |= {variable(keys): str(value) for keys, value in settings_in(text or "") if str(value)}
    return found


def read_inside(container: Container, path: str) -> str | None:
    """A file of the container, by the mount that holds it; None where none does. Raises OSError."""
    mount = mount_of(container, path)
    if mount is None or mount.host_path is None:
        return None
    place = Path(mount.host_path + path.removeprefix(mount.target.rstrip("/")))
    with place.open(errors="replace") as file:
        return file.read(_MAX_BYTES)


def mount_of(container: Container, path: str) -> MountSpec | None:
    """The mount that holds that path of the container."""
    found = [m for m in container.mounts if path == m.target or path.startswith(m.target.rstrip("/") + "/")]
    return max(found, key=lambda m: len(m.target), default=None)


def absolute(path: str) -> str:
    """A path of a setting, in the container."""
    return path if path.startswith("/") else f"{HOME}/{path.removeprefix('./')}"
