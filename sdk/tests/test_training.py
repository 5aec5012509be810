"""Training learns, repeats, stops and refuses as it says; private training as its plan says."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from verticals.contract.model import Target
from verticals.errors import PrivacyError, TrainingError
from verticals.seeding import derived_seed, seeded
from verticals.training import Trained, TrainOptions, pick_device, train_network, train_options
from verticals.training.average import WeightAverage
from verticals.training.device import deterministic
from verticals.training.examples import Examples

torch.set_num_threads(1)
TARGETS = (Target(name="y", column="y", kind="binary", positive="1"),)
ROWS, WIDTH = 120, 3


class Small(nn.Module):
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(WIDTH, 4), nn.Tanh(), nn.Dropout(dropout), nn.Linear(4, 1)
        )

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        return self.body(blocks["x"])


def loss(raw: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(
        raw[:, 0].float(), columns["y"], reduction="none"
    )


def data(rows: int = ROWS, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, WIDTH)).astype(np.float32)
    y = (x @ np.array([2.0, -1.0, 0.5]) + 0.3 * generator.normal(size=rows) > 0).astype(float)
    return {"x": x}, {"y": y}


def trained(
    options: TrainOptions | None = None,
    *,
    network: nn.Module | None = None,
    seed: int = 0,
    **more: Any,
) -> Trained:
    blocks, columns = more.pop("data", None) or data()
    if network is None:
        with seeded(seed):
            network = Small(more.pop("dropout", 0.0))
    options = options or TrainOptions(epochs=3, batch_size=32)
    settings = {"loss": loss, "device": "cpu", **more}
    return train_network(network, blocks, TARGETS, columns, options=options, seed=seed, **settings)


def weights(result: Trained) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in result.network.state_dict().values()])


# ---- without privacy -------------------------------------------------------------------------


def test_training_learns() -> None:
    result = trained(TrainOptions(epochs=20, batch_size=16, learning_rate=0.05))
    losses = result.facts["history"]["train_loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert not result.network.training
    assert result.privacy is None


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_same_seed_gives_the_same_weights_and_facts(dropout: float) -> None:
    first, second = trained(dropout=dropout), trained(dropout=dropout)
    assert torch.equal(weights(first), weights(second))
    assert json.dumps(first.facts) == json.dumps(second.facts)
    assert not torch.equal(weights(first), weights(trained(seed=1, dropout=dropout)))


def test_the_seed_governs_the_order_of_rows_and_dropout() -> None:
    def from_same_start(seed: int, dropout: float, batch_size: int) -> Tensor:
        with seeded(9):
            network = Small(dropout)
        options = TrainOptions(epochs=1, batch_size=batch_size)
        return weights(trained(options, network=network, seed=seed))

    assert not torch.equal(from_same_start(0, 0.0, 32), from_same_start(1, 0.0, 32))
    assert not torch.equal(from_same_start(0, 0.5, ROWS), from_same_start(1, 0.5, ROWS))


def test_the_callers_random_state_and_settings_are_left_alone() -> None:
    state, before = torch.get_rng_state(), np.random.get_state()[1].copy()
    benchmark = torch.backends.cudnn.benchmark
    seen: list[bool] = []
    trained(
        dropout=0.5,
        progress=lambda *_: seen.append(torch.are_deterministic_algorithms_enabled()),
    )
    assert all(seen)
    assert torch.equal(state, torch.get_rng_state())
    assert np.array_equal(before, np.random.get_state()[1])
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark == benchmark
    with pytest.raises(ZeroDivisionError), deterministic(), seeded(3):
        _ = 1 / 0
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(state, torch.get_rng_state())


def test_every_row_is_seen_once_an_epoch() -> None:
    seen: list[float] = []

    def watching(raw: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
        seen.extend(columns["row"].tolist())
        return loss(raw, columns)

    blocks, columns = data(50)
    columns["row"] = np.arange(50.0)
    trained(TrainOptions(epochs=2, batch_size=16), data=(blocks, columns), loss=watching)
    assert sorted(seen[:50]) == list(range(50))
    assert sorted(seen[50:]) == list(range(50))
    assert seen[:50] != seen[50:]


def test_progress_counts_steps() -> None:
    seen: list[tuple[str, int, int]] = []
    trained(TrainOptions(epochs=2, batch_size=50), progress=lambda *a: seen.append(a))
    assert seen == [("training", step, 6) for step in range(1, 7)]


def test_small_data_are_repeated_until_there_are_enough_steps() -> None:
    facts = trained(TrainOptions(epochs=2, batch_size=50, least_steps=10)).facts
    assert (facts["epochs"], facts["steps"]) == (4, 12)
    assert trained(TrainOptions(epochs=2, batch_size=50, least_steps=6)).facts["steps"] == 6


def test_clip_limits_the_step() -> None:
    options = TrainOptions(
        epochs=1,
        batch_size=ROWS,
        optimizer="sgd",
        momentum=0.0,
        schedule="constant",
        clip=1e-3,
        learning_rate=1.0,
    )
    with seeded(0):
        network = Small()
    before = torch.cat([p.detach().flatten() for p in network.parameters()])
    after = weights(trained(options, network=network))
    assert torch.linalg.vector_norm(after - before) == pytest.approx(1e-3, rel=1e-2)


class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(WIDTH, 1)
        nn.init.ones_(self.body.weight)
        nn.init.ones_(self.body.bias)

    def forward(self, blocks: Mapping[str, Tensor]) -> Tensor:
        return self.body(blocks["x"])


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("units", [None, np.repeat(np.arange(40), 3)])
def test_ridge_is_a_prior_on_the_mean_loss(optimizer: str, units: np.ndarray | None) -> None:
    # The mean loss pulls each weight by 1 and the prior by ridge / rows * w: they meet at w = 4.
    def pulling(raw: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
        return (raw[:, 0] - columns["y"]) * columns["pull"]

    rows = ROWS if units is None else 40
    options = TrainOptions(
        epochs=400,
        steps=400,
        batch_size=ROWS,
        optimizer=optimizer,
        momentum=0.0,
        learning_rate=0.05 if optimizer == "adam" else 2.0,
        ridge=rows / 4,
    )
    blocks = {"x": np.ones((ROWS, WIDTH), dtype=np.float32)}
    columns = {"y": np.arange(ROWS) % 2.0, "pull": np.full(ROWS, -1.0)}
    more: dict[str, Any] = {}
    if units is not None:  # so much budget and room that noise and clipping hardly count
        more = {"units": units, "epsilon": 1e6, "max_grad_norm": 10.0, "unsafe_noise_seed": 1}
    result = trained(options, network=Flat(), data=(blocks, columns), loss=pulling, **more)
    found = result.network.body.weight.detach().numpy()
    np.testing.assert_allclose(found, 4.0, atol=0.2 if units is None else 1.0)


def test_weight_decay_spares_biases() -> None:
    options = TrainOptions(epochs=1, batch_size=ROWS, schedule="constant", weight_decay=0.5)
    blocks, columns = data()
    nothing: dict[str, Any] = {"loss": lambda raw, columns: 0.0 * raw[:, 0]}
    result = trained(options, network=Flat(), data=(blocks, columns), **nothing)
    assert result.network.body.bias.item() == 1.0
    assert result.network.body.weight.max().item() < 1.0


@pytest.mark.parametrize(("schedule", "last"), [("constant", 0.4), ("cosine", 0.0)])
def test_schedules(schedule: str, last: float) -> None:
    options = TrainOptions(learning_rate=0.4, schedule=schedule, warmup=0.1)
    rates = [options.rate_at(step, 1000) for step in range(1000)]
    assert rates[0] < 0.01
    assert max(rates) == pytest.approx(0.4)
    assert rates[99] < rates[100] == pytest.approx(0.4)
    assert rates[-1] == pytest.approx(last, abs=1e-4)


def test_training_stops_early_and_keeps_the_best_weights() -> None:
    options = TrainOptions(
        epochs=60, batch_size=16, learning_rate=0.3, schedule="constant", patience=3
    )
    parts = data(24), data(200, seed=1)
    result = trained(options, data=parts[0], validation=parts[1])
    history = result.facts["history"]
    measured = history["validation_loss"]
    assert len(measured) < 60
    assert measured.index(min(measured)) == len(measured) - 4
    with torch.no_grad():
        raw = result.network({"x": torch.tensor(parts[1][0]["x"])})
        again = loss(raw, {"y": torch.tensor(parts[1][1]["y"], dtype=torch.float32)}).mean()
    assert float(again) == pytest.approx(min(measured), rel=1e-5)


def test_without_patience_validation_is_only_watched() -> None:
    watched = trained(validation=data(40, seed=1))
    assert torch.equal(weights(watched), weights(trained()))
    assert all(value is not None for value in watched.facts["history"]["validation_loss"])


def test_tail_average_is_the_mean_of_the_last_weights() -> None:
    seen: list[Tensor] = []
    with seeded(0):
        network = Small()

    def watch(*_: object) -> None:
        seen.append(torch.cat([p.detach().flatten() for p in network.parameters()]))

    options = TrainOptions(epochs=5, batch_size=60, average=0.5, learning_rate=0.1)
    result = trained(options, network=network, progress=watch)
    assert len(seen) == 10
    torch.testing.assert_close(weights(result), torch.stack(seen[5:]).mean(0))


def test_exponential_average_follows_and_forgets() -> None:
    network = nn.Linear(1, 1, bias=False)
    average = WeightAverage(network, TrainOptions(ema=0.5), steps=100)
    for value in [8.0] + [1.0] * 30:
        nn.init.constant_(network.weight, value)
        average.update(0)
    average.apply()
    assert network.weight.item() == pytest.approx(1.0, abs=1e-3)


def test_validation_is_measured_on_the_average() -> None:
    options = TrainOptions(epochs=4, batch_size=30, average=1.0, learning_rate=0.5)
    part = data(80, seed=2)
    result = trained(options, validation=part)
    with torch.no_grad():
        raw = result.network({"x": torch.tensor(part[0]["x"])})
        final = float(loss(raw, {"y": torch.tensor(part[1]["y"], dtype=torch.float32)}).mean())
    assert result.facts["history"]["validation_loss"][-1] == pytest.approx(final, rel=1e-5)


def test_frozen_weights_stay() -> None:
    with seeded(0):
        network = Small()
    network.body[0].requires_grad_(False)
    before = network.body[0].weight.clone()
    result = trained(network=network)
    assert torch.equal(before, result.network.body[0].weight)


def test_the_loss_of_the_targets_is_the_default() -> None:
    result = trained(loss=None)
    assert torch.allclose(weights(result), weights(trained()), atol=1e-6)


def test_facts_say_how_and_are_json() -> None:
    facts = trained().facts
    assert json.loads(json.dumps(facts)) == facts
    assert facts["device"] == "cpu"
    assert facts["epochs"] == 3
    assert facts["steps"] == 12
    assert facts["history"]["epoch"] == [1, 2, 3]


# ---- what is refused -------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_names_the_epoch() -> None:
    def exploding(raw: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
        calls.append(len(raw))
        return loss(raw, columns) * (float("nan") if sum(calls) > 2 * ROWS else 1.0)

    calls: list[int] = []
    with pytest.raises(TrainingError, match="epoch 3 of 5") as caught:
        trained(TrainOptions(epochs=5, batch_size=40), loss=exploding)
    assert "learning rate" in caught.value.hint


def test_a_validation_loss_that_is_not_finite_is_refused() -> None:
    blocks, columns = data(10)
    blocks["x"][0] = np.inf
    with pytest.raises(TrainingError, match=r"validation loss is .* epoch 1"):
        trained(validation=(blocks, columns))


@pytest.mark.parametrize(
    ("labels", "words"),
    [(np.ones(ROWS), "only one value"), (np.full(ROWS, np.nan), "no label")],
)
def test_labels_that_teach_nothing_are_refused(labels: np.ndarray, words: str) -> None:
    with pytest.raises(TrainingError, match=f"'y' has {words}"):
        trained(data=(data()[0], {"y": labels}))


def test_empty_and_uneven_parts_are_refused() -> None:
    blocks, columns = data()
    empty = {"x": blocks["x"][:0]}, {"y": columns["y"][:0]}
    with pytest.raises(TrainingError, match="training part has 0 rows"):
        trained(data=empty)
    with pytest.raises(TrainingError, match="validation part has 0 rows"):
        trained(validation=empty)
    with pytest.raises(TrainingError, match="differ in their rows"):
        trained(data=(blocks, {"y": columns["y"][:5]}))
    with pytest.raises(TrainingError, match="no block"):
        trained(data=({}, columns))
    with pytest.raises(TrainingError, match=r"targets \['y'\]"):
        trained(data=(blocks, {"z": columns["y"]}))


def test_one_row_of_each_class_is_enough() -> None:
    blocks, _ = data(2)
    assert trained(data=(blocks, {"y": np.array([0.0, 1.0])})).facts["steps"] == 3


def test_a_network_without_weights_is_refused() -> None:
    with pytest.raises(TrainingError, match="no trainable weight"):
        trained(network=nn.Flatten())


def test_a_loss_for_the_whole_batch_is_refused() -> None:
    with pytest.raises(TrainingError, match="one number for each row"):
        trained(loss=lambda raw, columns: loss(raw, columns).mean())


@pytest.mark.parametrize("name", ["", "gpu", "tpu", "cuda:x", "meta", "cuda:99", "cpu:1:2"])
def test_devices_that_are_unknown_or_not_there_are_refused(name: str) -> None:
    with pytest.raises(TrainingError, match="device") as caught:
        pick_device(name)
    assert caught.value.hint == "--device auto"


def test_auto_picks_what_is_there() -> None:
    expected = "cpu"
    if torch.backends.mps.is_available():
        expected = "mps"
    if torch.cuda.is_available():
        expected = "cuda"
    assert pick_device("auto").type == expected
    assert pick_device("cpu").type == "cpu"


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"epochs": 2.5},
        {"epochs": None},
        {"steps": True},
        {"batch_size": "many"},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"learning_rate": None},
        {"clip": -1.0},
        {"patience": 0},
        {"momentum": 1.5},
        {"average": -0.1},
        {"average": 0.5, "ema": 0.9},
        {"ridge": 1.0, "weight_decay": 0.1},
        {"ridge": -1.0},
        {"least_steps": 0},
        {"weight_decay": -1.0},
        {"optimizer": "lion"},
        {"schedule": "step"},
        {"precision": "float16"},
    ],
)
def test_options_out_of_range_are_refused_by_name(change: dict[str, Any]) -> None:
    name = list(change)[-1]
    with pytest.raises(TrainingError, match=f"training option {name} is "):
        TrainOptions(**change)


def test_options_come_from_the_solution_over_the_network_over_the_defaults() -> None:
    class Tuned:
        train_options = {  # noqa: RUF012
            "epochs": 7,
            "learning_rate": 0.2,
            "hidden": 64,
            "private": {"learning_rate": 0.5, "steps": 11},
        }

    open_ = train_options({"epochs": 9, "members": 4}, Tuned(), private=False)
    assert (open_.epochs, open_.learning_rate, open_.batch_size) == (9, 0.2, 256)
    private = train_options({"private": {"steps": 13}}, Tuned(), private=True)
    assert (private.steps, private.learning_rate, private.average) == (13, 0.5, 0.5)
    assert train_options({"learning_rate": 1.0}, Tuned(), private=True).learning_rate == 1.0
    assert train_options({}, object(), private=False) == TrainOptions()
    with pytest.raises(TrainingError, match="epochs"):
        train_options({"epochs": "3"}, object(), private=False)


def test_large_parts_are_read_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = weights(trained())
    monkeypatch.setattr("verticals.training.examples._RESIDENT_BYTES", 10)
    assert torch.equal(weights(trained()), expected)


def test_read_only_and_wide_inputs_are_taken_without_change() -> None:
    blocks, columns = data()
    blocks["x"].flags.writeable = False
    examples = Examples(
        {"x": blocks["x"].astype(np.float64)}, columns, device=torch.device("cpu"), part="training"
    )
    taken, labels = examples.take(np.array([3, 1]))
    assert taken["x"].dtype == torch.float32
    np.testing.assert_array_equal(taken["x"].numpy(), blocks["x"][[3, 1]])
    np.testing.assert_array_equal(labels["y"].numpy(), columns["y"][[3, 1]])


def test_derived_seeds_differ_by_purpose() -> None:
    seeds = {derived_seed(0, "order", 1), derived_seed(0, "order", 2), derived_seed(1, "order", 1)}
    assert len(seeds) == 3
    assert all(0 <= seed < 2**63 for seed in seeds)


# ---- with privacy ----------------------------------------------------------------------------

PRIVATE = TrainOptions(steps=4, batch_size=1_000, learning_rate=0.1)  # all units in each step


def test_private_training_learns_and_says_what_it_spent() -> None:
    options = TrainOptions(steps=60, batch_size=10_000, learning_rate=0.2, average=0.5)
    blocks, columns = data(3_000)
    result = trained(options, data=(blocks, columns), epsilon=4.0)
    record = result.privacy
    assert record is not None
    assert record.epsilon <= 4.0 == record.target_epsilon
    assert (record.units, record.steps, record.unit) == (3_000, 60, "row")
    assert record.delta == 1e-4
    assert record.sampling_rate == 1.0
    with torch.no_grad():
        raw = result.network({"x": torch.tensor(blocks["x"])})[:, 0].numpy()
    assert np.mean((raw > 0) == (columns["y"] == 1)) > 0.85
    assert "history" not in result.facts
    assert not any(hasattr(p, "grad_sample") for p in result.network.parameters())


def test_poisson_samples_are_accounted_by_prv() -> None:
    options = TrainOptions(steps=3, batch_size=12, learning_rate=0.1)
    record = trained(options, epsilon=3.0, delta=1e-3, max_grad_norm=0.5).privacy
    assert record is not None
    assert record.accountant == "prv"
    assert record.sampling_rate == pytest.approx(0.1)
    assert (record.max_grad_norm, record.delta) == (0.5, 1e-3)


def test_two_private_trainings_with_one_seed_differ() -> None:
    first, second = (trained(PRIVATE, epsilon=3.0) for _ in range(2))
    assert not torch.equal(weights(first), weights(second))
    assert first.privacy == second.privacy
    assert first.facts == second.facts


def test_a_known_noise_seed_repeats_and_voids_epsilon() -> None:
    first, second = (trained(PRIVATE, epsilon=3.0, unsafe_noise_seed=5) for _ in range(2))
    assert torch.equal(weights(first), weights(second))
    assert first.privacy is not None
    assert first.privacy.unsafe_noise_seed == 5
    assert first.privacy.statement[0].startswith("No epsilon holds")


def test_persons_are_the_units_where_given() -> None:
    owners = np.repeat(np.arange(20), 6)
    options = dataclasses.replace(PRIVATE, max_rows_per_unit=4)
    result = trained(options, epsilon=3.0, units=owners)
    assert result.privacy is not None
    assert (result.privacy.unit, result.privacy.units) == ("group", 20)
    assert result.privacy.max_rows_per_unit == 4
    assert result.rows_left_out == 40
    assert "40" not in json.dumps(result.privacy.to_json())
    assert "left_out" not in json.dumps(result.facts)


def test_private_training_takes_labels_as_they_are() -> None:
    # Whether all labels are one is itself an answer about rows, so it is not asked.
    result = trained(PRIVATE, epsilon=3.0, data=(data()[0], {"y": np.ones(ROWS)}))
    assert result.privacy is not None


def test_a_row_that_is_not_finite_does_not_show() -> None:
    blocks, columns = data()
    blocks["x"][3] = np.nan
    assert torch.isfinite(weights(trained(PRIVATE, epsilon=3.0, data=(blocks, columns)))).all()


def test_private_training_looks_at_no_validation_loss() -> None:
    with pytest.raises(PrivacyError, match="validation part"):
        trained(PRIVATE, epsilon=3.0, validation=data(10))


def test_a_failing_budget_or_network_is_refused_before_training() -> None:
    with pytest.raises(PrivacyError, match="epsilon"):
        trained(PRIVATE, epsilon=-1.0)
    with pytest.raises(PrivacyError, match="delta"):
        trained(PRIVATE, epsilon=3.0, delta=0.5)
    normed = nn.Sequential(nn.Linear(WIDTH, 2), nn.BatchNorm1d(2))
    with pytest.raises(PrivacyError, match="BatchNorm1d"):
        trained(PRIVATE, epsilon=3.0, network=normed)
    with pytest.raises(TrainingError, match="units are given without epsilon"):
        trained(units=np.zeros(ROWS))


def test_losses_of_rows_reach_neither_facts_nor_progress() -> None:
    seen: list[tuple[Any, ...]] = []
    result = trained(PRIVATE, epsilon=3.0, progress=lambda *a: seen.append(a))
    assert seen == [("training", step, 4) for step in range(1, 5)]
    assert set(result.facts) == {
        "device",
        "steps",
        "batch_size",
        "optimizer",
        "learning_rate",
        "weight_decay",
        "schedule",
        "warmup",
        "average",
        "ema",
        "ridge",
    }


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("epsilon", [None, 3.0])
def test_training_on_cuda(epsilon: float | None) -> None:
    result = trained(PRIVATE, device="cuda", epsilon=epsilon)
    assert next(result.network.parameters()).device.type == "cuda"
