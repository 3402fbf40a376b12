"""Where each value was written, the raw form, and what was referred to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nftui.model.stack import Invocation
from nftui.probes.reader import ReadProject, read_project
from tests.counting import calls
from tests.reader.projects import PROJECTS, read


def line(project: ReadProject, key: str) -> tuple[str, int | None]:
    place = project.places[key]
    return Path(place.file).name, place.line


def service(project: ReadProject, name: str, form: str = "document") -> dict[str, Any]:
    return getattr(project, form)["services"][name]  # type: ignore[no-any-return]


def test_places_over_two_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "services:\n  db:\n    image: x\n    environment:\n      A: 1\n      B: 2\n    ports:\n      - 80:80\n"
        "    command: >\n      run\n      me\nvolumes:\n  data:\n"
    )
    (tmp_path / "b.yaml").write_text(
        "services:\n  db:\n    environment:\n      - B=3\n    ports:\n      - 81:81\n    mem_limit: 1g\n"
    )
    files = (str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml"))
    project = read_project(Invocation(str(tmp_path), files), {})
    assert line(project, "services.db") == ("a.yaml", 2)
    assert line(project, "services.db.environment.A") == ("a.yaml", 5)
    assert line(project, "services.db.environment.B") == ("b.yaml", 4)
    assert line(project, "services.db.ports.0") == ("a.yaml", 8)
    assert line(project, "services.db.ports.1") == ("b.yaml", 6)
    assert line(project, "services.db.ports.1.published") == ("b.yaml", 6)
    assert line(project, "services.db.mem_limit") == ("b.yaml", 7)
    assert line(project, "services.db.command") == ("a.yaml", 9)
    assert line(project, "volumes.data") == ("a.yaml", 13)
    assert all(Path(place.file).is_absolute() and place.line for place in project.places.values())


def test_places_through_anchors_extends_include_and_env_files() -> None:
    anchors = read("anchors")
    assert line(anchors, "services.b.image") == ("compose.yaml", 17)
    assert line(anchors, "services.b.restart") == ("compose.yaml", 7)
    assert line(anchors, "services.d.environment.C") == ("compose.yaml", 4)
    extends = read("extends")
    assert line(extends, "services.far.image")[0] == "deeper.yaml"
    assert line(extends, "services.far.environment.FAR") == ("far.env", 1)
    include = read("include")
    assert line(include, "services.nested.image")[0] == "n.yaml"
    assert line(include, "services.other.environment.A")[0] == "b.yaml"


def test_raw_keeps_what_was_written() -> None:
    app = service(read("interpolation"), "app", "raw")
    assert app["image"] == "repo/${SET}:${TAG:-1.2}-$SET"
    assert app["environment"]["N"] == "$$SET $${SET}"
    assert app["ports"][0] == {"mode": "ingress", "target": 80, "published": "${PORT:-80}", "protocol": "tcp"}
    assert app["ports"][1]["published"] == "${P2:-5432}"
    assert app["ports"][2]["host_ip"] == "${COLON_IP:-0.0.0.0}"
    assert app["volumes"][0]["source"] == "${DATA:-./data}"
    assert app["volumes"][0]["type"] == "bind"
    assert app["mem_limit"] == "${MEM:-2g}"
    scalars = service(read("scalars"), "db", "raw")
    assert scalars["command"].startswith("postgres -c shared_buffers='1 GB'")
    assert scalars["mem_limit"] == "1.5g"


def test_raw_of_pass_through_and_env_file() -> None:
    project = read("env_files")
    assert service(project, "three")["environment"]["PASSED"] == "p"
    raw = service(project, "three", "raw")
    assert raw["environment"] == {"PASSED": None, "ABSENT_PASSED": None, "SET": "list", "EMPTY": "", "WITH": "a=b=c"}
    assert [entry["required"] for entry in raw["env_file"]] == [True, False, True]
    assert "env_file" not in service(project, "three")


def test_environment_of_dot_env_and_what_refers_to_it() -> None:
    project = read("interpolation")
    assert project.environment["NESTED"] == "value-default"
    assert project.environment["FROM_SHELL"] == "shell wins"
    assert project.env_places["EMPTY"].line == 3
    assert {"SET", "TAG", "MISSING", "OTHER", "FROM_SHELL"} <= set(project.referenced)
    assert "INLINE" in project.referenced
    assert "NOTSET" in project.referenced
    assert [place.line for place in project.unset["MISSING"]] == [19]
    files = read("env_files")
    assert {"PASSED", "PASSED_BARE", "PROJECT_KEY"} <= set(files.referenced)


def test_profiles_and_every_service() -> None:
    project = read("profiles")
    assert project.profiles == ("", "mysql", "postgresql")
    assert project.chosen_profiles == ("",)
    assert set(project.active) == {"always", "blank", "pg"}
    assert len(project.document["services"]) == 5  # type: ignore[arg-type]


def test_files_read() -> None:
    assert [Path(file).name for file in read("include").files] == [
        "compose.yaml",
        "inner.yaml",
        "n.yaml",
        "a.yaml",
        "b.yaml",
        "x.yaml",
    ]


def stack(count: int) -> str:
    parts = ["x-base: &base\n  restart: always\n  logging: {driver: json-file, options: {max-size: 10m}}\nservices:\n"]
    for number in range(count):
        parts.append(
            f"  s{number}:\n    <<: *base\n    image: acme/app:${{TAG:-1}}\n    command: run --port {number} 'a b'\n"
            f"    environment:\n      A: ${{A:-1}}\n      B: two\n      URL: postgres://u:$${{P}}@db/{number}\n"
            f"    ports: ['{10000 + number}:80']\n    volumes: ['v:/data', './c{number}:/c:ro']\n"
            f"    healthcheck: {{test: [CMD, x], interval: 10s}}\n    depends_on: [s0]\n"
            f"    deploy: {{resources: {{limits: {{memory: 512M, cpus: '0.5'}}}}}}\n"
        )
    return "".join(parts).replace("    depends_on: [s0]\n", "", 1) + "volumes: {v: {}}\n"


def work_of(directory: Path, count: int) -> int:
    (directory / "compose.yaml").write_text(stack(count))
    found = []
    work = calls(lambda: found.append(read_project(Invocation(str(directory), (str(directory / "compose.yaml"),)), {})))
    assert len(found[0].active) == count
    assert found[0].problems == ()
    return work


def test_reading_is_linear(tmp_path: Path) -> None:
    work_of(tmp_path, 10)  # what is imported and remembered at the first
    assert work_of(tmp_path, 1000) < 11 * work_of(tmp_path, 100)


def test_a_service_extended_a_thousand_times_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("services:\n  b: {image: x, volumes: ['./a:/a']}\n")
    found: dict[int, ReadProject] = {}

    def read(count: int) -> int:
        services = "".join(f"  s{n}: {{extends: {{file: base.yaml, service: b}}}}\n" for n in range(count))
        (tmp_path / "compose.yaml").write_text("services:\n" + services)
        place = Invocation(str(tmp_path), (str(tmp_path / "compose.yaml"),))
        return calls(lambda: found.setdefault(count, read_project(place, {})))

    read(10)
    assert read(1000) < 11 * read(100)
    assert service(found[1000], "s999")["volumes"][0]["source"] == str(tmp_path / "a")


def test_fixtures_name_no_place_of_this_machine() -> None:
    for path in PROJECTS.rglob("*"):
        assert not path.is_file() or str(PROJECTS).encode() not in path.read_bytes(), path
