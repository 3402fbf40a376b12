"""A saved plan: what `plan --out` writes and `apply --plan` accepts, or refuses with the difference.

The file is no order: apply plans again from its choices, and the fresh plan must be the saved one (engine.md 4).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from nftui import __version__
from nftui.cli.context import absolute
from nftui.cli.output import plain, write_private
from nftui.engine.compare import differences
from nftui.model.choices import Choices
from nftui.model.dataclass import dataclass
from nftui.model.errors import DriftError, UsageError
from nftui.model.message import msg
from nftui.model.patterns import regex
from nftui.model.plan import PLAN_SCHEMA, Plan, canonical
from nftui.model.stack import ProjectRequest

if TYPE_CHECKING:
    from nftui.engine.protocols import Registry

Json = dict[str, object]
Redact = Callable[[object], object]
_SAVED = regex(r'(?m)^ "schema": "nftui/plan/')
"""What a file has that `save_plan` wrote."""
_MAX_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A plan file, read and checked as far as that goes without the stack."""

    path: str
    id: str
    choices: Choices
    core: Mapping[str, object]
    request: ProjectRequest
    project: str | None = None
    """Id of the project that it was made for; None in the file of an older nftui."""


def save_plan(path: str, plan: Plan, request: ProjectRequest, redact: Redact) -> None:
    """Write the plan atomically, 0600. Raises UsageError where it cannot be written."""
    data: Json = {
        "schema": PLAN_SCHEMA,
        "nftui": __version__,
        "id": plan.id,
        "project": plan.project,
        "choices": plan.draft.choices.as_json(),
        "core": _core(plan, redact),
        "request": asdict(absolute(request)),
    }
    data["seal"] = seal(data)
    try:
        write_private(Path(path), json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n", _SAVED)
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(msg("The plan cannot be saved as {path}: {why}.", path=path, why=why)) from error


def seal(data: Mapping[str, object]) -> str:
    """Digest of all else in the file: it tells an edit by hand. What guards apply is that it plans again."""
    return hashlib.sha256(canonical(plain({k: v for k, v in data.items() if k != "seal"}))).hexdigest()


def _core(plan: Plan, redact: Redact) -> object:
    """The core without secrets; fresh cores are compared in the same form."""
    return redact(plain(plan.draft.core()))


def load_plan(path: str, registry: Registry) -> SavedPlan:
    """Read a plan file. Raises UsageError saying what is wrong with it; nothing of it is trusted."""
    data = _read(path)
    _check_schema(path, data)
    parts = [data.get(key) for key in ("core", "choices", "request")]
    if not all(isinstance(p, dict) for p in parts) or not isinstance(data.get("id"), str):
        raise _foreign(path, "")
    core, choices, request = (p for p in parts if isinstance(p, dict))
    if data.get("seal") != seal(data) or core.get("choices") != choices:
        raise UsageError(msg("{path} was edited since nftui saved it. Plan again.", path=path))
    project = data.get("project")
    return SavedPlan(
        path, str(data["id"]), _choices(path, choices, registry), core, _request(path, request),
        project if isinstance(project, str) else None,
    )  # fmt: skip


def _read(path: str) -> Json:
    try:
        if Path(path).is_file() and Path(path).stat().st_size > _MAX_BYTES:
            raise _foreign(path, "")
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(msg("The plan {path} cannot be read: {why}.", path=path, why=why)) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(msg("{path} is not JSON ({why}), so no plan of nftui.", path=path, why=str(error))) from error
    if not isinstance(data, dict):
        raise _foreign(path, "")
    return data


def _check_schema(path: str, data: Json) -> None:
    schema = data.get("schema")
    newer = re.fullmatch(r"nftui/plan/(\d+)", schema) if isinstance(schema, str) else None
    if newer and int(newer[1]) > 1:
        raise UsageError(
            msg("{path} was made by a newer nftui ({schema}); use that one, or plan again.", path=path, schema=schema)
        )
    if schema != PLAN_SCHEMA:
        raise _foreign(path, "")
    if "core" not in data and "stages" in data:
        raise _foreign(path, " It is what plan --json prints; save one with plan --out FILE.")


def _foreign(path: str, more: str) -> UsageError:
    return UsageError(msg("{path} is no plan that nftui saved.{more}", path=path, more=more))


def _choices(path: str, data: Json, registry: Registry) -> Choices:
    from nftui.presets import check_choices

    try:
        choices = Choices.from_json(data)
    except (AssertionError, KeyError, TypeError, ValueError):
        raise _foreign(path, "") from None
    check_choices(registry, choices, path)
    return choices


def _request(path: str, data: Json) -> ProjectRequest:
    names = ("path", "name", "project_directory", "context")
    lists = ("files", "env_files", "profiles")
    words = {n: data.get(n) for n in names}
    many = {n: data.get(n, []) for n in lists}
    if not all(v is None or isinstance(v, str) for v in words.values()):
        raise _foreign(path, "")
    if not all(isinstance(v, list) and all(isinstance(i, str) for i in v) for v in many.values()):
        raise _foreign(path, "")
    return ProjectRequest(**words, **{n: tuple(v) for n, v in many.items() if isinstance(v, list)})  # type: ignore[arg-type]


def must_be_here(saved: SavedPlan) -> None:
    """Raises UsageError where the project that the plan was made for is not on this machine."""
    place = saved.request.path
    if place is not None and not Path(place).exists():
        text = "The plan {path} was made for the project at {place}, which is not on this machine; nothing was touched."
        raise UsageError(msg(text, path=saved.path, place=place))


def must_fit(saved: SavedPlan, fresh: Plan, redact: Redact) -> None:
    """Raises DriftError with the differences where the fresh plan would do something else than the saved one.

    A plan of another project (another directory, name or engine) is no plan for this one: UsageError.
    """
    if saved.project is not None and saved.project != fresh.project:
        text = "The plan {path} was made for another project or another Docker engine; nothing was touched. Plan here."
        raise UsageError(msg(text, path=saved.path))
    core = json.loads(json.dumps(_core(fresh, redact)))
    lines = differences(saved.core, core)
    if lines:
        raise DriftError(
            msg(
                "The plan {path} no longer fits; nothing was touched: {list}. Plan again.",
                path=saved.path,
                list="; ".join(lines),
            )
        )
