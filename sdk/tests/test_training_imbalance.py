"""Rare outcomes: weights and fewer negatives, with probabilities that stay right."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from verticals.contract import Target
from verticals.errors import PrivacyError, TrainingError
from verticals.training import TrainOptions, train_network
from verticals.training.imbalance import is_plain, kept_rows, prior_shift, weighted_loss

TARGET = Target(name="y", column="y", kind="binary", positive="1")


def data(rows=20_000, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 1)).astype(np.float32)
    chance = 1 / (1 + np.exp(4.0 - 1.5 * x[:, 0]))
    return x, (random.random(rows) < chance).astype(np.float32), chance


class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)

    def forward(self, blocks):
        return self.linear(blocks["table"])


@pytest.mark.parametrize(
    "change",
    [
        {"positive_weight": 20.0},
        {"keep_negatives": 0.1},
        {"positive_weight": 5.0, "keep_negatives": 0.4},
    ],
)
def test_probabilities_are_right_after_the_correction(change):
    x, y, chance = data()
    options = TrainOptions(epochs=20, batch_size=512, learning_rate=0.05, **change)
    rows = kept_rows(y, options, seed=3, private=False)
    torch.manual_seed(0)
    trained = train_network(
        Line(),
        {"table": x[rows]},
        (TARGET,),
        {"y": y[rows]},
        options=options,
        loss=weighted_loss((TARGET,), options),
        device="cpu",
    )
    with torch.no_grad():
        raw = trained.network({"table": torch.from_numpy(x)}).numpy()[:, 0]
    corrected = 1 / (1 + np.exp(-(raw + prior_shift(options, (TARGET,))[0])))
    assert corrected.mean() == pytest.approx(y.mean(), rel=0.1)
    assert np.abs(corrected - chance).mean() < 0.01
    wrong = 1 / (1 + np.exp(-raw))  # what it would be without
    assert wrong.mean() > 2 * y.mean()


def test_every_positive_is_kept_and_the_share_of_negatives():
    label = np.array([1.0] * 50 + [0.0] * 5_000 + [np.nan] * 10)
    options = TrainOptions(keep_negatives=0.2)
    rows = kept_rows(label, options, seed=0, private=False)
    assert (label[rows] == 1).sum() == 50
    assert (label[rows] == 0).sum() == pytest.approx(1_000, rel=0.15)
    assert rows.tolist() == kept_rows(label, options, seed=0, private=False).tolist()


def test_fewer_negatives_are_refused_under_privacy_with_another_way():
    with pytest.raises(PrivacyError) as caught:
        kept_rows(np.zeros(5), TrainOptions(keep_negatives=0.1), seed=0, private=True)
    assert "positive_weight=10" in caught.value.hint


def test_only_a_single_binary_target_can_be_treated():
    options = TrainOptions(positive_weight=3.0)
    number = Target(name="z", column="z", kind="numeric")
    with pytest.raises(TrainingError, match=r"y \(binary\), z \(numeric\)"):
        prior_shift(options, (TARGET, number))
    assert not prior_shift(TrainOptions(), (TARGET, number)).any()
    assert is_plain(TrainOptions())
    assert weighted_loss((TARGET,), TrainOptions()) is None


@pytest.mark.parametrize(
    "change", [{"keep_negatives": 0}, {"keep_negatives": 1.1}, {"positive_weight": 0}]
)
def test_options_out_of_range_are_refused(change):
    with pytest.raises(TrainingError):
        TrainOptions(**change)
