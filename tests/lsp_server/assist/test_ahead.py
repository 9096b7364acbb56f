"""Reading ahead while the cursor rests, and the texts that an answer may go on like."""

from __future__ import annotations

import asyncio

from dsassist.assist import ahead
from dsassist.assist.ahead import ReadAhead, accepted
from dsassist.assist.drafts import MOST_CHARACTERS, drafts_for
from dsassist.assist.site import Site

SITE = Site.at("def f(a):\n    \n\nx = 1\n", 14, document="d")


async def test_at_rest_the_prompt_is_read_and_then_what_follows_acceptance(monkeypatch):
    monkeypatch.setattr(ahead, "REST_SECONDS", 0.0)
    read = []

    async def reader(site, reuse):
        read.append((site.prefix, site.line, reuse))

    reading = ReadAhead(reader)
    reading.rest(SITE, "return a\n    b")
    await asyncio.sleep(0.05)
    assert read == [("def f(a):\n    ", 1, False), ("def f(a):\n    return a\n    b", 2, True)]
    await reading.close()


async def test_the_next_key_stops_it(monkeypatch):
    monkeypatch.setattr(ahead, "REST_SECONDS", 0.01)
    read = []

    async def reader(site, reuse):
        read.append("begun")
        await asyncio.sleep(30)
        read.append("ended")

    reading = ReadAhead(reader)
    reading.rest(SITE)
    reading.stop()
    await asyncio.sleep(0.05)
    assert read == []
    reading.rest(SITE)
    await asyncio.sleep(0.05)
    reading.stop()
    await asyncio.sleep(0.02)
    assert read == ["begun"]
    await reading.close()


def test_a_site_once_a_suggestion_is_accepted():
    there = accepted(SITE, "return a")
    assert (there.position, there.line, there.suffix) == (SITE.position + 8, 1, SITE.suffix)
    assert there.prefix == "def f(a):\n    return a"


def test_drafts_are_late_answers_and_the_rest_of_the_file():
    site = Site.at("a\nb" + "y" * 3 * MOST_CHARACTERS, 2)
    late = [("    ", f"new{n}") for n in range(9)]
    *_, newest = found = drafts_for(site, site.suffix[:5], [*late, ("", "  ")])
    assert newest == "    new0"
    assert len(found) == 5
    assert len(found[0]) <= MOST_CHARACTERS
    assert drafts_for(Site.at("a", 1), "", []) == ()
