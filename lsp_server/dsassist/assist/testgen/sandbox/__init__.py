"""Runs the user's code where it can do no harm: a copy of the workspace, no network, limits, and one kill for all
of it."""

from __future__ import annotations

from dsassist.assist.testgen.sandbox.box import Confinement, Limits, Outcome, Sandbox

__all__ = ["Confinement", "Limits", "Outcome", "Sandbox"]
