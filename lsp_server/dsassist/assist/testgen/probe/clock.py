"""Another day: what a test says about today is seen to be about today.

Only the process that observes a second time has it. Pure Python reaches the clock through ``time`` and ``datetime``;
code in C that asks the system by itself is not moved.
"""

from __future__ import annotations

import datetime
import time
from typing import Any

__all__ = ["shift"]


def shift(seconds: float) -> None:
    """From here on the clock is ``seconds`` ahead, for modules that are imported after this."""
    now, now_ns = time.time, time.time_ns
    local, gm, spell, form = time.localtime, time.gmtime, time.asctime, time.strftime
    set_on: Any = time
    set_on.time = lambda: now() + seconds
    set_on.time_ns = lambda: now_ns() + int(seconds * 1e9)
    set_on.localtime = lambda moment=None: local(time.time() if moment is None else moment)
    set_on.gmtime = lambda moment=None: gm(time.time() if moment is None else moment)
    set_on.asctime = lambda moment=None: spell(time.localtime() if moment is None else moment)
    set_on.ctime = lambda moment=None: spell(time.localtime(moment))
    set_on.strftime = lambda text, moment=None: form(text, time.localtime() if moment is None else moment)
    date, moment, utc = datetime.date, datetime.datetime, datetime.timezone.utc  # noqa: UP017 - Python 3.10
    set_on = datetime
    set_on.date = _moved(date, {"today": classmethod(lambda cls: cls.fromtimestamp(time.time()))})
    set_on.datetime = _moved(
        moment,
        {
            "now": classmethod(lambda cls, tz=None: cls.fromtimestamp(time.time(), tz)),
            "today": classmethod(lambda cls: cls.fromtimestamp(time.time())),
            "utcnow": classmethod(lambda cls: cls.fromtimestamp(time.time(), utc).replace(tzinfo=None)),
        },
    )


def _moved(kind: type, methods: dict[str, object]) -> type:
    """A class that passes for ``kind``, also where C code made the object."""

    class Passes(type):
        def __instancecheck__(cls, thing: object) -> bool:
            return isinstance(thing, kind) if cls is made else type.__instancecheck__(cls, thing)

        def __subclasscheck__(cls, other: type) -> bool:
            return issubclass(other, kind) if cls is made else type.__subclasscheck__(cls, other)

    spelled: Any = kind.__repr__
    own = {
        "__module__": "datetime",
        "__qualname__": kind.__name__,
        "__repr__": lambda self: f"datetime.{spelled(self)}",  # C leaves a subclass's module out
    }
    made = Passes(kind.__name__, (kind,), {**methods, **own})
    return made
