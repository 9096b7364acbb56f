"""JavaScript and TypeScript: the same stages, run by the project's own vitest or jest, or by Node.

``source`` reads a file (targets, parameters, planted bugs, counters), ``probe`` runs calls in the sandbox, ``render``
writes tests in the project's style, ``engine`` puts them together.
"""

from __future__ import annotations

from dsassist.assist.testgen.ecma.engine import generate
from dsassist.assist.testgen.ecma.source import SUFFIXES, EcmaTarget, changed, in_file, select

__all__ = ["SUFFIXES", "EcmaTarget", "changed", "generate", "in_file", "select"]
