"""Exit codes and the errors that carry them (the table is cli.md's)."""

from __future__ import annotations

from enum import IntEnum

from nftui.model.message import Message


class ExitCode(IntEnum):
    """What a verb's exit code promises; numbers are public interface."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    DRIFT = 3
    LOCKED = 4
    CUT_OFF = 5
    PARTIAL = 6
    CHANGES = 10
    FINDINGS = 11
    AWAITING_CONFIRM = 12
    INTERRUPTED = 130


class NftuiError(Exception):
    """One clear line for the operator: what, where, and the next step; never a traceback."""

    code: ExitCode = ExitCode.FAILED

    def __init__(self, message: Message, *, code: ExitCode | None = None) -> None:
        super().__init__(str(message))
        self.message = message
        if code is not None:
            self.code = code


class UsageError(NftuiError):
    """Bad usage or bad input: nothing was touched (exit 2)."""

    code = ExitCode.USAGE


class RefusedError(UsageError):
    """A value of a knob that this server must not get."""

    def __init__(self, message: Message, optimization: str, service: str, knob: str) -> None:
        super().__init__(message)
        self.optimization, self.service, self.knob = optimization, service, knob


class DriftError(NftuiError):
    """The world is not what the plan was made for: nothing was touched (exit 3)."""

    code = ExitCode.DRIFT


class LockedError(NftuiError):
    """Another run holds the project (exit 4)."""

    code = ExitCode.LOCKED


class CutOffError(NftuiError):
    """A run was cut off or a way back could not finish (exit 5)."""

    code = ExitCode.CUT_OFF
