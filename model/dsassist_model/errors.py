"""Every error that the engine raises on purpose.

ModelError
├── BadModelFile       a file that is not a model, is damaged, or asks for something unsupported
├── UnknownModel       a name that is neither in the catalog nor a path
├── ModelNotPulled     a catalog model that is not on this machine
├── PullError          a download that could not be finished
├── DeviceError        a device that is not there
└── EngineError        a request that the engine refuses
    ├── QueueFull      too many requests wait
    └── Cancelled      the client went away
"""

from __future__ import annotations

__all__ = [
    "BadModelFile",
    "Cancelled",
    "DeviceError",
    "EngineError",
    "ModelError",
    "ModelNotPulled",
    "PullError",
    "QueueFull",
    "UnknownModel",
]


class ModelError(Exception):
    """Base of all. ``message`` names the thing that is wrong; ``remedy`` says what to do, if anything can be done."""

    exit_code = 3

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".rstrip()


class BadModelFile(ModelError):
    """The file cannot be used as a model."""


class UnknownModel(ModelError):
    """Neither a catalog name nor a path."""

    exit_code = 2


class ModelNotPulled(ModelError):
    """In the catalog, not on this machine."""


class PullError(ModelError):
    """The download could not be finished; what arrived is kept for the next try."""


class DeviceError(ModelError):
    """The device asked for is not there."""

    exit_code = 2


class EngineError(ModelError):
    """The engine refuses the request. ``status`` is the HTTP status the server answers with."""

    status = 400


class QueueFull(EngineError):
    """Too many requests wait."""

    status = 429


class Cancelled(EngineError):
    """The client went away; nobody reads the answer."""

    status = 499
