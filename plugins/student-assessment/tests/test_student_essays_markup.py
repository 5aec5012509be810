"""What is no plain text: what is counted, and what a student may well write."""

from __future__ import annotations

import time

import pytest

from verticals_student_assessment.essays.markup import markup_count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("<p>One.</p>", 2),
        ('<a href="x.html">One</a><br/><BR />', 4),
        ("One<!-- two --><!doctype html>", 2),
        ("One&nbsp;two&#8217;s &#x27;three&#x27;", 4),
        ("One \u202eowt\u202c", 2),
        ("\u2066One\u2069 \u200b\u200ftwo", 4),
        ("One\x00\x1b[0m", 2),
    ],
)
def test_tags_entities_and_hidden_characters_are_counted(text: str, count: int) -> None:
    assert markup_count(text) == count


@pytest.mark.parametrize(
    "text",
    [
        "",
        "One.\r\n\tTwo.\n",
        "If a < b and c > d, then <3 and < b >",
        "AT&T; R&D; salt & pepper; this &that;",
        "co\u00adoperate caf\u00e9 \u201cquoted\u201d \u2026",
        "\ufeffOne.",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # one sign, joined
    ],
)
def test_what_students_write_is_plain_text(text: str) -> None:
    assert markup_count(text) == 0


def test_a_long_text_of_open_tags_takes_no_time() -> None:
    begun = time.perf_counter()
    assert markup_count("<a " * 100_000) == 0
    assert markup_count("&amp" * 100_000) == 0
    assert time.perf_counter() - begun < 5
