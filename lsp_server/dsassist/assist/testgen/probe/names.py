"""Which name in a test means which object: one table, so that every piece of code made here can be put together."""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
import types
from collections.abc import Iterable

__all__ = ["Names", "Unnameable"]


class Unnameable(Exception):
    """An object that no import reaches."""


class Names:
    """Name → (module, attribute) with aliases where two objects share a name; attribute "" is the module itself."""

    def __init__(self) -> None:
        self.table: dict[str, tuple[str, str]] = {}
        self.home = ""

    def ref(self, module: str, attribute: str = "") -> str:
        """The name under which a test knows it."""
        origin = (module, attribute)
        plain = attribute or module.partition(".")[0]
        if not attribute and "." in module:
            plain = module.rpartition(".")[2]
        if attribute and plain.lower().startswith("test"):
            plain = f"_{plain}"  # under its own name a test runner would take it for a test
        name = plain
        count = 1
        while self.table.get(name, origin) != origin or (hasattr(builtins, name) and module != "builtins"):
            name = f"{module.rpartition('.')[2].strip('_')}_{plain}" if count == 1 else f"{plain}_{count}"
            count += 1
        self.table[name] = origin
        return name

    def of(self, thing: object) -> str:
        """Code that evaluates to ``thing``, a class, function or module.

        Raises:
            Unnameable: it is local, a lambda, or hidden.
        """
        if isinstance(thing, types.ModuleType):
            return self.ref(thing.__name__)
        qualname = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None)
        if not isinstance(qualname, str) or "<" in qualname:
            raise Unnameable(repr(thing))
        module = getattr(thing, "__module__", None)
        if module == "builtins" and getattr(builtins, qualname, None) is thing:
            return qualname
        # an object used by the module under test is imported from there only when its own module does not show it
        for place in (module, self.home):
            if isinstance(place, str) and self._resolves(place, qualname, thing):
                head, _, rest = qualname.partition(".")
                if (
                    place.startswith("_")
                    and not place.startswith("_pytest")
                    and self._resolves(self.home, qualname, thing)
                ):
                    place = self.home
                return self.ref(place, head) + (f".{rest}" if rest else "")
        raise Unnameable(qualname)

    @staticmethod
    def _resolves(module: str, qualname: str, thing: object) -> bool:
        found: object = sys.modules.get(module)
        if found is None:
            return False
        for part in qualname.split("."):
            found = getattr(found, part, None)
        return found is thing

    def used(self, code: str) -> list[str]:
        """Names of the table that ``code`` loads."""
        try:
            tree = ast.parse(code)
        except SyntaxError:
            return []
        return sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in self.table})

    def namespace(self, codes: Iterable[str]) -> dict[str, object]:
        """What the names in ``codes`` stand for."""
        found: dict[str, object] = {"__name__": "dsassist_probe_test"}
        for name in self.used("\n".join(codes)):
            found[name] = self.resolved(self.table[name])
        return found

    @staticmethod
    def resolved(origin: tuple[str, str]) -> object:
        """What an import of ``origin`` gives."""
        module, attribute = origin
        target: object = importlib.import_module(module)
        return getattr(target, attribute) if attribute else target
