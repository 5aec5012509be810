"""Curves of the measures and hashed word pieces: the kernel they stand for, counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from verticals_student_assessment.essays import surface
from verticals_student_assessment.essays.measures import MEASURES

COUNT = len(MEASURES)
WINDOWS = hnp.arrays(np.float32, (2, 3, 8), elements=st.integers(-1, 30_000).map(float))


def scattered(rows: int, seed: int) -> torch.Tensor:
    drawn = np.random.default_rng(seed).uniform(-1, 1, (rows, COUNT))
    return torch.from_numpy(drawn.astype(np.float32))


def window(*ids: int) -> torch.Tensor:
    """Return one text of two windows, the second without a token."""
    block = np.full((1, 2, 6), -1.0, dtype=np.float32)
    block[0, 0, : len(ids)] = ids
    return torch.from_numpy(block)


class TestCurves:
    def test_products_are_near_the_gaussian_kernel(self):
        rows = scattered(60, seed=1)
        made = surface.curves(rows, torch.from_numpy(surface.directions(COUNT)))
        apart = torch.cdist(rows, rows) ** 2
        kernel = torch.exp(-apart / (2 * surface._WIDTH**2))
        assert (made @ made.T / surface._CURVES_WEIGHT**2 - kernel).abs().max() < 0.12

    def test_every_row_has_the_declared_length(self):
        made = surface.curves(scattered(20, seed=2), torch.from_numpy(surface.directions(COUNT)))
        assert made.shape == (20, 2 * surface.CURVES)
        assert made.norm(dim=1).numpy() == pytest.approx(surface._CURVES_WEIGHT, rel=1e-4)

    def test_directions_of_a_block_are_orthogonal_and_drawn_once(self):
        drawn = surface.directions(COUNT)
        assert drawn.shape == (COUNT, surface.CURVES)
        products = drawn[:, :COUNT].T @ drawn[:, :COUNT]
        assert np.abs(products - np.diag(np.diag(products))).max() < 1e-4
        assert np.array_equal(drawn, surface.directions(COUNT))

    def test_a_bend_is_learnt_that_no_line_can_follow(self):
        rows = torch.zeros(400, COUNT)
        rows[:, 0] = scattered(400, seed=3)[:, 0]
        made = surface.curves(rows, torch.from_numpy(surface.directions(COUNT)))
        assert self.unexplained(rows, rows[:, 0] ** 2) > 0.9
        assert self.unexplained(made, rows[:, 0] ** 2) < 0.1

    def unexplained(self, columns, wanted):
        """Return the share of the variance of 100 new rows that a ridge on 300 leaves."""
        inside, mean = columns[:300] - columns[:300].mean(dim=0), wanted[:300].mean()
        gram = inside.T @ inside + 0.05 * torch.eye(inside.shape[1])
        weights = torch.linalg.solve(gram, inside.T @ (wanted[:300] - mean))
        told = (columns[300:] - columns[:300].mean(dim=0)) @ weights + mean
        return float(((told - wanted[300:]) ** 2).mean() / wanted[300:].var())


class TestPieces:
    def test_counts_by_hand(self):
        made = surface.pieces(window(5, 9, 5))[0] / surface._PIECES_WEIGHT
        nine, five = (int(surface._bucket(torch.tensor([key]))[0]) for key in (9, 5))
        lengths = made[made > 0]
        # 5 twice, 9 once, and the pairs (5, 9), (9, 5): five columns' worth in four.
        assert len(lengths) == 4
        whole = np.sqrt(np.log(3) ** 2 + 3 * np.log(2) ** 2)
        assert made[five].item() == pytest.approx(np.log(3) / whole, rel=1e-5)
        assert made[nine].item() == pytest.approx(np.log(2) / whole, rel=1e-5)

    def test_order_counts(self):
        assert not torch.equal(surface.pieces(window(5, 9, 7)), surface.pieces(window(9, 5, 7)))

    def test_no_pair_reaches_over_the_end_of_a_window(self):
        block = np.full((1, 2, 3), -1.0, dtype=np.float32)
        block[0, :, 0] = 5, 9
        assert int((surface.pieces(torch.from_numpy(block)) > 0).sum()) == 2

    def test_a_text_without_tokens_is_zero(self):
        assert not surface.pieces(window()).any()

    @given(WINDOWS)
    def test_rows_alone_are_as_among_others(self, blocks):
        tokens = torch.from_numpy(blocks)
        both = surface.pieces(tokens)
        assert both.shape == (2, surface.PIECES)
        assert torch.equal(both[1:], surface.pieces(tokens[1:]))
        lengths = both.norm(dim=1)
        assert (lengths <= surface._PIECES_WEIGHT * 1.0001).all()

    def test_columns_are_those_of_earlier_bundles_and_evenly_used(self):
        """A bundle's head belongs to these columns: another hash would score by other words."""
        keys = torch.tensor([0, 1, 101, 30_521, 2**31 - 2, 2_002_214_078])
        assert surface._bucket(keys).tolist() == [0, 2531, 1726, 62, 1081, 4080]
        used = torch.bincount(surface._bucket(torch.arange(200_000)), minlength=surface.PIECES)
        assert used.min() > 20
        assert used.max() < 90
