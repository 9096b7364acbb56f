"""Runs one candidate in the current (forked) process and says what happened.

A candidate is a dict: ``setup`` (lines), ``act`` (one statement that binds ``result``, or none), ``watch`` (names
whose state
after the act is worth asserting), ``source``.
"""

from __future__ import annotations

import ast
import asyncio
import copy
import inspect
import io
import os
import re
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import Any
from unittest.mock import NonCallableMock

from _dsassist_probe import confine, fork
from _dsassist_probe.files import changes, held
from _dsassist_probe.guard import Guard
from _dsassist_probe.literal import Unwritable, quote
from _dsassist_probe.names import Names, Unnameable
from _dsassist_probe.observe import Fact, Observer
from _dsassist_probe.trace import Tracer

__all__ = ["Capture", "Executor"]

_ORDINARY = (ValueError, LookupError, ArithmeticError, StopIteration, NotImplementedError)


class OutputLimit(BaseException):
    """The call printed more than anyone wants to read."""


class Capture(io.StringIO):
    """Standard output of a call, up to 100,000 characters."""

    def write(self, text: str) -> int:
        """Keep ``text``; too much of it ends the call."""
        if self.tell() + len(text) > 100_000:
            raise OutputLimit
        return super().write(text)


class NoInput(io.StringIO):
    """Standard input that tells when it is read."""

    touched = False

    def readline(self, *_: Any) -> str:  # type: ignore[override]
        NoInput.touched = True
        return ""

    def read(self, *_: Any) -> str:
        NoInput.touched = True
        return ""


_EMPTY: dict[type, str] = {list: "[]", dict: "{}", set: "set()"}


def whole_text(message: str) -> str:
    """Code of a pattern that matches ``message`` and nothing longer; of a long one its beginning."""
    ends = len(message) <= 120
    shown = message if ends else message[:80]
    escaped = re.sub(r"([\[\]\\.^$*+?{}|()])", r"\\\1", shown)
    pattern = f"^{escaped}$" if ends else f"^{escaped}"
    raw = "\\" in pattern and "\\\\" not in pattern and '"' not in pattern and pattern.isprintable()
    return f'r"{pattern}"' if raw else quote(pattern)


def called_with(value: Any) -> list[str] | None:
    """Names of the parameters that a function among results needs; None for what is no function."""
    if not callable(value) or isinstance(value, type | NonCallableMock) or hasattr(value, "__set__"):
        return None
    if type(value).__module__ not in ("builtins", "functools"):
        return None
    try:
        parameters = inspect.signature(value).parameters.values()
    except (ValueError, TypeError):
        return ["value"]
    needed = [item.name for item in parameters if item.default is item.empty and item.kind.value < 2]
    return (needed or ["value"] * any(item.kind.value == 2 for item in parameters)) if len(needed) <= 3 else None


