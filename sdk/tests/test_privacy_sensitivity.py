"""No unit moves the sum before the noise by more than the clipping norm, and the noise is there."""

from __future__ import annotations

from collections.abc import Mapping

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from verticals.errors import PrivacyError
from verticals.privacy import PrivacyPlan
from verticals.privacy.noise import Entropy
from verticals.privacy.optimizer import UnitOptimizer, unit_norms
from verticals.privacy.units import Units
from verticals.training import TrainOptions
from verticals.training.examples import Examples
from verticals.training.private import PrivateUpdate, _rows_at_once, _slots_at_once

torch.set_num_threads(1)
WIDTH = 4
LIMIT = 0.7


def planned(units: int, **changes: object) -> PrivacyPlan:
    """Plan by hand, without noise: what `plan` never does."""
    settings: dict[str, object] = {
        "target_epsilon": 1.0,
        "epsilon": 1.0,
        "delta": 1e-5,
        "unit": "row",
        "units": units,
        "sampling_rate": 1.0,
        "steps": 1,
        "noise_multiplier": 0.0,
        "max_grad_norm": LIMIT,
        "max_rows_per_unit": 1,
        "accountant": "none",
        "accountant_version": "none",
    }
    return PrivacyPlan(**{**settings, **changes})


class Small(nn.Module):
    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.body = nn.Sequential(nn.Linear(width, 3), nn.Tanh(), nn.Linear(3, 1))
        self.scale = nn.Parameter(torch.tensor(1.0))
        with torch.no_grad():
            for parameter in self.body.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        return self.body(blocks["x"]) * self.scale


def squared(raw: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
    return (raw[:, 0] - columns["y"]) ** 2


class Recorder(torch.optim.SGD):
    """Keep the gradients that arrive, flat, and change nothing."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network.parameters(), lr=0.0)
        self.seen: list[Tensor] = []

    def step(self, closure: object = None) -> None:
        parameters = self.param_groups[0]["params"]
        self.seen.append(torch.cat([p.grad.double().flatten() for p in parameters]))


def gradient_sum(
    x: np.ndarray,
    y: np.ndarray,
    owners: np.ndarray | None = None,
    *,
    batch_rows: int | None = None,
    plan: PrivacyPlan | None = None,
) -> Tensor:
    """Return what one step adds up before noise: the sum of the units' clipped gradients."""
    units = len(x) if owners is None else len(np.unique(owners))
    unit = {"unit": "group", "max_rows_per_unit": 50} if owners is not None else {}
    plan = plan or planned(units, **unit)
    network = Small(x.shape[1])
    recorder = Recorder(network)
    update = PrivateUpdate(
        network,
        Examples({"x": x}, {"y": y}, device=torch.device("cpu"), part="training"),
        squared,
        recorder,
        TrainOptions(batch_rows=batch_rows),
        plan=plan,
        owners=owners,
    )
    update(0)
    assert update.spent == [(plan.noise_multiplier, plan.sampling_rate, 1)]
    return recorder.seen[0] * plan.expected_batch


def rows(seed: int, count: int, size: float) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(count, WIDTH)) * 10.0 ** generator.uniform(-size, size, (count, 1))
    return x.astype(np.float32), generator.normal(size=count).astype(np.float32) * 3


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(2, 12),
    persons=st.integers(2, 5),
    size=st.sampled_from([0.0, 2.0, 12.0]),
    grouped=st.booleans(),
)
def test_removing_one_unit_moves_the_sum_by_at_most_the_limit(
    seed: int, count: int, persons: int, size: float, grouped: bool
) -> None:
    x, y = rows(seed, count, size)
    owners = np.arange(count) % min(persons, count) if grouped else None
    gone = (owners if owners is not None else np.arange(count)) == 1
    left = owners[~gone] if owners is not None else None
    whole = gradient_sum(x, y, owners)
    without = gradient_sum(x[~gone], y[~gone], left)
    assert torch.linalg.vector_norm(whole - without) <= LIMIT * (1 + 1e-6)


def test_the_limit_is_reached_not_only_kept() -> None:
    x, y = rows(0, 6, 0.0)
    owners = np.array([0, 0, 0, 0, 0, 1])
    moved = gradient_sum(x, 100 + y, owners) - gradient_sum(x[5:], 100 + y[5:], owners[5:])
    assert torch.linalg.vector_norm(moved) == pytest.approx(LIMIT, rel=1e-3)


def test_many_rows_of_one_person_count_as_one() -> None:
    x, y = rows(1, 40, 0.0)
    single = gradient_sum(x, 50 + y, np.zeros(40, dtype=int))
    assert torch.linalg.vector_norm(single) <= LIMIT
    # The same rows as persons of their own add up to much more.
    assert torch.linalg.vector_norm(gradient_sum(x, 50 + y)) > 5 * LIMIT


