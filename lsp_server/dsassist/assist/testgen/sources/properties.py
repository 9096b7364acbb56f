"""Invariants that a name, or a docstring, makes evident: round trips, idempotence, order, bounds; as hypothesis tests.

The name alone only proposes one: a property is kept when it holds on every example that hypothesis tries, so a
function that is called ``strip`` and is not idempotent costs nothing. Where the docstring itself promises it, a
counterexample is a suspected bug.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dsassist.assist.testgen.case import Case
from dsassist.assist.testgen.sources import Facts

__all__ = ["Property", "properties"]

_INVERSE = (
    ("encode", "decode"), ("dumps", "loads"), ("dump", "load"), ("serialize", "deserialize"), ("serialise", "deserialise"),
    ("pack", "unpack"), ("escape", "unescape"), ("quote", "unquote"), ("compress", "decompress"), ("encrypt", "decrypt"),
    ("marshal", "unmarshal"), ("format", "parse"), ("unparse", "parse"), ("render", "parse"), ("to", "from"), ("flatten", "unflatten"),
    ("wrap", "unwrap"), ("zip", "unzip"), ("increment", "decrement"), ("join", "split"), ("stringify", "parse"), ("write", "read"),
    ("b64encode", "b64decode"), ("hexlify", "unhexlify"), ("pad", "unpad"), ("mask", "unmask"), ("intern", "unintern"),
)  # fmt: skip
_IDEMPOTENT = re.compile(
    r"(^|_)(normali[sz]e\w*|canonicali[sz]e\w*|sanitize\w*|strip\w*|clean\w*|dedupe?|deduplicate|unique\w*|slugify|simplify|squash|"
    r"collapse|trim|lower|upper|casefold|standardi[sz]e|tidy|sorted|sort|dedent|abspath|expand_?user|parameteri[sz]e|"
    r"transliterate|remove_\w+|ensure_\w+|to_(str|string|text|bytes|list|int|float|bool)|as_(str|list|bytes)|coerce\w*|clamp)($|_)"
)
_INVOLUTION = re.compile(r"(^|_)(reverse[d]?|invert|swap\w*|transpose|negate|toggle|mirror|complement|flip)($|_)")
_SORTED = re.compile(r"(^|_)(sort|sorted|ordered|rank)($|_)")
_KEEPS_LENGTH = re.compile(r"(^|_)(sort|sorted|reverse[d]?|shuffle[d]?|rotate[d]?|swapcase|pairwise_swap)($|_)")
_INVERSE_OF = r"\b(inverse of|round[- ]?trips?|undoes|reverse of|opposite of)\b"
_STATED = {
    "idempotent": r"\bidempoten",
    "involution": r"\b(own inverse|involution|twice gives)",
    "ordered": r"\b(in ascending order|sorted ascending|in increasing order)\b",
}
_STRATEGIES = {
    "str": "st.text()", "int": "st.integers()", "float": "st.floats(allow_nan=False, allow_infinity=False)", "bool": "st.booleans()",
    "bytes": "st.binary()", "list": "st.lists(st.integers())", "tuple": "st.tuples(st.integers(), st.integers())",
    "dict": "st.dictionaries(st.text(), st.integers())", "set": "st.sets(st.integers())", "List": "st.lists(st.integers())",
    "Sequence": "st.lists(st.integers())", "Iterable": "st.lists(st.integers())", "Collection": "st.lists(st.integers())",
    "Decimal": "st.decimals(allow_nan=False, allow_infinity=False)", "date": "st.dates()", "datetime": "st.datetimes()", "UUID": "st.uuids()",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Property:
    """``claim``: code of one assertion over ``arguments`` (name, strategy). ``stated``: the docstring says so, too."""

    kind: str
    claim: str
    arguments: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    stated: bool

    def as_job(self, module: str) -> dict[str, object]:
        """The candidate that the probe runs: a function under ``@given``, called at once."""
        given = ", ".join(f"{name}={strategy}" for name, strategy in self.arguments)
        named = ", ".join(name for name, _ in self.arguments)
        act = (
            f"@settings(max_examples=60, deadline=None, derandomize=True, database=None)\n@given({given})\n"
            f"def holds({named}):\n    {self.claim}\nholds()"
        )
        imports = {"given": ["hypothesis", "given"], "settings": ["hypothesis", "settings"]}
        imports |= {"st": ["hypothesis", "strategies"]} | {name: [module, name] for name in self.names}
        return {
            "setup": [],
            "act": act,
            "source": "property",
            "expected": "",
            "raises": "",
            "watch": [],
            "imports": imports,
            "property": self.kind,
            "claim": self.claim,
            "given": given,
            "named": named,
            "stated": self.stated,
        }


def properties(facts: Facts, cases: Sequence[Case]) -> list[Property]:
    """What is evident about a plain function of the module. ``cases`` (observed calls) tell the types that it takes."""
    target = facts.target
    arguments = target.node.args
    given = [*arguments.posonlyargs, *arguments.args]
    required = given[: len(given) - len(arguments.defaults)]
    if target.owner or not required or arguments.kwonlyargs or isinstance(target.node, ast.AsyncFunctionDef):
        return []
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(target.node)):
        return []
    strategies = []
    for position, parameter in enumerate(required):
        strategy = strategy_of(parameter.annotation) or _observed(cases, position)
        if not strategy:
            return []
        strategies.append((parameter.arg, strategy))
    found = []
    for kind, claim, names in _claims(facts, [name for name, _ in strategies]):
        stated = kind in _STATED and bool(re.search(_STATED[kind], target.docstring, re.IGNORECASE))
        found.append(Property(kind, claim, tuple(strategies), names, stated))
    if len(required) == 1 and re.search(_INVERSE_OF, target.docstring, re.IGNORECASE):
        found += _promised_inverses(facts, strategies[0][1])
    return found[:4]


def _promised_inverses(facts: Facts, strategy: str) -> Iterator[Property]:
    """``decode`` is the inverse of ``encode``: it takes back what ``encode`` made; the other way round is not said."""
    name = facts.target.name
    for other in inverses(name, facts.tree):
        node = next(item for item in facts.tree.body if isinstance(item, ast.FunctionDef) and item.name == other)
        parameter = [*node.args.posonlyargs, *node.args.args][0]
        made = strategy_of(parameter.annotation) or strategy
        claim = f"assert {name}({other}({parameter.arg})) == {parameter.arg}"
        yield Property("round trip", claim, ((parameter.arg, made),), (name, other), True)


def _claims(facts: Facts, names: list[str]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    name, document = facts.target.name, facts.target.docstring
    value = names[0]
    rest = "".join(f", {other}" for other in names[1:])
    call = f"{name}({value}{rest})"
    if len(names) == 1:
        for other in inverses(name, facts.tree):
            yield "round trip", f"assert {other}({call}) == {value}", (name, other)
    if _IDEMPOTENT.search(name) or re.search(_STATED["idempotent"], document, re.IGNORECASE):
        yield "idempotent", f"assert {name}({call}{rest}) == {call}", (name,)
    if (_INVOLUTION.search(name) or re.search(_STATED["involution"], document, re.IGNORECASE)) and len(names) == 1:
        yield "involution", f"assert {name}({call}) == {value}", (name,)
    if _SORTED.search(name) or re.search(_STATED["ordered"], document, re.IGNORECASE):
        yield "ordered", f"assert list({call}) == sorted({call})", (name,)
    if _KEEPS_LENGTH.search(name):
        yield "length", f"assert len({call}) == len({value})", (name,)
    low, high = (next((item for item in names if item in group), "") for group in (_LOW, _HIGH))
    if low and high and re.search(r"clamp|clip|bound|limit|constrain", name):
        yield "bounded", f"assert {low} > {high} or {low} <= {call} <= {high}", (name,)


_LOW = ("low", "lower", "lo", "minimum", "min_value", "min_", "minval", "lower_bound")
_HIGH = ("high", "upper", "hi", "maximum", "max_value", "max_", "maxval", "upper_bound")


def inverses(name: str, tree: ast.Module) -> list[str]:
    """Functions of the module with one required parameter whose name is that of the opposite of ``name``."""
    known = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            parameters = [*node.args.posonlyargs, *node.args.args]
            if len(parameters) - len(node.args.defaults) == 1 and not any(
                default is None for default in node.args.kw_defaults
            ):
                known[node.name] = node
    words = name.split("_")
    candidates = []
    for first, second in _INVERSE:
        for one, other in ((first, second), (second, first)):
            for position, word in enumerate(words):
                if word == one:
                    candidates.append("_".join([*words[:position], other, *words[position + 1 :]]))
    for connector in ("_to_", "2", "_from_"):
        left, middle, right = name.strip("_").partition(connector)
        if middle and left and right:
            candidates.append(f"{right}{connector}{left}")
            candidates.append(f"{left}{'_from_' if connector == '_to_' else '_to_'}{right}")
    return [item for item in dict.fromkeys(candidates) if item in known and item != name]


def strategy_of(annotation: ast.expr | None) -> str:
    """A strategy for a plain annotation, "" for one that is not."""
    if annotation is None:
        return ""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            return strategy_of(ast.parse(annotation.value, mode="eval").body)
        except SyntaxError:
            return ""
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        sides = [strategy_of(side) for side in (annotation.left, annotation.right)]
        return next((side for side in sides if side), "")
    if isinstance(annotation, ast.Subscript):
        name = ast.unparse(annotation.value).rpartition(".")[2]
        inner = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        if name == "Optional":
            return strategy_of(inner[0])
        parts = [strategy_of(item) for item in inner if not (isinstance(item, ast.Constant) and item.value is ...)]
        if not all(parts):
            return ""
        if name in ("list", "List", "Sequence", "Iterable", "Collection") and parts:
            return f"st.lists({parts[0]})"
        if name in ("set", "Set") and parts:
            return f"st.sets({parts[0]})"
        if name in ("dict", "Dict", "Mapping") and len(parts) == 2:
            return f"st.dictionaries({parts[0]}, {parts[1]})"
        if name in ("tuple", "Tuple") and parts:
            return f"st.tuples({', '.join(parts)})" if len(parts) == len(inner) else f"st.lists({parts[0]}).map(tuple)"
        return ""
    return _STRATEGIES.get(ast.unparse(annotation).rpartition(".")[2], "")


def _observed(cases: Sequence[Case], position: int) -> str:
    """By the literal arguments of calls that returned something; one that takes several types says nothing."""
    found: dict[str, int] = {}
    for case in cases:
        if case.outcome != "return" or case.mocks or position >= len(case.arguments) or case.arguments[position][0]:
            continue
        code = case.arguments[position][1]
        assigned = dict(line.split(" = ", 1) for line in case.setup if " = " in line)
        try:
            value = ast.literal_eval(assigned.get(code, code))
        except (ValueError, SyntaxError):
            continue
        strategy = _STRATEGIES.get(type(value).__name__, "")
        if isinstance(value, list | set):
            inner = {type(item).__name__ for item in value}
            element = _STRATEGIES.get(inner.pop(), "") if len(inner) == 1 else ""
            strategy = f"st.{'lists' if isinstance(value, list) else 'sets'}({element})" if element else strategy
        if strategy:
            found[strategy] = found.get(strategy, 0) + 1
    if not found:
        return ""
    best = max(found, key=lambda item: found[item])
    return best if found[best] * 2 >= sum(found.values()) else ""
