"""Compose projects of any size, made for measuring."""

from __future__ import annotations

from pathlib import Path

SERVICE = """  {name}:
    image: {image}
    restart: unless-stopped
    environment:
      NAME: {name}
      DATABASE_URL: postgresql://app:${{DB_PASSWORD}}@db:5432/app
      POSTGRES_SHARED_BUFFERS: 512MB
    volumes: ["data_{name}:{target}"]
    healthcheck: {{test: ["CMD", "true"], interval: 10s}}
    deploy: {{resources: {{limits: {{memory: 512M, cpus: "1.0"}}}}}}
"""


def write_stack(directory: Path, services: int) -> Path:
    """A project of that many services, every tenth a PostgreSQL server; returns its directory."""
    directory.mkdir(parents=True, exist_ok=True)
    names = [f"svc{i:04d}" for i in range(services)]
    body = "".join(_service(name, number) for number, name in enumerate(names))
    volumes = "".join(f"  data_{name}: {{}}\n" for name in names)
    (directory / "compose.yaml").write_text(f"services:\n{body}volumes:\n{volumes}")
    (directory / ".env").write_text("DB_PASSWORD=not-a-secret\n")
    return directory


def _service(name: str, number: int) -> str:
    if number % 10 == 0:
        return SERVICE.format(name=name, image="postgres:15", target="/var/lib/postgresql/data")
    return SERVICE.format(name=name, image="example/app:1.0", target="/data")


def patient(compose: str) -> str:
    """The test stack's file with checks that wait: one that is cut off may leave a process behind, and PostgreSQL, the
    first process of its container, takes the end of it for the crash of a server process and begins anew."""
    return compose.replace("timeout: 5s", "timeout: 60s").replace("timeout=2", "timeout=50")