def test_a_person_adds_the_mean_of_the_rows() -> None:
    x, y = rows(2, 3, 0.0)
    plan = planned(1, unit="group", max_rows_per_unit=9, max_grad_norm=1e6)
    once = gradient_sum(x, y, np.zeros(3, dtype=int), plan=plan)
    twice = gradient_sum(np.tile(x, (2, 1)), np.tile(y, 2), np.zeros(6, dtype=int), plan=plan)
    torch.testing.assert_close(once, twice, rtol=1e-5, atol=1e-5)


def test_the_order_and_names_of_persons_do_not_matter() -> None:
    x, y = rows(3, 8, 0.0)
    owners = np.array([0, 1, 2, 0, 1, 2, 0, 3])
    mixed = np.random.default_rng(0).permutation(8)
    renamed = np.array([7, 3, 9, 1])[owners]
    torch.testing.assert_close(
        gradient_sum(x, y, owners),
        gradient_sum(x[mixed], y[mixed], renamed[mixed]),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("batch_rows", [1, 2, 5, 100])
@pytest.mark.parametrize("grouped", [False, True])
def test_parts_in_memory_do_not_change_the_step(batch_rows: int, grouped: bool) -> None:
    x, y = rows(4, 11, 1.0)
    owners = np.array([0, 0, 0, 0, 1, 2, 2, 3, 4, 4, 4]) if grouped else None
    torch.testing.assert_close(
        gradient_sum(x, y, owners, batch_rows=batch_rows),
        gradient_sum(x, y, owners),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan, 1e38])
@pytest.mark.parametrize("grouped", [False, True])
def test_a_gradient_that_is_not_finite_adds_nothing_and_stays_alone(
    bad: float, grouped: bool
) -> None:
    x, y = rows(5, 6, 0.0)
    owners = np.array([0, 0, 1, 1, 2, 2]) if grouped else None
    broken = x.copy()
    broken[2, 1] = bad
    others = np.array([0, 1, 4, 5]) if grouped else np.array([0, 1, 3, 4, 5])
    found = gradient_sum(broken, y, owners)
    assert torch.isfinite(found).all()
    expected = gradient_sum(x[others], y[others], owners[others] if grouped else None)
    if bad == 1e38:  # saturated, hence finite: clipped as any other
        assert torch.linalg.vector_norm(found - expected) <= LIMIT
    else:
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_lengths_are_those_of_the_whole_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(3, size, generator=generator) for size in (1, 5, 5_000)]
    whole = torch.cat(parts, dim=1).double()
    torch.testing.assert_close(unit_norms(parts), whole.norm(dim=1), rtol=1e-6, atol=0.0)