class Executor:
    """``target``: (file, first line, last line). ``roots``: where the project's files are."""

    def __init__(
        self,
        names: Names,
        observer: Observer,
        guard: Guard,
        scratch: str,
        target: tuple[str, int, int],
        statements: dict[int, int],
    ) -> None:
        self.names, self.observer, self.guard, self.scratch = names, observer, guard, scratch
        self.target, self.statements = target, statements
        self.call_limit = 1.0
        self.module: Any = None
        self.shared: tuple[str, ...] = ()
        """Names of variables of ``module`` that a call may change."""
        self._raises: dict[str, list[tuple[int, int]]] = {}
        self._count = 0

    def prepare(self) -> None:
        """Once in each child."""
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        sys.stdin = NoInput()
        confine.deny_new_processes()
        warnings.simplefilter("ignore")

    def run(self, candidate: dict[str, Any]) -> dict[str, Any]:
        """Outcome: ``return``, ``raise``, ``setup`` (the setup failed), ``timeout``, ``output``; with arcs, facts
        and flags."""
        self._count += 1
        base = Path(self.scratch, f"run-{os.getpid()}-{self._count}")
        folder, here = base / "given", base / "here"
        for place in (folder, here):
            place.mkdir(parents=True, exist_ok=True)
        os.chdir(here)
        tempfile.tempdir = str(folder)
        NoInput.touched = False
        try:
            namespace = self.names.namespace([*candidate["setup"], candidate["act"]])
            code = compile(candidate["act"], "<act>", "exec")
            setup = compile("\n".join(candidate["setup"]), "<setup>", "exec")
        except (SyntaxError, ImportError, AttributeError, ValueError) as error:
            return {"outcome": "setup", "error": f"{type(error).__name__}: {error}"}
        namespace["tmp_path"] = folder
        answer: dict[str, Any] = {}
        captured, complaints = Capture(), Capture()
        saved = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = captured, complaints
        tracer = Tracer(*self.target, self.statements, fine=True)

        def perform() -> None:
            try:
                with fork.time_limit(self.call_limit):
                    exec(setup, namespace)
            except BaseException as error:  # noqa: BLE001 - whatever a setup raises means that it is no setup
                answer.update(outcome="setup", error=f"{type(error).__name__}: {error}"[:300])
                return
            for stream in (captured, complaints):
                stream.seek(0)
                stream.truncate()
            shared = self._shared() if "read" not in candidate else {}
            before = {name: self._state(namespace.get(name)) for name in candidate.get("watch", ())}
            given = any("tmp_path" in code for code in (*candidate["setup"], candidate["act"]))
            files = held(folder) if given else {}
            try:
                with fork.time_limit(self.call_limit), tracer:
                    exec(code, namespace)
            except (fork.TooLong, asyncio.CancelledError):
                answer["outcome"] = "timeout"
            except OutputLimit:
                answer["outcome"] = "output"
            except MemoryError:
                answer["outcome"] = "memory"
            except BaseException as error:  # noqa: BLE001 - the outcome of the call, whatever it is
                self._raised(error, answer)
            else:
                answer["outcome"] = "return"
                try:
                    with fork.time_limit(2.0):
                        printed = {"output": captured.getvalue(), "errors": complaints.getvalue()}
                        facts = self._facts(namespace, candidate, before, printed)
                        facts += self._shared_facts(shared, namespace, candidate, answer)
                        if given:
                            facts += changes(files, held(folder), candidate["setup"], self.observer.literals)
                except fork.TooLong:
                    facts = []
                answer["facts"] = (
                    facts if "property" not in candidate else [["property", "holds", candidate["property"]]]
                )
                answer["kind"] = type(namespace.get("result")).__name__
                if (wanted := called_with(namespace.get("result"))) is not None:
                    answer["callable"] = wanted

        try:
            flags = self.guard.watched(perform)
        finally:
            sys.stdout, sys.stderr = saved
        if NoInput.touched:
            flags.add("input")
        if any(here.iterdir()):
            flags.add("writes")  # where tests are started from: the user's project
        answer["flags"] = sorted(flags)
        answer["arcs"], answer["jumps"] = sorted(tracer.arcs), sorted(tracer.jumps)
        # what the observation named is known to this child only
        codes = [
            *candidate["setup"],
            answer.get("act", candidate["act"]),
            answer.get("type", ""),
            answer.get("match", ""),
        ]
        codes += [part for fact in answer.get("facts", ()) for part in (fact[0], fact[2])]
        answer["imports"] = {name: self.names.table[name] for code in codes for name in self.names.used(code)}
        return answer

    def _facts(
        self, namespace: dict[str, Any], candidate: dict[str, Any], before: dict[str, Any], printed: dict[str, str]
    ) -> list[Fact]:
        facts: list[Fact] = self.observer.facts(namespace["result"], "result") if "result" in namespace else []
        for name in candidate.get("watch", ()):
            value = namespace.get(name)
            if isinstance(value, NonCallableMock):
                facts += self._mock_facts(value, name)
                continue
            after = self._state(value)
            if after == before[name]:
                continue
            changed = [fact for fact in self._all(value, name) if fact[1] != "isinstance"]
            if isinstance(before[name], list) and len(changed) > 1:
                known = {(fact[0].removeprefix("x"), *fact[1:]) for fact in before[name]}
                changed = [item for item in changed if (item[0].removeprefix(name), *item[1:]) not in known]
            public = [fact for fact in changed if not re.search(r"\._", fact[0])]
            facts += (public or changed)[:4]
        for name in candidate.get("read", ()):
            facts += self.observer.facts(namespace[name], name)
        for stream, text in printed.items():
            if text and self.observer.literals.text_is_stable(text):
                try:
                    facts.append([f"{stream}.getvalue()", "==", self.observer.literals.write(text)])
                except Unwritable:
                    pass
        return facts

    def _shared(self) -> dict[str, tuple[str, Any]]:
        """The module's variables that the target may change, before the call: (code, shallow copy). A container that is
        too large to write starts out empty in the test."""
        found = {}
        for name in self.shared:
            value = getattr(self.module, name, None)
            try:
                code = self.observer.literals.write(value)
            except Unwritable:
                if type(value) not in _EMPTY:
                    continue
                code = _EMPTY[type(value)]
            found[name] = (code, copy.copy(value))
        return found

    def _shared_facts(
        self,
        shared: dict[str, tuple[str, Any]],
        namespace: dict[str, Any],
        candidate: dict[str, Any],
        answer: dict[str, Any],
    ) -> list[Fact]:
        """What became of them. The act is wrapped so that a test gives every variable back as it was."""
        facts: list[Fact] = []
        act = candidate["act"]
        read: list[str] = []
        for name, (code, before) in shared.items():
            value = getattr(self.module, name, None)
            if type(value) is type(before) and value == before:
                continue
            local = name.lower().strip("_")
            if local in namespace or local in self.names.table or not local.isidentifier():
                local = f"{local}_after"
            found = self.observer.facts(value, local)
            setattr(self.module, name, before)
            if not found:
                continue
            patch, home = self.names.ref("unittest.mock", "patch"), self.names.ref(self.module.__name__)
            inner = "\n".join("    " + line for line in act.splitlines())
            act = f'with {patch}.object({home}, "{name}", {code}):\n{inner}\n    {local} = {home}.{name}'
            read.append(local)
            facts += found
        if read:
            answer.update(act=act, read=read)
        return facts

    def _state(self, value: Any) -> Any:
        if isinstance(value, int | float | str | bytes | bool | type(None) | NonCallableMock):
            return None
        if hasattr(value, "__next__"):
            return None
        return self._all(value, "x")

    def _all(self, value: Any, name: str) -> list[Fact]:
        """Facts about every attribute that is stored, to see what a call changed: to look must change nothing."""
        observer = self.observer
        ordinary, observer.most, observer.properties, observer.literals.calm = observer.most, 30, False, True
        try:
            return list(observer.facts(value, name))
        finally:
            observer.most, observer.properties, observer.literals.calm = ordinary, True, False

    def _mock_facts(self, mock: NonCallableMock, name: str) -> list[Fact]:
        calls = [call for call in mock.mock_calls if "__" not in call[0]]
        if not 0 < len(calls) <= 8:
            return []
        labels = "[" + ", ".join(quote(label) for label, _, _ in calls) + "]"
        by_name = [[f"[item[0] for item in {name}.mock_calls]", "==", labels]]
        if len(calls) > 4:
            return by_name
        shown = []
        for label, positional, keywords in calls:
            if "()" in label:
                return by_name
            try:
                parts = [self.observer.literals.write(item) for item in positional]
                parts += [f"{key}={self.observer.literals.write(item)}" for key, item in keywords.items()]
            except Unwritable:
                return by_name
            shown.append(f"{self.names.ref('unittest.mock', 'call')}{'.' + label if label else ''}({', '.join(parts)})")
        return [[f"{name}.mock_calls", "==", f"[{', '.join(shown)}]"]]

    def _raised(self, error: BaseException, answer: dict[str, Any]) -> None:
        answer["outcome"] = "raise"
        answer["kind"] = type(error).__name__
        answer["message"] = "\n".join([str(error), *getattr(error, "__notes__", ())])[:300]
        # not extract_tb: it reads the source files, which the guard would take for the call's own doing
        frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
        on_purpose = isinstance(error, SystemExit) or self._at_raise(*frames[-1])
        # a standard exception that ordinary calls of the target let through characterises it, too
        inside = any(filename == self.target[0] for filename, _ in frames)
        answer["where"] = next((line for filename, line in reversed(frames) if filename == self.target[0]), 0)
        answer["purpose"] = inside and on_purpose
        # … unless it comes from the test's own code, a function that it hands over or a pair that is none
        own = frames[-1][0] in ("<act>", "<setup>") or "values to unpack" in answer["message"]
        answer["ordinary"] = inside and isinstance(error, _ORDINARY) and not own
        try:
            answer["type"] = self.names.of(type(error))
        except Unnameable:
            answer["type"] = ""
        message = str(error)
        stable = (
            on_purpose
            and message
            and len(message) <= 400
            and "\n" not in message
            and self.observer.literals.text_is_stable(message)
        )
        if stable and not isinstance(error, SystemExit):
            answer["match"] = whole_text(message)

    def _at_raise(self, filename: str, line: int) -> bool:
        if not any(filename.startswith(place) for place in self.guard.readable[:1]):
            return False
        if filename not in self._raises:
            try:
                tree = ast.parse(Path(filename).read_bytes())
            except (OSError, SyntaxError):
                tree = ast.Module(body=[], type_ignores=[])
            found = [node for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None]
            self._raises[filename] = [(node.lineno, node.end_lineno or node.lineno) for node in found]
        return any(first <= line <= last for first, last in self._raises[filename])
