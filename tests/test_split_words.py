"""What a bundle says of how its rows came into parts."""

from __future__ import annotations

import pytest

import verticals

pytestmark = pytest.mark.usefixtures("tiny_solutions")


def split_of(out, name, **given):
    verticals.train(f"tiny-{name}", out=out, **given)
    return verticals.open(out).bundle.manifest.split["by"]


@pytest.mark.parametrize(
    ("name", "by"),
    [("table", "independent"), ("images", "independent"), ("stream", "time")],
)
def test_private_rows_and_groups_draw_their_parts_by_themselves(tmp_path, name, by):
    assert split_of(tmp_path / "bundle", name, epsilon=4.0) == by


def test_a_private_split_against_time_says_both(tmp_path):
    given = {"epsilon": 4.0, "random_split": 2}
    found = split_of(tmp_path / "bundle", "stream", **given)
    assert found == "independent, although there is a time"


def test_rows_without_an_outcome_of_classes_are_split_at_random(tmp_path):
    assert split_of(tmp_path / "items", "items", no_privacy=True) == "random"
    assert split_of(tmp_path / "table", "table", no_privacy=True) == "stratified"
    assert split_of(tmp_path / "images", "images", no_privacy=True) == "group"
