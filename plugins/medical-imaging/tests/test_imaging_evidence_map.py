"""The mean image and the mean map: means by hand, and of whom they may be."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from verticals.contract import parse_contract
from verticals.encode import build_encoder
from verticals.table import Table
from verticals_medical_imaging.evidence import map_table, saliency_tables

SIZE = 32
CONTRACT = parse_contract(
    """
solution: medical-imaging
name: scans
group: patient
targets:
  lesion: {column: lesion, kind: binary, positive: 1, negative: 0}
fields:
  scan: {column: scan, kind: image, size: [32, 32], bounds: [0, 1]}
"""
)


class Detector(nn.Module):
    """Find a bright square of 5 pixels by a kernel set by hand, wherever it is."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 9, padding=4)
        kernel = torch.full((1, 1, 9, 9), -25 / 56)
        kernel[0, 0, 2:7, 2:7] = 1.0
        with torch.no_grad():
            self.conv.weight.copy_(kernel)
            self.conv.bias.fill_(-2.0)

    def forward(self, blocks):
        """Return (rows, 1) log-odds."""
        return torch.relu(self.conv(blocks["scan"])).amax(dim=(2, 3)) - 2


class Brightness(nn.Module):
    """Score by the mean pixel alone: its maps fail their test."""

    def forward(self, blocks):
        """Return (rows, 1)."""
        return 10 * blocks["scan"].mean(dim=(1, 2, 3))[:, None]


def model_of(network):
    def predict(table):
        raw = network({"scan": torch.from_numpy(np.array(table["scan"]))[:, None]}).detach()
        return {"score": torch.sigmoid(raw[:, 0]).numpy()}

    encoder = build_encoder(CONTRACT.inputs)
    return SimpleNamespace(network=network, encoder=encoder, contract=CONTRACT, predict=predict)


def table_of(rows=20, *, persons):
    """Return images with a square near the middle, some lines apart, and `persons` persons."""
    random = np.random.default_rng(1)
    pixels = random.uniform(0.2, 0.4, (rows, SIZE, SIZE)).astype(np.float32)
    for row, (top, left) in enumerate(random.integers(12, 16, (rows, 2))):
        pixels[row, top : top + 5, left : left + 5] += 0.5
    group = np.array([f"p{row % persons}" for row in range(rows)], dtype=object)
    return Table({"scan": pixels, "lesion": np.ones(rows), "@group": group})


class TestMapTable:
    def test_every_person_weighs_the_same(self):
        unit = np.array([0] * 11 + list(range(1, 10)))
        images, maps = np.zeros((20, 2, 3)), np.zeros((20, 2, 3))
        images[:11], maps[:11, 1, 2], maps[11:, 0, 0] = 1.0, -4.0, 1.0
        found = map_table("grad-cam", images, maps, unit)
        assert list(found) == ["method", "row", "column", "image", "map", "images", "persons"]
        assert found["image"] == pytest.approx([0.1] * 6)
        # Means are −0.4 and 0.9 before they are scaled.
        assert found["map"] == pytest.approx([1, 0, 0, 0, 0, -4 / 9])
        assert list(zip(found["row"], found["column"], strict=True))[-1] == (1, 2)
        assert set(found["images"]) == {20}
        assert set(found["persons"]) == {10}

    def test_below_ten_persons_there_is_none(self):
        images = np.zeros((30, 2, 2))
        assert map_table("grad-cam", images, images, np.arange(30) % 9) is None
        assert map_table("grad-cam", images, images, np.arange(30) % 10).rows == 4

    def test_large_images_are_averaged_to_48_cells_and_small_ones_kept(self):
        random = np.random.default_rng(0)
        large = np.repeat(random.random((1, 96, 192)), 10, axis=0)
        found = map_table("m", large, large, np.arange(10))
        assert found.rows == 24 * 48
        by_hand = large[0].reshape(24, 4, 48, 4).mean(axis=(1, 3))
        assert found["image"] == pytest.approx(by_hand.reshape(-1))
        uneven = map_table("m", large[:, :50, :7], large[:, :50, :7], np.arange(10))
        assert (uneven["row"].max(), uneven["column"].max()) == (47, 6)
        assert 0 <= uneven["image"].min() <= uneven["image"].max() <= 1

    def test_a_map_that_cancels_out_stays_zero(self):
        maps = np.ones((10, 2, 2)) * np.where(np.arange(10) % 2, 1.0, -1.0)[:, None, None]
        assert map_table("m", np.ones((10, 2, 2)), maps, np.arange(10))["map"].tolist() == [0] * 4


class TestEvidence:
    def test_the_method_that_passed_is_shown_where_the_lesions_are(self):
        found = saliency_tables(model_of(Detector()), table_of(persons=20))
        assert found["imaging.saliency"]["passed"].all()
        mean = found["imaging.map"]
        assert set(mean["method"]) == {"expected-gradients"}
        assert mean.rows == SIZE * SIZE
        assert np.abs(mean["map"]).max() == 1
        strongest = int(mean["map"].argmax())
        assert 11 <= mean["row"][strongest] <= 21
        assert 11 <= mean["column"][strongest] <= 21
        assert 0.7 < mean["image"].max() < 1
        assert (mean["images"][0], mean["persons"][0]) == (20, 20)

    def test_few_persons_or_a_failed_test_give_no_map(self):
        for network, persons in ((Detector(), 9), (Brightness(), 20)):
            found = saliency_tables(model_of(network), table_of(persons=persons))
            assert list(found) == ["imaging.saliency"]
