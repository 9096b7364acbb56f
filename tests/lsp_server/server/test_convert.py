"""Positions in every encoding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types

from dsassist.server.convert import TextMap, byte_offset, code_point_offset, encode, join_surrogates
from dsassist.server.documents import Document

TEXT = st.text(st.sampled_from("ab\n\r\t\f\u2028é漢🐍\ud800\udc00"), max_size=30).map(join_surrogates)
ENCODINGS = ("utf-8", "utf-16", "utf-32")


@given(TEXT, st.sampled_from(ENCODINGS))
def test_every_offset_comes_back(text, encoding):
    mapped = TextMap(text, encoding)
    for offset in range(len(text) + 1):
        inside_line_end = offset and text[offset - 1 : offset + 1] == "\r\n"
        assert mapped.offset(mapped.position(offset)) == (offset - 1 if inside_line_end else offset)


@given(TEXT, st.integers(0, 40), st.integers(0, 80), st.sampled_from(ENCODINGS))
def test_any_position_is_clamped_into_the_text(text, line, character, encoding):
    assert 0 <= TextMap(text, encoding).offset(types.Position(line, character)) <= len(text)


@given(TEXT)
def test_byte_offsets_come_back(text):
    data = encode(text)
    for offset in range(len(text) + 1):
        assert code_point_offset(data, byte_offset(text, offset)) == offset


@pytest.mark.parametrize(("encoding", "units"), [("utf-8", 4), ("utf-16", 2), ("utf-32", 1)])
def test_a_position_inside_a_character_goes_to_its_start(encoding, units):
    mapped = TextMap("🐍x", encoding)
    assert mapped.offset(types.Position(0, units)) == 1
    for inside in range(1, units):
        assert mapped.offset(types.Position(0, inside)) == 0


def test_only_the_three_line_ends_of_lsp_count():
    mapped = TextMap("a\fb\u2028c\r\nd\re\n")
    assert mapped.line_count == 4
    assert [mapped.line(number) for number in range(5)] == ["a\fb\u2028c", "d", "e", "", ""]


def test_halves_of_a_pair_typed_one_by_one_become_one_character():
    document = Document("file:///a", "x\ud83dy", 0, "python", "utf-16")
    place = types.Position(0, 2)
    document.apply_change(types.TextDocumentContentChangePartial(types.Range(place, place), "\udc0d"))
    assert document.source == "x🐍y"
    assert document.map.position(2) == types.Position(0, 3)


@given(TEXT, st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), TEXT), max_size=4))
def test_incremental_changes_are_those_of_the_text(text, changes):
    document = Document("file:///a", text, 0, "python", "utf-16")
    for a, b, new in changes:
        before = document.source
        start, end = sorted((min(a, len(before)), min(b, len(before))))
        spot = document.map.range(start, end)
        start, end = document.map.span(spot)
        document.apply_change(types.TextDocumentContentChangePartial(spot, new))
        assert document.source == join_surrogates(before[:start] + new + before[end:])
