"""Unit tests that are verified before anyone sees them.

``generate`` runs candidate calls of a function in a sandbox, keeps what it observes twice, plants bugs to see which
tests notice,
keeps the fewest tests that notice the most, and runs those in fresh processes with the project's own test runner.
"""

from __future__ import annotations

from dsassist.assist.testgen.consent import Consent
from dsassist.assist.testgen.dispatch import SUFFIXES, AnyTarget, is_test, make, targets_of
from dsassist.assist.testgen.engine import generate
from dsassist.assist.testgen.indexed import callers_in
from dsassist.assist.testgen.oracle import Suspicion
from dsassist.assist.testgen.progress import Options, Progress
from dsassist.assist.testgen.project import find_python, find_workspace
from dsassist.assist.testgen.report import STAGES, FileReport, Kept, TargetReport
from dsassist.assist.testgen.sources.model import ModelSource
from dsassist.assist.testgen.target import Target, changed_lines, in_file, select

__all__ = [
    "STAGES",
    "SUFFIXES",
    "AnyTarget",
    "Consent",
    "FileReport",
    "Kept",
    "ModelSource",
    "Options",
    "Progress",
    "Suspicion",
    "Target",
    "TargetReport",
    "callers_in",
    "changed_lines",
    "find_python",
    "find_workspace",
    "generate",
    "in_file",
    "is_test",
    "make",
    "select",
    "targets_of",
]
