"""Every error that dsassist raises on purpose.

DsassistError
├── SettingsError            a settings file that cannot be read at all
├── PositionError            a line or column outside the document
├── WorkspaceError           a folder or file that cannot be used
├── IndexingError            the index cannot answer
├── BackendError             the model cannot be reached or refused
│   ├── BackendUnavailable   nothing listens, or it went away in the middle of an answer
│   ├── BackendBusy          it listens and asks to come back later
│   ├── BackendLoading       it listens and is still loading the model
│   └── NoModel              no model is on this machine
└── TestGenerationError      a target for which no test can be made

The edges translate: the terminal prints one line and exits with ``exit_code``; the language server answers
with the message and writes the cause to its log.
"""

from __future__ import annotations

__all__ = [
    "BackendBusy",
    "BackendError",
    "BackendLoading",
    "BackendUnavailable",
    "DsassistError",
    "IndexingError",
    "NoModel",
    "PositionError",
    "SettingsError",
    "TestGenerationError",
    "WorkspaceError",
]


class DsassistError(Exception):
    """Base of all. ``message`` names the thing that is wrong; ``remedy`` says what to do, if anything can be done."""

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".rstrip()


class SettingsError(DsassistError):
    """A settings file that cannot be read. A single bad value never raises: it is reported and its default used."""

    exit_code = 2


class PositionError(DsassistError):
    """A position outside its document."""

    exit_code = 2


class WorkspaceError(DsassistError):
    """A folder or file that cannot be used as asked."""

    exit_code = 2


class IndexingError(DsassistError):
    """The index cannot answer."""


class BackendError(DsassistError):
    """The model could not answer."""

    exit_code = 3


class BackendUnavailable(BackendError):
    """Nothing listens at the address, or the connection broke."""


class BackendBusy(BackendError):
    """The engine's queue is full. ``retry_after`` is in seconds."""

    def __init__(self, message: str, *, remedy: str = "", retry_after: float = 1.0) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after


class BackendLoading(BackendError):
    """The engine is loading its model. ``progress`` is 0 to 1."""

    def __init__(self, message: str, *, remedy: str = "", progress: float = 0.0) -> None:
        super().__init__(message, remedy=remedy)
        self.progress = progress


class NoModel(BackendError):
    """No model is on this machine."""


class TestGenerationError(DsassistError):
    """No test can be made for the target."""

    __test__ = False  # keeps pytest from collecting the class
