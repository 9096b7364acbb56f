"""dsassist: a local code assistant for editors and terminals."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("dsassist")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__"]
