"""What stands in both parts of a split that somebody brings."""

from __future__ import annotations

import numpy as np

from verticals.contract import DataContract, Field
from verticals.data import split_leaks
from verticals.table import Table

CONTRACT = DataContract(
    solution="s",
    name="n",
    fields=(Field(name="scan", kind="image", column="p", size=(2, 2), bounds=(0.0, 1.0)),),
    id="image",
    group="patient",
)


def part(patients, ids, scans):
    return Table(
        {
            "@group": np.array(patients, object),
            "@id": np.array(ids, object),
            "scan": np.array(scans, object) if isinstance(scans[0], str) else np.array(scans),
        }
    )


def test_whole_groups_in_one_part_are_no_leak():
    first = part(["a", "b"], ["1", "2"], ["x.png", "y.png"])
    second = part(["c", None], ["3", None], ["z.png", "w.png"])
    assert split_leaks(first, second, CONTRACT) == ()


def test_a_patient_an_id_and_a_file_in_both_are_counted_and_not_named():
    first = part(["secret", "b"], ["1", "2"], ["x.png", "y.png"])
    second = part(["secret", "c"], ["2", "3"], ["x.png", "y.png"])
    assert split_leaks(first, second, CONTRACT) == (
        "1 of 2 groups (patient) stand in both",
        "1 of 2 ids (image) stand in both",
        "2 of 2 images (scan) stand in both",
    )


def test_images_are_known_again_by_their_pixels():
    same, other = np.ones((2, 2)), np.zeros((2, 2))
    first = part(["a", "b"], ["1", "2"], [same, other])
    second = part(["c", "d"], ["3", "4"], [other + 0.5, same])
    assert split_leaks(first, second, CONTRACT) == ("1 of 2 images (scan) stand in both",)


def test_a_test_on_the_future_may_hold_old_customers_but_no_old_event():
    from dataclasses import replace

    of = replace(CONTRACT, time="at", fields=())
    first = part(["a"], ["1"], ["x.png"])
    assert split_leaks(first, part(["a"], ["2"], ["x.png"]), of) == ()
    assert split_leaks(first, first, of) == ("1 of 1 ids (image) stand in both",)
