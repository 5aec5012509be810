"""The synthetic radiographs: repeatable, what is planted, and nothing else tied to it."""

import numpy as np

from verticals.contract import bind, resolve, validate_contract
from verticals.metrics import roc_auc
from verticals_medical_imaging.demo import IMAGES_EACH, PATIENTS, SIZE, demo
from verticals_medical_imaging.synthesize import NO_BOX, synthesize


def test_the_demo_binds_without_a_violation():
    contract, raw = demo()
    validate_contract(contract)
    bound = bind(resolve(contract, list(raw)), raw)
    assert bound.table.rows == PATIENTS * IMAGES_EACH
    assert bound.table["image"].shape == (PATIENTS * IMAGES_EACH, SIZE, SIZE)
    assert contract.group == "patient"
    assert {item.name for item in contract.audited} == {
        "sex", "age", "view", "manufacturer", "site",
    }  # fmt: skip
    assert 0.25 < bound.table["lesion"].mean() < 0.5


def test_the_seed_decides_every_pixel():
    first, again, other = (synthesize(20, 2, 32, seed) for seed in (1, 1, 2))
    for name in first[0]:
        assert first[0][name].tolist() == again[0][name].tolist()
    np.testing.assert_array_equal(first[1], again[1])
    np.testing.assert_array_equal(first[2], again[2])
    assert (first[1] != other[1]).any()
    assert first[1].dtype == np.uint8
    assert first[1].shape == (40, 32, 32)


def test_a_lesion_is_in_its_box_and_brighter_than_its_surroundings():
    facts, pixels, boxes = synthesize(300, 2, 48, 3)
    shown = facts["lesion"] == 1
    np.testing.assert_array_equal(shown, (boxes != NO_BOX).all(axis=1))
    assert (boxes[~shown] == NO_BOX).all()
    assert (boxes[shown][:, :2] < boxes[shown][:, 2:]).all()
    assert boxes[shown].max() <= 48
    side = boxes[shown][:, 2] - boxes[shown][:, 0]
    assert 5 <= side.min() <= side.max() <= 13

    def brightness(rows):
        """Compare each positive's box with the same place in images without a lesion."""
        clear = pixels[~shown].mean(axis=0)
        return np.array(
            [
                pixels[row][box[0] : box[2], box[1] : box[3]].mean()
                - clear[box[0] : box[2], box[1] : box[3]].mean()
                for row, box in zip(rows, boxes[rows], strict=True)
            ]
        )

    assert (brightness(np.flatnonzero(shown)) > 0).mean() > 0.8


def test_a_patient_keeps_sex_age_and_site_and_the_lesions_place():
    facts, _, boxes = synthesize(200, 3, 40, 5)
    for patient in np.unique(facts["patient"].astype(str)):
        own = facts["patient"] == patient
        for name in ("sex", "age", "site"):
            assert len(set(facts[name][own])) == 1
        held = boxes[own & (facts["lesion"] == 1)]
        if len(held):
            assert np.ptp(held[:, 0]) <= 4


def test_nothing_but_the_pixels_tells_the_label():
    facts, pixels, _ = synthesize(2000, 2, 24, 9)
    label = facts["lesion"].astype(float)
    for name in ("sex", "view", "manufacturer", "site"):
        codes = np.unique(facts[name].astype(str), return_inverse=True)[1]
        assert abs(roc_auc(label, codes.astype(float)) - 0.5) < 0.04, name
    assert abs(roc_auc(label, facts["age"].astype(float)) - 0.5) < 0.04
    assert roc_auc(label, pixels.mean(axis=(1, 2))) < 0.65  # the mean grey is not enough
    # The machines differ, as a model has to bear.
    second = facts["manufacturer"] == "Borealis"
    corner = pixels[:, :3, :3].astype(float).std(axis=(1, 2))  # air: nothing but noise
    assert corner[second].mean() > 1.3 * corner[~second].mean()
