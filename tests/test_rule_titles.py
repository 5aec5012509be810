"""Rules of the plugins: titles say which way the measured number has to lie, and p decides none."""

from __future__ import annotations

import re

import pytest

from verticals.registry import discover

RULES = [rule for found in discover().checks for rule in found.info.rules if "." in rule["id"]]
WAYS = {
    ("max",): r"\bat most\b|^No\b|^In no\b",
    ("min",): r"\bat least\b|\bmore than\b|\braises\b|\brises\b|−0.01 or more",
    ("max", "min"): r"\bbetween\b",
}
#: Exact numbers without an interval: of a model, or counted over all that there is.
EXACT = {"items.precise-at-the-cut", "tracing.own-answer-unseen"}


def test_there_are_rules_of_every_vertical():
    rooms = {rule["id"].partition(".")[0] for rule in RULES}
    assert rooms >= {"credit", "fraud", "imaging", "risk", "items", "essays", "tracing"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["id"])
def test_a_title_says_which_way_the_measured_number_has_to_lie(rule):
    limits = tuple(name for name in ("max", "min") if name in rule)
    assert re.search(WAYS[limits], rule["title"], re.IGNORECASE), rule["title"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["id"])
def test_a_rule_judges_an_effect_by_its_interval_and_never_a_p_value(rule):
    assert not re.search(r"(^|_)p(_value)?$", rule["check"].partition(".")[2])
    assert rule.get("decide", "interval") == "interval" or rule["id"] in EXACT
