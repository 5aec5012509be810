"""The noise is Gaussian, the samples are Poisson, and neither can be repeated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from verticals.privacy import noise
from verticals.privacy.noise import KNOWN_SEED, OPERATING_SYSTEM, Entropy

torch.set_num_threads(1)


def test_noise_is_standard_gaussian() -> None:
    # A known seed, so that a rare but fair draw cannot fail the test.
    drawn = Entropy(unsafe_seed=1).gaussian(400_000).numpy()
    assert stats.kstest(drawn, "norm").pvalue > 0.01
    assert abs(drawn.mean()) < 4 / np.sqrt(len(drawn))
    assert abs(drawn.std() - 1.0) < 0.005
    assert abs(stats.kurtosis(drawn)) < 0.03
    beyond = np.mean(np.abs(drawn) > 3.0)
    assert abs(beyond - 2 * stats.norm.sf(3.0)) < 4e-4


def test_neighbouring_numbers_are_uncorrelated() -> None:
    drawn = Entropy(unsafe_seed=2).gaussian(200_000).numpy()
    for lag in (1, 2, noise._CHUNK["cpu"] // 2):
        assert abs(np.corrcoef(drawn[:-lag], drawn[lag:])[0, 1]) < 0.01


def test_chunks_join_without_repeats() -> None:
    count = 2 * noise._CHUNK["cpu"] + 7
    drawn = Entropy(unsafe_seed=3).gaussian(count)
    assert drawn.shape == (count,)
    assert len(torch.unique(drawn)) == count


def test_each_number_has_four_words_of_its_own() -> None:
    words = torch.tensor([[1, 5], [2, 6], [3, 7], [4, 8]], dtype=torch.int64) << 58
    changed = words.clone()
    changed[:, 1] += 1 << 57
    before, after = noise._two_gaussians(words), noise._two_gaussians(changed)
    assert before[0] == after[0]
    assert before[1] != after[1]


@pytest.mark.parametrize("word", [0, 1, -1, 2**63 - 1, -(2**63)])
def test_extreme_words_give_finite_noise(word: int) -> None:
    drawn = noise._two_gaussians(torch.full((4, 1), word, dtype=torch.int64))
    assert torch.isfinite(drawn).all()
    assert drawn.abs().max() < 2 * 9.5


def test_no_numbers_and_no_units() -> None:
    assert Entropy().gaussian(0).shape == (0,)
    assert Entropy().sample(0, 0.5).shape == (0,)


def test_sample_takes_each_unit_with_its_rate() -> None:
    entropy = Entropy(unsafe_seed=4)
    taken = np.zeros(2_000)
    sizes = []
    for _ in range(300):
        chosen = entropy.sample(len(taken), 0.3)
        taken[chosen] += 1
        sizes.append(len(chosen))
    # Poisson sampling: sizes are binomial, not fixed, and every unit has the same chance.
    assert abs(np.mean(sizes) - 600) < 5
    assert 0.8 < np.var(sizes) / (2_000 * 0.3 * 0.7) < 1.2
    assert stats.kstest(taken, stats.binom(300, 0.3).cdf).statistic < 0.05


def test_rate_one_takes_all_and_tiny_rates_hardly_any() -> None:
    assert Entropy().sample(5, 1.0).tolist() == [0, 1, 2, 3, 4]
    assert len(Entropy().sample(10_000, 1e-12)) == 0


def test_nothing_repeats_whatever_is_seeded() -> None:
    def draws() -> list[np.ndarray]:
        torch.manual_seed(0)
        np.random.seed(0)
        entropy = Entropy()
        return [entropy.gaussian(8).numpy(), entropy.gaussian(8).numpy(), entropy.words(8)]

    first, second = draws(), draws()
    assert not np.array_equal(first[0], first[1])
    for one, other in zip(first, second, strict=True):
        assert not np.intersect1d(one, other).size


def test_the_callers_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    entropy = Entropy()
    entropy.gaussian(100)
    entropy.sample(100, 0.5)
    assert torch.equal(before, torch.get_rng_state())


def test_a_known_seed_repeats_and_says_so() -> None:
    one, other = Entropy(unsafe_seed=7), Entropy(unsafe_seed=7)
    assert torch.equal(one.gaussian(10), other.gaussian(10))
    assert not torch.equal(one.gaussian(10), Entropy(unsafe_seed=8).gaussian(10))
    assert one.source == KNOWN_SEED
    assert Entropy().source == OPERATING_SYSTEM
