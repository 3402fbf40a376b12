"""What the command line may say (cli.md). Only argparse is imported here: `--help` and `--version` must be quick.

Each verb has its own parser that also takes the common options, so that they may stand before or after the verb.
"""

from __future__ import annotations

import argparse

from nftui import __version__
from nftui.cli.i18n import LANGUAGES, _

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Group = Callable[["Parser"], None]

GROUPS = {
    "snapshots": ("list", "show", "verify", "prune"),
    "artefacts": ("list", "delete"),
    "preset": ("list", "show", "validate", "export"),
}
LATER = {"measure", "report", "export", "bundle"}
"""In the contract, not in this version: said clearly instead of being taken for a project's path."""

_VALUED = {
    "--lang", "--state-dir", "-f", "--file", "--env-file", "--profile", "-p", "--project-name",
    "--project-directory", "--context",
}  # fmt: skip
"""Options with a value that may stand before the verb: their value is not the verb."""

EXIT_CODES = (
    (0, "done; for plan, apply and rollback also when there was nothing to do"),
    (1, "failed, and nothing is changed any more"),
    (2, "bad usage or bad input; nothing touched"),
    (3, "drift: the plan no longer fits, nothing touched; status: what was applied no longer stands"),
    (4, "another run holds the project; status: a run is going on"),
    (5, "a run was cut off or a rollback could not finish: what is still changed is listed"),
    (6, "part of the plan stands, verified; the rest was rolled back"),
    (10, "plan --exit-code: changes are pending"),
    (11, "check --fail-on: findings at that level"),
    (12, "status: waiting for confirm"),
    (130, "interrupted"),
)


class BadUsage(Exception):
    """The command line does not make sense: exit 2, before anything was read."""

    def __init__(self, message: str, command: str, *, hint: bool = True) -> None:
        super().__init__(message)
        self.command, self.hint = command, hint


