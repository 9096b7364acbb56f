"""Names in a suggestion that mean nothing where it stands."""

import pytest

from dsassist.assist.names import first_unknown_name
from dsassist.assist.site import Site

FILE = """from app import Store


def load(path, store):
    {cursor}


async def save(turns):
    total = len(turns)
"""


def unknown(text: str, *, before: str = "", after: str = "", language: str = "python", head: str = "", **how: bool):
    """What is unknown in ``text``, behind ``before`` on its line in a function's body."""
    prefix, suffix = (head + FILE).split("{cursor}")
    prefix += before
    site = Site.at(prefix + after + suffix, len(prefix), document="a", path="app/load.py", language=language)
    found = first_unknown_name(site, text, **how)
    return None if found is None else text[found:]


@pytest.mark.parametrize(
    ("before", "text", "rest"),
    [
        ("return Store.", "read(decoded)", "decoded)"),
        ("return Store.", "read(path.decoded)", None),
        ("return ", "Store(path, total, turns)", None),  # anywhere in the file
        ("return ", "Store(decoded=path)", None),  # an argument's name
        ("", "decoded = store.read(path)", None),
        ("", "decoded, rest = store.read(path)", None),
        ("", "decoded: Store = store", None),
        ("", "decoded == store", "decoded == store"),
        ("", "decoded = path\n    store.add(decoded)", None),
        ("", "store.add(decoded)\n    return store", "decoded)\n    return store"),
        ("return ", "[part.name for part in store]", None),
        ("return ", "[part.name for piece in store]", "part.name for piece in store]"),
        ("return ", "{key: value for key, (value, _) in store.items()}", None),
        ("return ", "sum(part.size", None),  # the loop may follow
        ("return ", "max(part, ", "part, "),
        ("return ", "sorted(store, key=lambda part: part.size)", None),
        ("", "with open(path) as file:\n        return file.read()", None),
        ("", "for number, (left, right) in enumerate(store):\n        print(number, left, right)", None),
        ("", "try:\n        pass\n    except OSError as error:\n        raise ValueError(error) from error", None),
        ("", "if (found := store.get(path)) is not None:\n        return found", None),
        ("", "def inner(a: int, b, *rest, c=1):\n        return a + b + c", None),
        ("", "from json import (loads,\n        dumps)\n    return loads(path)", None),
        ("", "import json\n    return json.loads(path)", None),
        ("", "match store:\n        case Point(x, y):\n            return x", None),
        ("return ", "f'{decoded}' + \"decoded\" + 'it\\'s'  # decoded", None),
        ("return ", '"""decoded', None),
        ("return sto", "re.get(path)", None),  # the word began before the cursor
        ("return dec", "oded.get(path)", "oded.get(path)"),
        ("return ", "__file__, __name__, self, cls, match, print", None),
        ("return ", "größe", "größe"),
        ("x = 'a ", "decoded text'", None),  # in a string
        ("# a ", "decoded text", None),
    ],
)
def test_names_that_are_nowhere_in_the_file(before: str, text: str, rest: str | None) -> None:
    assert unknown(text, before=before) == rest


def test_a_name_that_may_go_on_is_not_judged() -> None:
    assert unknown("Store(path, dec", before="return ") == "dec"
    assert unknown("Store(path, dec", before="return ", whole=False) is None
    assert unknown("Store(path, dec", before="return ", after="oded)") is None


def test_other_languages_and_modules_that_give_all_their_names_are_left_alone() -> None:
    assert unknown("read(decoded)", before="return ", language="go") is None
    assert unknown("read(decoded)", before="return ", head="from app import *\n") is None
