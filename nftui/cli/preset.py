"""`nftui preset`: list, show, validate, export. Only export needs a project."""

from __future__ import annotations

from pathlib import Path

from nftui.cli.context import Context, make_registry
from nftui.cli.i18n import _, tr
from nftui.cli.output import Line, table, write_private
from nftui.model.errors import ExitCode, UsageError
from nftui.model.message import msg
from nftui.model.patterns import regex

_PRESET = regex(r"(?m)^schema:\s*[\"']?nftui/preset/")


def show_list(ctx: Context) -> int:
    """Every preset that can be named; a broken one is listed with what is wrong."""
    from nftui.presetfile import read_preset
    from nftui.presets import PRESET_SCHEMA, bundled_directory, preset_files

    registry, entries, lines = make_registry(), [], []
    for name, path in preset_files().items():
        preset, problems = read_preset(path, registry)
        error = f"{path} line {problems[0].line}: {tr(problems[0].text)}" if problems else None
        text = preset.description if preset else ""
        bundled = path.parent == bundled_directory()
        entries.append({"name": name, "description": text, "schema": PRESET_SCHEMA if preset else None,
                        "path": str(path), "bundled": bundled, "error": error})  # fmt: skip
        lines.append((name, _("bundled") if bundled else _("yours"), error or text))
    ctx.out.document({"presets": entries})
    ctx.out.text(table(lines, ""))
    return ExitCode.DONE


def show_one(ctx: Context) -> int:
    """The preset's file; with --json what was read from it."""
    from nftui.presets import PRESET_SCHEMA, load_preset

    preset = load_preset(make_registry(), ctx.args.name)
    ignore = [{"id": i.id, "service": i.service, "reason": i.reason} for i in preset.ignore]
    ctx.out.document(
        {
            "preset": {
                "name": preset.name, "description": preset.description, "schema": PRESET_SCHEMA,
                "path": str(preset.path), "choices": preset.choices.as_json(), "ignore": ignore,
            }
        }
    )  # fmt: skip
    ctx.out.text(preset.text.splitlines())
    return ExitCode.DONE


def validate(ctx: Context) -> int:
    """Every problem of every file, with its line; exit 2 where there is one. What it is valid with is a warning."""
    from nftui.presetfile import read_preset

    registry = make_registry()
    files: list[dict[str, object]] = []
    lines: list[Line] = []
    for name in ctx.args.files:
        preset, problems = read_preset(Path(name), registry)
        doubts = preset.problems if preset else ()
        found, warnings = ([{"line": p.line, "message": tr(p.text)} for p in some] for some in (problems, doubts))
        files.append({"path": name, "valid": not problems, "problems": found, "warnings": warnings})
        lines += [(f"{name}:{p.line}: {tr(p.text)}", "red") for p in problems]
        lines += [(_("{path}:{line}: warning: {text}").format(path=name, line=p.line, text=tr(p.text)), "yellow")
                  for p in doubts]  # fmt: skip
        lines += [] if problems else [_("{path}: valid").format(path=name)]
    valid = all(f["valid"] for f in files)
    ctx.out.document({"files": files, "valid": valid})
    ctx.out.text(lines)
    return ExitCode.DONE if valid else ExitCode.USAGE


def export(ctx: Context) -> int:
    """The choices in force as a preset."""
    from nftui.presets import export_preset

    in_force = ctx.session.state.in_force()
    if not in_force.generation:
        raise UsageError(msg("Nothing of nftui is in force in this project, so there is nothing to export."))
    text = export_preset(in_force.choices, ctx.args.name, _("Exported from a running project"))
    if ctx.args.out is not None:
        _write(ctx.args.out, text)
        ctx.out.tell(_("Saved as {path}.").format(path=ctx.args.out))
    ctx.out.document({"name": ctx.args.name, "choices": in_force.choices.as_json(), "text": text})
    if ctx.args.out is None:
        ctx.out.text(text.splitlines())
    return ExitCode.DONE


def _write(path: str, text: str) -> None:
    try:
        write_private(Path(path), text, _PRESET)
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(msg("{path} cannot be written: {why}.", path=path, why=why)) from error
