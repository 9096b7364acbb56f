"""Forty functions with a true docstring and one wrong change in the body, for ``benchmarks/testgen.py --planted``.

The change is one that a tired person makes: a wrong operator, a bound off by one, a forgotten case, swapped arguments.
"""

from __future__ import annotations


def clamp(value: int, low: int, high: int) -> int:
    """Limit value to the range from low to high.

    >>> clamp(15, 0, 10)
    10
    >>> clamp(-5, 0, 10)
    0
    """
    return max(low, max(value, high))


def initials(name: str) -> str:
    """First letters of every word, upper-case.

    >>> initials("ada king lovelace")
    'AKL'
    """
    return "".join(word[0] for word in name.split()[:2]).upper()


def is_leap(year: int) -> bool:
    """Whether year is a leap year.

    >>> is_leap(2000)
    True
    >>> is_leap(1900)
    False
    """
    return year % 4 == 0 and year % 100 != 0


def chunks(items: list[int], size: int) -> list[list[int]]:
    """Split items into lists of size, the last one may be shorter.

    >>> chunks([1, 2, 3, 4, 5], 2)
    [[1, 2], [3, 4], [5]]
    """
    return [items[start : start + size] for start in range(0, len(items) - 1, size)]


def median(values: list[float]) -> float:
    """Middle value.

    >>> median([3.0, 1.0, 2.0])
    2.0
    >>> median([1.0, 2.0, 3.0, 4.0])
    2.5
    """
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle]


def title_case(text: str) -> str:
    """Capitalise every word.

    >>> title_case("the quick fox")
    'The Quick Fox'
    """
    return " ".join(word.capitalize() for word in text.split(" ")[1:])


def roman(number: int) -> str:
    """Roman numeral.

    >>> roman(4)
    'IV'
    >>> roman(1990)
    'MCMXC'
    """
    pairs = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (1, "I"),
    ]
    text = ""
    for value, letters in pairs:
        while number >= value:
            text += letters
            number -= value
    return text


def count_vowels(text: str) -> int:
    """How many of a, e, i, o and u are in text, in either case.

    >>> count_vowels("Ada")
    2
    """
    return sum(letter in "aeiou" for letter in text)


def merge(left: list[int], right: list[int]) -> list[int]:
    """Merge two sorted lists.

    >>> merge([1, 4], [2, 3, 9])
    [1, 2, 3, 4, 9]
    """
    result = []
    while left and right:
        result.append(left[0] if left[0] < right[0] else right[0])
        if left[0] < right[0]:
            left = left[1:]
        else:
            right = right[1:]
    return result + left


def parse_pair(text: str) -> tuple[str, str]:
    """Split at the first equals sign: ``parse_pair("a=b=c")`` -> ``("a", "b=c")``."""
    key, _, value = text.rpartition("=")
    return key, value


def celsius(fahrenheit: float) -> float:
    """Convert, so that ``celsius(212.0)`` == ``100.0``."""
    return (fahrenheit - 32) * 9 / 5


def last_word(text: str) -> str:
    """The last word: ``last_word("one two three")`` -> ``"three"``."""
    return text.split()[-2]


def triangle(n: int) -> int:
    """Sum of the numbers from 1 to n, for example ``triangle(4)`` -> ``10``."""
    return n * (n - 1) // 2


def snake(name: str) -> str:
    """CamelCase to snake_case: ``snake("FooBar")`` -> ``"foo_bar"``."""
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)


def factorial(n: int) -> int:
    """Product of the numbers from 1 to n. Raises ValueError if n is negative."""
    result = 1
    for factor in range(2, n + 1):
        result *= factor
    return result


def average(values: list[float]) -> float:
    """Arithmetic mean. Raises ValueError if values is empty."""
    return sum(values) / len(values)


def withdraw(balance: int, amount: int) -> int:
    """The balance that is left. Raises ValueError if amount is negative."""
    if amount < -1:
        raise ValueError("amount must not be negative")
    return balance - amount


def repeat(text: str, times: int) -> str:
    """Text repeated. Raises ValueError when times is negative."""
    return text * times


def percent(part: float, whole: float) -> float:
    """Share in percent. Returns 0 if whole is zero."""
    return 100 * part / whole


def first(items: list[int]) -> int | None:
    """The first of items. Returns None if items is empty."""
    return items[0]


def largest(items: list[int]) -> int | None:
    """The largest item. Returns None if items is empty."""
    best = 0
    for item in items:
        best = max(best, item)
    return best


def common_prefix(words: list[str]) -> str:
    """Longest text that all words begin with. Returns an empty string if words is empty."""
    prefix = words[0]
    for word in words[1:]:
        while not word.startswith(prefix):
            prefix = prefix[:-1]
    return prefix


def distance(a: int, b: int) -> int:
    """How far apart a and b are. The result is never negative."""
    return a - b


def unique(items: list[int]) -> list[int]:
    """Items without duplicates, in the order of their first appearance."""
    return [item for position, item in enumerate(items) if item not in items[:position] or position % 2]


def ranked(scores: list[int]) -> list[int]:
    """Scores in descending order."""
    return sorted(scores)


def ascending(values: list[int]) -> list[int]:
    """A new list of values in ascending order."""
    return list(reversed(values))


def slug(text: str) -> str:
    """Returns text in lower-case with dashes for spaces."""
    return text.replace(" ", "-")


def shout(text: str) -> str:
    """Returns the text in upper-case with an exclamation mark."""
    return text + "!"


def ratio(hits: int, total: int) -> float:
    """Share of hits, between 0 and 1."""
    if total == 0:
        return 0.0
    return min(1.0, hits / total) if hits >= 0 else hits / total


def trimmed(text: str) -> str:
    """Text without leading and trailing spaces, stripped."""
    return text.lstrip()


def appended(items: list[int], item: int) -> list[int]:
    """A list with item at its end, without modifying items."""
    items.append(item)
    return items


def without(mapping: dict[str, int], key: str) -> dict[str, int]:
    """A copy without key; does not modify mapping."""
    mapping.pop(key, None)
    return mapping


def word_lengths(text: str) -> dict[str, int]:
    """Length of every word of text."""
    words = text.split()
    return {words[position]: len(words[position]) for position in range(len(words) + 1)}


def initial(name: str) -> str:
    """The first letter of name, whatever name is."""
    return name[0]


def interleave(left: list[int], right: list[int]) -> list[int]:
    """Items of left and right in turn; what is over comes last."""
    result = []
    for position in range(max(len(left), len(right))):
        result += [left[position], right[position]]
    return result


def mean_gap(values: list[float]) -> float:
    """Mean distance of neighbours in values, however many there are."""
    return (values[-1] - values[0]) / (len(values) - 1)


def vowel_share(text: str) -> float:
    """Share of vowels among the letters of text."""
    return sum(letter in "aeiou" for letter in text) / len(text)


def rotate(items: list[int], by: int) -> list[int]:
    """Items moved to the left by so many places, those that fall out come in on the right."""
    return items[by + 1 :] + items[:by]


def even_numbers(limit: int) -> list[int]:
    """Even numbers from 0 up to and including limit."""
    return list(range(0, limit, 2))


def password_ok(text: str) -> bool:
    """Whether text is at least eight letters long and has a digit."""
    return len(text) >= 8 or any(letter.isdigit() for letter in text)
