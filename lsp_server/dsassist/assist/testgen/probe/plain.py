"""Values of the built-in and standard types, by type and by what a parameter's name suggests."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["ABSTRACT", "BY_NAME", "BY_TYPE", "FILE", "FOLDER", "NEW_FILE", "STANDARD", "Value", "named", "suggested"]


class Value(NamedTuple):
    """An argument: ``code`` evaluates to it after the lines of ``setup`` ran. ``mock`` when a stand-in, not the real thing; ``loose`` when the annotation does not promise it.

    ``after``: attributes to set on it, ``name = value``.
    """

    code: str
    setup: tuple[str, ...] = ()
    mock: bool = False
    loose: bool = False
    after: tuple[str, ...] = ()


BY_TYPE: dict[str, tuple[str, ...]] = {
    "str": ('"hello"', '""', '"Hello World"', '"a"', '"123"', '"a,b"', '"a b c"', '"foo_bar"', '"  x  "', '"name=value"', '"h\\u00e9llo"',
            '"1.5"', '"line one\\nline two"', '"https://example.com/path?q=1"', '"a.b"', '"<b>x</b>"', '"2024-01-15"', '"{}"'),
    "int": ("3", "0", "1", "-1", "2", "10", "100", "7", "255"),
    "float": ("1.5", "0.0", "-2.5", "2.0", "100.25", "1e-06", 'float("inf")'),
    "bool": ("True", "False"),
    "bytes": ('b"hello"', 'b""', 'b"\\x00\\x01\\xff"', 'b"a b"', 'b"123"'),
    "bytearray": ('bytearray(b"hello")', "bytearray()"),
    "complex": ("1 + 2j", "0j"),
    "list": ("[1, 2, 3]", "[]", '["a", "b", "a"]', "[3, 1, 2]", "[1]", "[[1, 2], [3]]", '[("a", 1), ("b", 2)]', "[None, 0, 1]"),
    "tuple": ("(1, 2)", "()", '("a", "b")', "(1, 2, 3)", "(0, 0)", '("a", 1)'),
    "dict": ('{"a": 1, "b": 2}', "{}", '{"a": {"b": 1}}', '{1: "x"}', '{"a": [1, 2]}', '{"a": "b"}'),
    "set": ("{1, 2, 3}", "set()", '{"a", "b"}'),
    "frozenset": ("frozenset({1, 2})", "frozenset()"),
    "None": ("None",),
    "range": ("range(5)", "range(0)"),
    "slice": ("slice(1, 3)", "slice(None)"),
    "object": ('"hello"', "1", "None", "[1, 2]", "object()"),
    "type": ("int", "str", "dict", 'type("Sample", (), {})'),
    "callable": ("str", "lambda value: value", "len", "bool", "lambda *args: None", "lambda value: value > 1", "lambda first, second: first",
                 "lambda *args, **kwargs: args[0] if args else None"),
    "iterator": ("iter([1, 2, 3])", "iter([])", 'iter(["a", "b"])'),
    "number": ("3", "1.5", "0", "-1", "100"),
    "exception": ('ValueError("bad value")', 'KeyError("missing")', "Exception()"),
    "memoryview": ('memoryview(b"hello")',),
}  # fmt: skip

# Code over modules that Names knows how to import: {module:attribute} is replaced by the name of the import
STANDARD: dict[str, tuple[str, ...]] = {
    "pathlib.Path": ('{pathlib:Path}("folder/name.txt")', "{pathlib:Path}()", '{pathlib:Path}("a")'),
    "pathlib.PurePath": ('{pathlib:PurePosixPath}("folder/name.txt")',),
    "datetime.datetime": ("{datetime:}.datetime(2024, 1, 15, 10, 30)", "{datetime:}.datetime(2024, 1, 15, 10, 30, tzinfo={datetime:}.timezone.utc)",
                          "{datetime:}.datetime(1999, 12, 31)"),
    "datetime.date": ("{datetime:}.date(2024, 1, 15)", "{datetime:}.date(2023, 12, 31)"),
    "datetime.time": ("{datetime:}.time(10, 30)", "{datetime:}.time(0, 0)"),
    "datetime.timedelta": ("{datetime:}.timedelta(hours=2)", "{datetime:}.timedelta(0)", "{datetime:}.timedelta(days=-3)", "{datetime:}.timedelta(days=400)"),
    "datetime.tzinfo": ("{datetime:}.timezone.utc",),
    "datetime.timezone": ("{datetime:}.timezone.utc",),
    "decimal.Decimal": ('{decimal:Decimal}("1.5")', '{decimal:Decimal}("0")', '{decimal:Decimal}("-10")'),
    "fractions.Fraction": ("{fractions:Fraction}(1, 2)", "{fractions:Fraction}(-3)"),
    "uuid.UUID": ('{uuid:UUID}("12345678-1234-5678-1234-567812345678")',),
    "re.Pattern": ('{re:}.compile("a+")', '{re:}.compile(r"(\\w+)-(\\d+)")'),
    "re.Match": ('{re:}.match(r"(\\w+)", "hello world")', '{re:}.match(r"(\\w+)-(\\d+)", "ab-12")'),
    "io.StringIO": ('{io:StringIO}("line one\\nline two\\n")', '{io:StringIO}("")'),
    "io.BytesIO": ('{io:BytesIO}(b"line one\\nline two\\n")', '{io:BytesIO}(b"")'),
    "collections.deque": ("{collections:deque}([1, 2, 3])", "{collections:deque}()"),
    "collections.OrderedDict": ('{collections:OrderedDict}([("a", 1), ("b", 2)])',),
    "collections.defaultdict": ("{collections:defaultdict}(list)",),
    "collections.Counter": ('{collections:Counter}("aab")', "{collections:Counter}()"),
    "logging.Logger": ('{logging:}.getLogger("test")',),
    "logging.LogRecord": ('{logging:}.LogRecord("test", {logging:}.INFO, "file.py", 1, "message %s", ("x",), None)',),
    "argparse.Namespace": ('{argparse:Namespace}(name="x")',),
    "argparse.ArgumentParser": ('{argparse:ArgumentParser}(prog="prog")',),
    "random.Random": ("{random:Random}(0)",),
    "threading.Lock": ("{threading:}.Lock()",),
    "types.SimpleNamespace": ("{types:SimpleNamespace}(a=1)",),
    "types.ModuleType": ('{types:ModuleType}("module")', "{math:}"),
    "types.FunctionType": ("lambda: None",),
    "types.CodeType": ('compile("x = 1", "file.py", "exec")',),
    "types.TracebackType": ("None",),
    "ast.AST": ('{ast:}.parse("x = 1")', '{ast:}.parse("f(1)", mode="eval").body'),
    "inspect.Signature": ("{inspect:}.signature(lambda a, b=1: None)",),
    "inspect.Parameter": ('{inspect:}.Parameter("a", {inspect:}.Parameter.POSITIONAL_OR_KEYWORD)',),
    "os.PathLike": ('{pathlib:Path}("folder/name.txt")',),
    "enum.Enum": (),
    "http.cookiejar.CookieJar": ("{http.cookiejar:CookieJar}()",),
    "email.message.Message": ("{email.message:Message}()",),
    "xml.etree.ElementTree.Element": ('{xml.etree.ElementTree:fromstring}("<a><b>text</b></a>")',),
    "ipaddress.IPv4Address": ('{ipaddress:}.ip_address("10.0.0.1")',),
    "zoneinfo.ZoneInfo": ('{zoneinfo:ZoneInfo}("UTC")',),
    "string.Template": ('{string:Template}("$a")',),
    "asyncio.AbstractEventLoop": (),
}  # fmt: skip

# Abstract types → the plain kind that stands for them
ABSTRACT = {
    "Sequence": "list",
    "MutableSequence": "list",
    "Collection": "list",
    "Iterable": "list",
    "Container": "list",
    "Reversible": "list",
    "Sized": "list",
    "Mapping": "dict",
    "MutableMapping": "dict",
    "Set": "set",
    "AbstractSet": "set",
    "MutableSet": "set",
    "Iterator": "iterator",
    "Generator": "iterator",
    "Hashable": "str",
    "Callable": "callable",
    "ByteString": "bytes",
    "Buffer": "bytes",
    "SupportsInt": "number",
    "SupportsFloat": "number",
    "SupportsIndex": "int",
    "SupportsAbs": "number",
    "SupportsBytes": "bytes",
    "KeysView": "list",
    "ValuesView": "list",
    "ItemsView": "list",
}

FOLDER = Value("tmp_path", ('(tmp_path / "sample.txt").write_text("line one\\n")',))
NEW_FILE = Value('tmp_path / "new" / "sample.txt"')
FILE = Value("path", ('path = tmp_path / "sample.txt"', 'path.write_text("line one\\nline two\\n")'))

# (pattern of the name, types it suggests, codes it suggests), the first match wins
BY_NAME: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (r"^(is_|has_|should_|allow_|use_|enable|strict|verbose|force|reverse|recursive|ignore_|inplace|debug|quiet|flag)", "bool", ()),
    (r"(^|_)(base|radix)$", "int", ("10", "16", "2")),
    (r"(^|_)year$", "int", ("2024", "1900", "2023")),
    (r"(^|_)month$", "int", ("2", "12", "0")),
    (r"(^|_)day$", "int", ("29", "1", "31")),
    (r"(^|_)hours?$", "int", ("10", "0", "23")),
    (r"(^|_)(minutes?|seconds?)$", "int", ("30", "0", "59")),
    (r"(^|_)port$", "int", ("8080", "0")),
    (r"(^|_)(percent|percentage)$", "number", ("50", "0", "100")),
    (r"(^|_)status(_code)?$", "int", ("200", "404")),
    (r"(^|_)age$", "int", ("30", "0")),
    (r"^(n|i|j|k|m|count|num|size|length|width|height|depth|level|index|idx|limit|maxsize|step|indent|port|year|position|pos|start|end|stop|offset"
     r"|times|total|max_\w+|min_\w+|n_\w+|num_\w+|\w+_count|\w+_size|\w+_length|\w+_width|base|precision|digits|seed|timeout|lineno|line_number|code|capacity|maxlen|retries|attempts|rank|priority|day|month|hour|minute|second|row|col)$", "int", ()),
    (r"(^|_)(url|uri|href|link)$", "str", ('"https://example.com/a/b?x=1#top"', '"http://example.com/a"', '"http://user:pw@localhost:8080"', '"/relative"')),
    (r"(^|_)(path|filename|file_name|filepath|dirname|directory|folder|file_path)$", "path", ('"folder/name.txt"', '"name.tar.gz"')),
    (r"(^|_)email(_address)?$", "str", ('"user@example.com"',)),
    (r"(^|_)date$", "str", ('"2024-01-15"', '"2024-01-15T10:30:00Z"')),
    (r"(^|_)(time|time_str)$", "str", ('"10:30"', '"10:30:15"')),
    (r"(^|_)(cron|crontab|cron_\w+|schedule)$", "str", ('"*/5 * * * *"', '"0 9 1 1 *"')),
    (r"(^|_)(colou?r|hex_colou?r|rgb|hex)$", "str", ('"#ff8800"', '"red"', '"#fff"')),
    (r"(^|_)(ip|ip_address|ipaddr|cidr|netmask)$", "str", ('"10.0.0.1"', '"10.0.0.0/8"', '"::1"')),
    (r"(^|_)(tz|tzname|timezone|zone)$", "str", ('"UTC"', '"Europe/Paris"')),
    (r"(^|_)(locale|lang|language|country|currency)$", "str", ('"en"', '"de_DE"', '"EUR"')),
    (r"(^|_)(mime|mimetype|mime_type|content_type|media_type)$", "str", ('"text/html; charset=utf-8"', '"application/json"')),
    (r"(^|_)(uuid|guid)$", "str", ('"12345678-1234-5678-1234-567812345678"',)),
    (r"(^|_)(phone|phone_number|telephone)$", "str", ('"+1 555 0100"',)),
    (r"(^|_)(yaml|yml)$", "str", ('"a: 1\\nb: [x, y]\\n"',)),
    (r"(^|_)toml$", "str", ('"a = 1\\n[b]\\nc = true\\n"',)),
    (r"(^|_)csv$", "str", ('"a,b\\n1,2\\n"',)),
    (r"(^|_)(md|markdown)$", "str", ('"# Title\\n\\n* item\\n"',)),
    (r"(^|_)(glob|wildcard)$", "str", ('"*.txt"',)),
    (r"(^|_)(date_?format|time_?format|strftime|datefmt|date_fmt)$", "str", ('"%Y-%m-%d"',)),
    (r"(^|_)(expr|expression|formula|equation|condition)$", "str", ('"1 + 2 * 3"', '"x > 1"')),
    (r"(^|_)(xpath|css|selector)$", "str", ('"a.b > c"', '"//a/b"')),
    (r"(^|_)(command|cmd|argv|cmdline)$", "str", ('"run --fast file.txt"',)),
    (r"(^|_)(version|ver)$", "str", ('"1.2.3"', '"2.0.0rc1"')),
    (r"(^|_)(regex|pattern)$", "str", ('"a+"', 'r"\\d+"')),
    (r"(^|_)(json|json_str)$", "str", ('\'{"a": 1}\'',)),
    (r"(^|_)(html|markup|xml)$", "str", ('"<p class=\\"a\\">text</p>"',)),
    (r"(^|_)(sql|query)$", "str", ('"select a, b from t where a = 1"',)),
    (r"(^|_)(key_func|func|fn|callback|function|predicate|pred|factory|handler|callable|timer|clock|hook|f|getter|filter_func|cmp|decorator|wrapped|method|validator)$", "callable", ()),
    (r"(^|_)(fp|fileobj|file_obj|stream|fh|infile|buf|buffer|reader)$", "stream", ()),
    (r"(^|_)(dt|datetime|timestamp|moment)$", "datetime", ()),
    (r"(^|_)(delta|duration|timedelta)$", "timedelta", ()),
    (r"(^|_)(seq|sequence|iterable|iterables|it|items|values|elements|lst|list|xs|arr|array|collection|lines|rows|tokens|args|nodes|numbers|words"
     r"|names|keys|parts|results)$", "list", ()),
    (r"(^|_)(d|dict|dct|mapping|map|kwargs|options|opts|params|config|settings|headers|attrs|attributes|metadata|data_dict|context|env|environ|lookup|table)$", "dict", ()),
    (r"(^|_)(s|text|string|name|word|title|label|message|msg|line|source|content|prefix|suffix|char|sep|separator|delimiter|value|token|tag|encoding|fmt|format"
     r"|template|slug|host|user|username|password|description|lang|language|locale|identifier|id|key|attr|field|column|phrase|sentence|body|txt|st|mode)$", "str", ()),
    (r"(^|_)(b|raw|bytes|blob|payload|chunk)$", "bytes", ()),
    (r"(^|_)(cls|klass|type|type_|class_)$", "type", ()),
    (r"(^|_)(exc|exception|error|err)$", "exception", ()),
    (r"(^|_)(x|y|z|a|b|c|num|number|amount|price|ratio|factor|scale|weight|rate|score|percent|seconds|radius|alpha|beta|ttl|interval|delay|age|speed|ratio|threshold|tolerance|epsilon)$",
     "number", ()),
)  # fmt: skip


def suggested(name: str) -> list[str]:
    """Texts that the words of a function's name call for: ``is_email``, ``parse_url``."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return [code for word in words if len(word) > 1 for code in named(word.lower())[1]]


def named(name: str) -> tuple[str, tuple[str, ...]]:
    """Type and codes that a parameter's name suggests; ("", ()) when nothing."""
    for pattern, kind, codes in BY_NAME:
        if re.search(pattern, name):
            if name == "encoding":
                return "str", ('"utf-8"', '"latin-1"')
            return kind, codes
    return "", ()