class Wide(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(20_000, 1, bias=False)

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        return self.body(blocks["x"])


def noisy_steps(rate: float, steps: int, unsafe_noise_seed: int | None = None) -> list[Tensor]:
    plan = planned(
        5,
        noise_multiplier=2.0,
        sampling_rate=rate,
        steps=steps,
        unsafe_noise_seed=unsafe_noise_seed,
    )
    network = Wide()
    recorder = Recorder(network)
    x, y = np.zeros((5, 20_000), dtype=np.float32), np.zeros(5, dtype=np.float32)
    update = PrivateUpdate(
        network,
        Examples({"x": x}, {"y": y}, device=torch.device("cpu"), part="training"),
        squared,
        recorder,
        TrainOptions(),
        plan=plan,
        owners=None,
    )
    for step in range(steps):
        update(step)
    return [seen * plan.expected_batch for seen in recorder.seen]


def test_noise_has_the_planned_deviation_in_every_step() -> None:
    first, second = noisy_steps(1.0, 2)
    for seen in (first, second):
        assert seen.std() == pytest.approx(2.0 * LIMIT, rel=0.03)
        assert abs(seen.mean()) < 4 * 2.0 * LIMIT / np.sqrt(20_000)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03


def test_an_empty_sample_is_a_step_of_noise_alone() -> None:
    # At this rate nobody is drawn; the step must not be skipped, or its absence would tell.
    (seen,) = noisy_steps(1e-9, 1)
    assert (seen * 1.0).std() == pytest.approx(2.0 * LIMIT, rel=0.03)


def test_torch_seeds_do_not_reach_the_noise() -> None:
    torch.manual_seed(0)
    (first,) = noisy_steps(1.0, 1)
    torch.manual_seed(0)
    (second,) = noisy_steps(1.0, 1)
    assert not torch.equal(first, second)
    (third,), (fourth,) = noisy_steps(1.0, 1, 3), noisy_steps(1.0, 1, 3)
    assert torch.equal(third, fourth)


def test_gradients_that_lie_transposed_are_summed_in_place() -> None:
    network = nn.Linear(3, 2)
    optimizer = UnitOptimizer(
        torch.optim.SGD(network.parameters(), lr=0.0),
        plan=planned(4, max_grad_norm=1e6),
        entropy=Entropy(),
    )
    generator = torch.Generator().manual_seed(0)
    transposed = torch.randn(4, 3, 2, generator=generator).transpose(1, 2)
    network.weight.grad_sample = transposed
    network.bias.grad_sample = torch.randn(4, 2, generator=generator)
    optimizer.clip_and_accumulate()
    torch.testing.assert_close(network.weight.summed_grad, transposed.sum(0), rtol=1e-3, atol=1e-3)


# ---- which rows belong to whom ---------------------------------------------------------------


def test_persons_with_many_rows_are_capped_at_random() -> None:
    owners = np.array([3] * 30 + [8] * 2)
    plan = planned(2, unit="group", max_rows_per_unit=5)

    def kept(seed: int | None) -> list[int]:
        units = Units(owners, rows=32, plan=plan, entropy=Entropy(unsafe_seed=seed))
        assert units.left_out == 25
        (part,) = units.parts(np.array([0, 1]), slots=100, rows=100, width=1)
        assert part.owners.tolist() == [0] * 5 + [1] * 2
        np.testing.assert_allclose(part.weights[:, 0], [0.2] * 5 + [0.5] * 2)
        assert part.rows[5:, 0].tolist() == [30, 31]
        return part.rows[:5, 0].tolist()

    assert kept(1) == kept(1)
    chosen = {tuple(kept(None)) for _ in range(5)}
    assert len(chosen) > 1
    assert all(len(set(rows)) == 5 and max(rows) < 30 for rows in chosen)


def test_parts_hold_whole_units_within_the_limit() -> None:
    owners = np.array([0, 0, 0, 1, 2, 2, 3, 3, 3, 3])
    plan = planned(4, unit="group", max_rows_per_unit=9)
    units = Units(owners, rows=10, plan=plan, entropy=Entropy())
    limits = {"slots": 4, "rows": 100, "width": 1}
    parts = list(units.parts(np.array([0, 1, 3, 2]), **limits))
    rows = [part.rows[:, 0].tolist() for part in parts]
    assert rows == [[0, 1, 2, 3], [6, 7, 8, 9], [4, 5]]
    assert [part.units for part in parts] == [2, 1, 1]
    assert list(units.parts(np.array([], dtype=int), **limits)) == []
    assert [part.units for part in units.parts(np.array([3]), slots=1, rows=1, width=1)] == [1]
    by_rows = list(units.parts(np.array([0, 1, 3, 2]), slots=100, rows=6, width=2))
    assert [part.units for part in by_rows] == [2, 2]


@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    width=st.integers(1, 10),
    slots=st.integers(1, 6),
)
def test_slots_hold_every_row_of_a_unit_once_and_nobody_else_s(
    counts: list[int], width: int, slots: int
) -> None:
    owners = np.repeat(np.arange(len(counts)), counts)
    plan = planned(len(counts), unit="group", max_rows_per_unit=9)
    units = Units(owners, rows=len(owners), plan=plan, entropy=Entropy())
    chosen = np.arange(len(counts))[::-1]
    parts = list(units.parts(chosen, slots=slots, rows=1000, width=width))
    assert sum(part.units for part in parts) == len(counts)
    whose = iter(chosen)
    for part in parts:
        assert part.rows.shape == part.weights.shape == (len(part.owners), width)
        assert len(part.owners) <= slots or part.units == 1
        for unit in range(part.units):
            rows, weights = (a[part.owners == unit] for a in (part.rows, part.weights))
            own = np.flatnonzero(owners == next(whose))
            assert sorted(rows[weights > 0]) == own.tolist()
            assert set(rows.ravel()) == set(own)
            np.testing.assert_allclose(weights.sum(), 1.0, rtol=1e-6)
    assert units.slot_width() == 1 or max(counts) > 1


@pytest.mark.parametrize(
    ("owners", "changes", "words"),
    [
        (None, {"unit": "group"}, "not given"),
        (np.zeros(4), {}, "are given"),
        (np.zeros(4), {"unit": "group"}, "1 units, but 4 were planned"),
        (np.zeros(3), {"unit": "group"}, "shape"),
        (None, {"units": 9}, "4 units, but 9 were planned"),
    ],
)
def test_rows_and_plan_must_belong_together(
    owners: np.ndarray | None, changes: dict[str, object], words: str
) -> None:
    plan = planned(4, **{key: value for key, value in changes.items() if key != "units"})
    if "units" in changes:
        plan = planned(int(str(changes["units"])))
    with pytest.raises(PrivacyError, match=words):
        Units(owners, rows=4, plan=plan, entropy=Entropy())


def test_slots_at_once_follow_from_the_number_of_weights_and_rows_from_their_size() -> None:
    assert _slots_at_once(10, "cpu") == 4096
    assert _slots_at_once(2**16, "cpu") == 64
    assert _slots_at_once(2**26, "cpu") == 4
    assert _slots_at_once(2**40, "cpu") == 1
    assert _rows_at_once({"table": (30,)}, "cpu") == 4096
    assert _rows_at_once({"image": (1, 256, 256), "table": ()}, "cpu") == 63
