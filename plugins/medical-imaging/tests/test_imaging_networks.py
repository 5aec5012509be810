"""Networks: what each computes, that rows stay apart, weights from a file, and privacy."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits

from verticals.contract import bind, parse_contract, resolve
from verticals.contract.model import Target
from verticals.data import split
from verticals.errors import CallError
from verticals.plugin import Inputs, Setup, TorchSolution
from verticals.table import Table
from verticals.torch_adapter import TorchAdapter
from verticals.training import train_network, train_options
from verticals_medical_imaging.augment import Augment, parse_augmentation
from verticals_medical_imaging.backbones import Scattering, TorchvisionBody, scales_for
from verticals_medical_imaging.networks import build_network, network, network_for

ONE = (Target(name="y", column="y", kind="binary", positive="1"),)
TWO = (*ONE, Target(name="z", column="z", kind="binary", positive="1"))
DIGITS = """
solution: medical-imaging
name: digits
targets: {digit: {column: digit, kind: categorical, values: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}}
fields:
  image: {column: image, kind: image, size: [8, 8], bounds: [0, 16]}
"""


def inputs(size=24, channels=1, table=0):
    shapes = {"image": (channels, size, size)} | ({"table": (table,)} if table else {})
    return Inputs(where={"image": ("image", slice(0, channels))}, shapes=shapes)


def images(rows=6, size=24, channels=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(rows, channels, size, size, generator=generator)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"members": 3, "dropout": 0.2, "norm": "batch"},
        {"network": "scattering"},
        {"network": "log-scattering", "scales": 1},
        {"network": "resnet18", "enlarge": 2, "norm": "batch"},
        {"network": "mobilenet_v3_small", "enlarge": 2},
        {"network": "resnet18", "frozen": True},
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_row_alone_scores_as_among_others(options, channels):
    built = build_network(inputs(channels=channels), TWO, options).eval()
    torch.manual_seed(0)
    for parameter in built.parameters():
        parameter.data.add_(0.02 * torch.randn(parameter.shape))
    rows = images(channels=channels)
    with torch.no_grad():
        together = built({"image": rows})
        alone = torch.cat([built({"image": rows[i : i + 1]}) for i in range(len(rows))])
    assert together.shape == (6, 2)
    assert float(together.std(dim=0).min()) > 0
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert built.saliency_layer in dict(built.named_modules())


@pytest.mark.parametrize(
    "options", [{"network": "scattering"}, {"network": "resnet18", "frozen": True}]
)
def test_prepared_rows_stand_for_images(options):
    built = build_network(inputs(table=2), ONE, options)
    built.head.weight.data.normal_()
    built.train()
    rows, table = images(300), torch.rand(300, 2)
    prepared = built.prepare({"image": rows.numpy(), "table": table.numpy()})
    assert "image" not in prepared
    assert built.training
    assert not built.body.training
    found = built({name: torch.from_numpy(block) for name, block in prepared.items()})
    torch.testing.assert_close(found, built({"image": rows, "table": table}))
    features = prepared["@features"]
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 10, rtol=1e-3)
    trained = [name for name, p in built.named_parameters() if p.requires_grad]
    assert trained == ["head.weight", "head.bias"]


def test_what_learns_is_not_prepared():
    built = build_network(inputs(), ONE, {})
    blocks = {"image": images().numpy()}
    assert built.prepare(blocks) == blocks


def test_members_are_trained_apart_and_scored_together():
    built = build_network(inputs(), ONE, {"members": 3})
    assert built.train()({"image": images()}).shape == (6, 3, 1)
    alike = built.eval()({"image": images()})
    assert alike.shape == (6, 1)
    weight = built.body.stages[0].first[2].weight  # grouped: no member sees another's channels
    assert weight.shape[1] * 3 == weight.shape[0]


def test_scattering_is_steady_under_a_small_shift_and_brightness():
    body = Scattering((1, 32, 32), scales=2, logarithm=True)
    line = torch.linspace(-1, 1, 32)
    blob = torch.exp(-((line[:, None] ** 2 + line[None] ** 2) / 0.1))[None, None]
    other = torch.exp(-((line[:, None] ** 2 * 9 + line[None] ** 2) / 0.1))[None, None]
    base, moved, bright, changed = (
        body(item) for item in (blob, blob.roll(1, 3), 0.9 * blob, other)
    )
    assert (base - moved).norm() < 0.5 * (base - changed).norm()
    assert (base - bright).norm() < 0.5 * (base - changed).norm()
    assert base.shape == (1, body.width)
    assert not list(body.parameters())
    assert not body.state_dict()  # filters follow from the size: nothing to store


def test_scattering_averages_a_constant_to_itself():
    body = Scattering((1, 24, 24), scales=2, logarithm=False)
    maps = body._scatter(torch.full((1, 1, 24, 24), 0.7))
    torch.testing.assert_close(maps[:, 0], torch.full((1, 6, 6), 0.7), atol=1e-3, rtol=0)
    assert float(maps[:, 1:].abs().max()) < 1e-3  # wavelets have no mean


def test_scales_suit_the_size():
    assert [scales_for(side, side) for side in (8, 16, 28, 40, 64, 128, 512)] == [
        1,
        1,
        2,
        2,
        3,
        4,
        4,
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"network": "vgg16"}, "network is 'vgg16'"),
        ({"norm": "layer"}, "norm is 'layer'"),
        ({"members": 0}, "members is 0"),
        ({"members": 2, "network": "resnet18"}, "members is 2"),
        ({"frozen": True}, "frozen is True"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"augment": "wobble=3"}, "augmentation 'wobble=3'"),
        ({"augment": "shift=3"}, "augmentation shift is '3'"),
        ({"augment": "flip,flip"}, "said twice"),
        ({"network": "scattering", "augment": "flip"}, "augment is 'flip'"),
        ({"network": "scattering", "scales": 4}, "too small for 4 scales"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, said):
    with pytest.raises(CallError, match=said.replace("(", r"\(")):
        build_network(inputs(), ONE, options)


def test_one_image_is_expected():
    with pytest.raises(CallError, match="0 image fields"):
        build_network(Inputs(where={}, shapes={"table": (3,)}), ONE, {})


def test_augmentation_changes_rows_in_training_alone():
    declared = parse_augmentation("flip, shift=0.1, rotate=10, zoom=.1, brightness=.1, erase=.3")
    augment = Augment(declared)
    rows = images(4)
    torch.manual_seed(0)
    changed = augment(rows)
    assert changed.shape == rows.shape
    assert all(not torch.equal(a, b) for a, b in zip(changed, rows, strict=True))
    assert torch.equal(augment.eval()(rows), rows)
    assert torch.equal(Augment(parse_augmentation("none"))(rows), rows)


def test_flip_mirrors_and_shift_moves_by_its_share():
    ramp = torch.arange(20.0).expand(1, 1, 20, 20) / 20
    torch.testing.assert_close(Augment(parse_augmentation("flip=1"))(ramp), ramp.flip(3))
    torch.manual_seed(1)
    moved = Augment(parse_augmentation("shift=0.2"))(ramp.expand(200, 1, 20, 20))
    middle = (moved[:, 0, 10, 10] - ramp[0, 0, 10, 10]) * 20
    assert 3 < float(middle.abs().max()) <= 4.01
    assert abs(float(middle.mean())) < 0.6


def test_augmentation_is_off_under_privacy_and_for_what_is_frozen():
    usual = build_network(inputs(), ONE, {})
    assert usual.augment.declared.shift > 0
    assert not build_network(inputs(), ONE, {}, private=True).augment.declared.moves
    assert not build_network(inputs(), ONE, {"network": "scattering"}).augment.declared.moves
    said = build_network(inputs(), ONE, {"augment": "flip"}, private=True)
    assert said.augment.declared.flip == 0.5


def test_weights_come_from_a_local_file(tmp_path):
    torch.manual_seed(0)
    source = TorchvisionBody("resnet18", 1, norm="batch")
    state = {name: tensor.contiguous() for name, tensor in source.model.state_dict().items()}
    state |= {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    path = tmp_path / "resnet18.safetensors"
    save_file(state, path)
    contract = parse_contract(DIGITS)
    for norm in ("batch", "group"):
        setup = Setup(
            contract=contract,
            options={"network": "resnet18", "norm": norm, "frozen": True},
            resources={"backbone": str(path)},
        )
        built = network_for(inputs(), ONE, setup)
        loaded = built.body.model.conv1.weight
        torch.testing.assert_close(loaded, source.model.conv1.weight)
        assert not loaded.requires_grad


def test_weights_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"conv1.weight": torch.zeros(3)}, path)
    with pytest.raises(CallError, match="lack"):
        build_network(inputs(), ONE, {"network": "resnet18"}, backbone=path)
    path.write_bytes(b"no weights")
    with pytest.raises(CallError, match="cannot be read"):
        build_network(inputs(), ONE, {"network": "resnet18"}, backbone=path)
    with pytest.raises(CallError, match="takes no weights"):
        build_network(inputs(), ONE, {}, backbone=path)


@pytest.mark.parametrize(
    "options",
    [{}, {"augment": "shift=0.1"}, {"network": "scattering"}, {"network": "mobilenet_v3_small"}],
)
def test_private_training_keeps_rows_apart(options):
    built = build_network(inputs(16), TWO, options, private=True)
    rows = images(12, 16).numpy()
    label = np.arange(12) % 2.0
    trained = train_network(
        built,
        built.prepare({"image": rows}),
        TWO,
        {"y": label, "z": label},
        options=train_options({"private": {"steps": 1, "batch_size": 4}}, built, private=True),
        epsilon=8.0,
        device="cpu",
    )
    assert trained.privacy.epsilon <= 8.0


@pytest.mark.parametrize(("name", "least"), [("log-scattering", 0.95), ("small", 0.9)])
def test_digits_are_told_apart(name, least):
    """The shortest test of the whole path: ten classes of real digits, 8 by 8 pixels."""
    digits = load_digits()
    declared = parse_contract(DIGITS)
    raw = Table({"image": digits.images, "digit": digits.target})
    contract = resolve(declared, list(raw))
    parts = split(bind(contract, raw).table, contract, seed=0)
    solution = TorchSolution(demo=lambda: (declared, raw), network=network, network_for=network_for)
    options = {"network": name, "augment": "none", "epochs": 100 if name != "small" else 12}
    setup = Setup(contract=contract, options=options, device="cpu")
    model = TorchAdapter(solution).fit(parts, setup)
    found = model.predict(parts["test"])
    chances = np.stack([found[f"digit_{place}"] for place in range(10)], axis=1)
    assert (chances.argmax(axis=1) == parts["test"]["digit"]).mean() > least