class Parser(argparse.ArgumentParser):
    """Raises BadUsage instead of printing and leaving, so that --json can answer with a document."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Usage errors are judged by the caller."""
        raise BadUsage(message, self.prog)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command line with `verb` and `action` set. Raises BadUsage; SystemExit(0) after --help or --version."""
    verb, rest = split_verb(argv, set(VERBS) | LATER)
    if verb is None:
        parser = _parser("nftui", _front_page(), wizard_options)
        return _finish(parser, rest, "wizard", None)
    if verb in LATER:
        raise _comes_later(verb)
    action = None
    if verb in GROUPS:
        action, rest = _action(verb, rest)
    name = f"{verb} {action}" if action else verb
    text, *groups = VERBS[verb] if action is None else ACTIONS[name]
    return _finish(_parser(f"nftui {name}", text, *groups), rest, verb, action)


def _comes_later(name: str) -> BadUsage:
    text = _("{verb} comes with a later version of nftui.").format(verb=name)
    return BadUsage(text, f"nftui {name}", hint=False)


def split_verb(argv: Sequence[str], verbs: set[str]) -> tuple[str | None, list[str]]:
    """The first word that is no option, if it is a verb, and the rest without it."""
    index = 0
    while index < len(argv) and argv[index].startswith("-") and argv[index] not in ("-", "--"):
        index += 2 if argv[index] in _VALUED else 1
    if index < len(argv) and argv[index] in verbs:
        return argv[index], [*argv[:index], *argv[index + 1 :]]
    return None, list(argv)


def _action(verb: str, rest: list[str]) -> tuple[str | None, list[str]]:
    if {"-h", "--help", "--version"} & set(rest):
        action, left = split_verb(rest, set(GROUPS[verb]))
        return (action, left) if action else (None, rest)
    action, left = split_verb(rest, {*GROUPS[verb], *(w.split()[1] for w in LATER if w.startswith(f"{verb} "))})
    if f"{verb} {action}" in LATER:
        raise _comes_later(f"{verb} {action}")
    if action is None:
        actions = ", ".join(GROUPS[verb])
        raise BadUsage(_("say what to do: {verb} takes {actions}").format(verb=verb, actions=actions), f"nftui {verb}")
    return action, left


def _finish(parser: Parser, rest: list[str], verb: str, action: str | None) -> argparse.Namespace:
    args = parser.parse_intermixed_args(rest)
    args.verb, args.action = verb, action
    return args


def _parser(prog: str, text: str, *groups: Group) -> Parser:
    parser = Parser(
        prog=prog,
        description=text,
        epilog=_epilog(),
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for group in groups:
        group(parser)
    common_options(parser)
    return parser


def _epilog() -> str:
    lines = [f"  {code:<4} {_(text)}" for code, text in EXIT_CODES]
    return "\n".join([_("exit codes:"), *lines])


def _front_page() -> str:
    verbs = [(name, entry[0]) for name, entry in VERBS.items() if name not in GROUPS]
    verbs += [(name, entry[0]) for name, entry in ACTIONS.items()]
    width = max(len(name) for name, _text in verbs)
    lines = [f"  {name:<{width}}  {_(text)}" for name, text in verbs]
    head = _("Tune a Docker Compose stack, measured and reversible. Without a verb: the wizard.")
    return "\n".join([head, "", _("verbs (nftui VERB --help tells more):"), *lines])


# -- options ----------------------------------------------------------------------------------------------------
def common_options(parser: Parser) -> None:
    """Taken by every verb, before or after it."""
    group = parser.add_argument_group(_("common options"))
    add = group.add_argument
    add("--json", action="store_true", help=_("one JSON document on stdout, nothing else there"))
    add("--lang", choices=LANGUAGES, help=_("language of the messages"))
    add("--no-color", action="store_true", help=_("no colour (also NO_COLOR)"))
    add("--plain", action="store_true", help=_("plain numbered lines: screen readers, serial consoles, logs"))
    add("-v", "--verbose", action="store_true", help=_("more: evidence, steps, tracebacks"))
    add("--state-dir", metavar="DIR", help=_("where nftui keeps its state (also NFTUI_STATE_DIR)"))
    add("--version", action="version", version=f"nftui {__version__}", help=_("print the version"))


def project_options(parser: Parser) -> None:
    """They mean what they mean to Compose."""
    parser.add_argument("project", nargs="?", metavar="PROJECT", help=_("project directory or Compose file"))
    compose_options(parser)


def compose_options(parser: Parser) -> None:
    """The options of Compose that name a project."""
    add = parser.add_argument_group(_("project options, as in docker compose")).add_argument
    add("-f", "--file", action="append", default=[], metavar="FILE", help=_("Compose file; repeatable"))
    add("--env-file", action="append", default=[], metavar="FILE", help=_("environment file; repeatable"))
    add("--profile", action="append", default=[], metavar="NAME", help=_("profile; repeatable"))
    add("-p", "--project-name", metavar="NAME", help=_("project name"))
    add("--project-directory", metavar="DIR", help=_("project directory"))
    add("--context", metavar="NAME", help=_("Docker context"))


def wizard_options(parser: Parser) -> None:
    """The wizard takes a project only."""
    project_options(parser)


def snapshot_words(parser: Parser) -> None:
    """[PROJECT] [SNAPSHOT]: told apart afterwards, by what exists."""
    parser.add_argument("words", nargs="*", metavar="[PROJECT] [SNAPSHOT]", help=_("project, and a snapshot's id"))
    compose_options(parser)


def plan_options(parser: Parser) -> None:
    """What may change, and to what."""
    add = parser.add_argument_group(_("what to change")).add_argument
    add("--preset", metavar="NAME|FILE", help=_("a preset's name or file"))
    add("--only", action="append", default=[], metavar="ID,…", help=_("change these optimizations only"))
    add("--skip", action="append", default=[], metavar="ID,…", help=_("leave these as they are"))
    add("--off", action="append", default=[], metavar="ID,…", help=_("take these out again"))
    add("--set", action="append", default=[], metavar="ID.KNOB=VALUE", dest="sets",
        help=_("set a knob, also ID@SERVICE.KNOB=VALUE; repeatable"))  # fmt: skip
    add("--repair", action="store_true", help=_("put back what is in force, change nothing else"))


def _plan(parser: Parser) -> None:
    parser.add_argument("--out", type=_file, metavar="FILE", help=_("save the plan for apply --plan"))
    parser.add_argument("--exit-code", action="store_true", help=_("exit 10 where changes are pending"))


def _apply(parser: Parser) -> None:
    add = parser.add_argument_group(_("how to apply")).add_argument
    add("--plan", metavar="FILE", help=_("apply exactly this saved plan, or refuse"))
    add("--yes", action="store_true", help=_("do not ask"))
    add("--confirm-within", type=_positive, metavar="SECONDS", help=_("take it back unless confirmed in time"))
    add("--wait-quiet", type=_seconds, metavar="SECONDS",
        help=_("how long to wait for dumps, long transactions and the like to end (60)"))  # fmt: skip
    add("--settle", type=_seconds, metavar="SECONDS", help=_("how long services must stay well (10)"))
    add("--files-only", action="store_true", help=_("write the files, touch no container"))
    add("--measure", action="store_true", help=_("measure before and after"))
    add("--resume", action="store_true", help=_("go on with a run that was cut off"))
    add("--accept-irreversible", action="store_true", help=_("consent to steps without an exact way back"))
    add("--without-backup", action="store_true", help=_("consent to a data switch without a proven backup"))
    add("--force", action="store_true", help=_("apply although something about the project forbids it"))


def _rollback(parser: Parser) -> None:
    parser.add_argument("--yes", action="store_true", help=_("do not ask"))
    parser.add_argument("--dry-run", action="store_true", help=_("show what it would take back, and stop"))
    parser.add_argument("--force", action="store_true", help=_("overwrite foreign edits and lose later writes"))


def _recover(parser: Parser) -> None:
    parser.add_argument(
        "--print-unit", action="store_true", help=_("print a systemd unit that does it at boot; install it yourself")
    )


def _check(parser: Parser) -> None:
    add = parser.add_argument
    add("--fail-on", choices=("high", "medium", "low"), help=_("exit 11 where a finding is at least that bad"))
    add("--format", choices=("text", "sarif"), default="text", help=_("output format"))
    add("--preset", metavar="NAME|FILE", help=_("leave out the findings that this preset ignores"))


def _log(parser: Parser) -> None:
    parser.add_argument("-n", type=_count, dest="last", metavar="NUMBER", help=_("the newest NUMBER entries only"))


def _prune(parser: Parser) -> None:
    add = parser.add_argument
    add("--keep", type=_count, default=10, metavar="NUMBER",
        help=_("keep the newest NUMBER that no rollback needs (10); what stands is always kept"))  # fmt: skip
    add("--older-than", type=_days, metavar="DAYS", help=_("remove only what is older than that"))
    add("--yes", action="store_true", help=_("remove it; without it, it is only shown what would go"))


def artefact_words(parser: Parser) -> None:
    """[PROJECT] NAME: the last word is the name, for a directory's name exists as a project's would."""
    parser.add_argument("named", nargs="+", metavar="[PROJECT] NAME", help=_("project, and the artefact's name"))
    compose_options(parser)


def _delete(parser: Parser) -> None:
    parser.add_argument("--yes", action="store_true", help=_("consent: it is gone for good, and so are the rollbacks"))


def _preset_name(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME|FILE", help=_("a preset's name or file"))


def _preset_files(parser: Parser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help=_("preset files"))


def _preset_export(parser: Parser) -> None:
    parser.add_argument("--out", type=_file, metavar="FILE", help=_("write there instead of stdout"))
    parser.add_argument("--name", default="exported", metavar="NAME", help=_("name of the preset"))


def _file(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError(_("no file is named"))
    return text


def _seconds(text: str) -> float:
    from nftui.model.units import parse_duration

    number = parse_duration(text)
    if number is None:
        raise argparse.ArgumentTypeError(_("'{text}' is not a number of seconds").format(text=text))
    return number


def _positive(text: str) -> float:
    number = _seconds(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(_("'{text}' is not more than 0 seconds").format(text=text))
    return number


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(_("'{text}' is not a whole number").format(text=text))
    return int(text)


def _days(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 10**6:
        raise argparse.ArgumentTypeError(_("'{text}' is not a number of days").format(text=text))
    return number


def closest(word: str, known: Sequence[str]) -> str | None:
    """The known word that was probably meant."""
    import difflib

    found = difflib.get_close_matches(word, known, 1, 0.6)
    return found[0] if found else None


VERBS: dict[str, tuple[str, *tuple[Group, ...]]] = {
    "demo": ("the wizard on a copy of the bundled demo stack; needs no Docker engine",),
    "detect": ("the host and the stack, as found", project_options),
    "check": ("findings: what is slow, unsafe, inert or missing, each with evidence", project_options, _check),
    "plan": ("what would change; changes nothing", project_options, plan_options, _plan),
    "apply": ("snapshot, apply, verify; on failure roll back", project_options, plan_options, _apply),
    "confirm": ("keep what was applied with --confirm-within", project_options),
    "rollback": ("back to the state before a snapshot's run (default: the newest)", snapshot_words, _rollback),
    "recover": ("finish or undo a run that was cut off", project_options, _recover),
    "status": ("a run that is going on or was cut off, and drift", project_options),
    "attach": ("follow a run that is going on", project_options),
    "log": ("who did what, when, from where", project_options, _log),
    "snapshots": ("what can be rolled back to: list, show, verify, prune",),
    "artefacts": ("data that nftui made or kept: list, delete",),
    "preset": ("presets: list, show, validate, export",),
}
ACTIONS: dict[str, tuple[str, *tuple[Group, ...]]] = {
    "snapshots list": ("what can be rolled back to", project_options),
    "snapshots show": ("one snapshot: files, services, outcome", snapshot_words),
    "snapshots verify": ("whether a snapshot (default: each) is still whole", snapshot_words),
    "snapshots prune": ("remove snapshots that no rollback needs", project_options, _prune),
    "artefacts list": ("data that nftui made or kept, and the rollbacks that need it", project_options),
    "artefacts delete": ("delete such data for good", artefact_words, _delete),
    "preset list": ("the presets that can be named",),
    "preset show": ("one preset", _preset_name),
    "preset validate": ("every problem of preset files, with its line", _preset_files),
    "preset export": ("the choices in force as a preset", project_options, _preset_export),
}
