"""Maps, the tests that they must pass, and overlays, on networks whose answer is known."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import nn

from verticals.contract import parse_contract
from verticals.encode import build_encoder
from verticals.errors import CallError, ExplanationError
from verticals.table import Table
from verticals_medical_imaging.demo import demo
from verticals_medical_imaging.evidence import BOX, evidence_for, known_boxes, saliency_tables
from verticals_medical_imaging.overlay import overlay_pixels, overlay_png, write_overlays
from verticals_medical_imaging.overlay_command import overlay
from verticals_medical_imaging.saliency import (
    BASELINE_OF,
    BASELINES,
    METHODS,
    Saliency,
    baselines,
    convolution,
    expected_gradients,
    explained_rows,
    grad_cam,
    pictured,
    saliency,
    shuffled,
    smoothed,
)
from verticals_medical_imaging.saliency_tests import deletion, judge, pointing_hits

SIZE = 36
CONTRACT = parse_contract(
    """
solution: medical-imaging
name: scans
targets:
  lesion: {column: lesion, kind: binary, positive: 1, negative: 0}
  kind: {column: kind, kind: categorical, values: [a, b]}
fields:
  scan: {column: scan, kind: image, size: [36, 36], bounds: [0, 1]}
  lesion_top: {column: top, kind: numeric, role: ignore, bounds: [0, 36]}
"""
)


class Detector(nn.Module):
    """Find a bright square of 5 pixels by a kernel set by hand, wherever it is."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 9, padding=4)
        self.head = nn.Linear(1, 3)
        kernel = torch.full((1, 1, 9, 9), -25 / 56)
        kernel[0, 0, 2:7, 2:7] = 1.0
        with torch.no_grad():
            self.conv.weight.copy_(kernel)
            self.conv.bias.fill_(-2.0)
            self.head.weight.copy_(torch.tensor([[1.0], [-1.0], [0.5]]))
            self.head.bias.copy_(torch.tensor([-2.0, 0.0, 1.0]))

    def forward(self, blocks):
        """Return (rows, 3) log-odds."""
        return self.head(torch.relu(self.conv(blocks["scan"])).amax(dim=(2, 3)))


class Brightness(nn.Module):
    """Score by the mean pixel alone: no weight of it says anything."""

    def forward(self, blocks):
        """Return (rows, 1)."""
        return 10 * blocks["scan"].mean(dim=(1, 2, 3))[:, None]


def scans(rows=24, seed=0):
    """Return pixels (rows, 36, 36) and boxes: every second image has a lesion."""
    random = np.random.default_rng(seed)
    pixels = random.uniform(0.2, 0.4, (rows, SIZE, SIZE)).astype(np.float32)
    boxes = np.full((rows, 4), np.nan)
    for row in range(0, rows, 2):
        top, left = random.integers(2, SIZE - 7, 2)
        pixels[row, top : top + 5, left : left + 5] += 0.5
        boxes[row] = (top, left, top + 5, left + 5)
    return pixels, boxes


def explained(network, pixels, output=0):
    blocks = {"scan": pixels[:, None]}
    return explained_rows(network, blocks, "scan", np.full(len(pixels), output))


def model_of(network, *, scores=None):
    """Return what the evidence needs of a trained model."""
    encoder = build_encoder(CONTRACT.inputs)

    def predict(table):
        raw = network({"scan": torch.from_numpy(np.array(table["scan"]))[:, None]}).detach()
        first = torch.sigmoid(raw[:, 0]).numpy()
        chances = torch.softmax(raw[:, 1:], dim=1).numpy() if raw.shape[1] > 1 else None
        found = {"lesion": first}
        if chances is not None:
            found.update(kind_a=chances[:, 0], kind_b=chances[:, 1])
        return found

    return SimpleNamespace(network=network, encoder=encoder, contract=CONTRACT, predict=predict)


def table_of(rows=24, seed=0):
    pixels, boxes = scans(rows, seed)
    lesion = (~np.isnan(boxes[:, 0])).astype(float)
    columns = {name: boxes[:, at] for at, name in enumerate(BOX)}
    return Table({"scan": pixels, "lesion": lesion, "kind": lesion, **columns})


class TestExpectedGradients:
    def test_a_linear_score_is_split_exactly(self):
        linear = nn.Linear(SIZE * SIZE, 1)

        class Flat(nn.Module):
            def __init__(self):
                super().__init__()
                self.linear = linear

            def forward(self, blocks):
                return self.linear(blocks["scan"].flatten(1))

        pixels, _ = scans(4)
        found = expected_gradients(
            explained(Flat(), pixels), torch.zeros(1, 4, 1, SIZE, SIZE), draws=2
        )
        weight = linear.weight.detach().numpy().reshape(SIZE, SIZE)
        assert found.values == pytest.approx(weight * pixels, abs=1e-6)
        assert found.error.max() < 1e-5
        assert found.base == pytest.approx([float(linear.bias.detach())] * 4)

    def test_the_sum_is_nearly_complete_and_more_draws_bring_it_nearer(self):
        ready = explained(Detector(), scans()[0])
        few, many = (saliency(ready, METHODS[0], draws=draws) for draws in (4, 128))
        assert many.error.mean() < few.error.mean()
        assert many.error.max() < 0.05 * np.abs(many.score - many.base).max()

    def test_the_seed_alone_decides(self):
        class Bent(Brightness):
            def forward(self, blocks):
                return torch.tanh(super().forward(blocks))

        ready = explained(Bent(), scans(4)[0])
        first, again, other = (
            saliency(ready, METHODS[0], draws=4, seed=seed).values for seed in (0, 0, 1)
        )
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_draws_fill_every_baseline(self):
        ready = explained(Detector(), scans(4)[0])
        with pytest.raises(CallError, match="draws is 3, expected a multiple of 2"):
            expected_gradients(ready, baselines(ready.pixels, ("median", "grey")), draws=3)

    def test_baselines_show_nobody_else(self):
        pixels = torch.rand(3, 1, SIZE, SIZE)
        kinds = ("median", "darker", "brighter", "blurred", "grey", "black")
        alone, together = baselines(pixels[:1], kinds), baselines(pixels, kinds)[:, :1]
        assert torch.allclose(alone, together)
        assert alone[0].std() < 0.3 * pixels[:1].std()
        flat = torch.full((1, 1, SIZE, SIZE), 0.3)
        assert torch.allclose(baselines(flat, ("blurred",))[0], flat, atol=1e-6)
        with pytest.raises(CallError, match="expected some of median, darker, brighter"):
            baselines(pixels, ("white",))

    def test_the_median_takes_small_spots_away_and_keeps_edges(self):
        pixels = torch.zeros(1, 1, SIZE, SIZE)
        pixels[..., SIZE // 2 :] = 0.6  # half of the image
        with_spot = pixels.clone()
        with_spot[0, 0, 5:10, 5:10] = 1.0
        assert torch.equal(baselines(with_spot)[0], pixels)

    def test_a_bright_spot_of_half_a_window_goes_from_the_darker_quantile_alone(self):
        flat = torch.full((1, 1, 40, 40), 0.5)
        spot = flat.clone()
        spot[0, 0, 10:17, 10:17] = 1.0  # 49 of the 81 pixels of a window
        left = {kind: float(baselines(spot, (kind,)).max()) for kind in ("median", "darker")}
        assert left == {"median": 1.0, "darker": 0.5}
        assert torch.equal(baselines(1 - spot, ("brighter",))[0], 1 - flat)

    def test_the_contract_says_which_baseline_is_used(self):
        assert BASELINE_OF["brighter"] == ("darker",)
        assert BASELINE_OF["either"] == BASELINES
        contract, _ = demo()
        assert contract.field("image").settings["findings"] == "brighter"

    def test_the_median_is_that_of_numpy_and_large_images_are_made_smaller(self):
        pixels = torch.rand(2, 1, 12, 12)
        found = baselines(pixels)[0][1, 0].numpy()
        padded = np.pad(pixels[1, 0].numpy(), 1, mode="reflect")
        assert found[3, 4] == pytest.approx(np.median(padded[3:6, 4:7]))
        large = baselines(torch.rand(1, 3, 130, 200))
        assert large.shape == (1, 1, 3, 130, 200)
        assert large.std() < 0.1


class TestGradCam:
    def test_by_hand(self):
        pixels, _ = scans(2)
        network = Detector()
        found = grad_cam(explained(network, pixels))
        with torch.no_grad():
            raw = network.conv(torch.from_numpy(pixels)[:, None])[:, 0]
        # One channel whose gradient is 1 at the maximum alone: its mean is 1 / pixels.
        assert found.values == pytest.approx(torch.relu(raw / SIZE**2).numpy(), abs=1e-6)

    def test_the_layer_is_the_last_convolution_or_the_declared_one(self):
        network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3))
        assert convolution(network) is network[2]
        network.saliency_layer = "0"
        assert convolution(network) is network[0]
        network.saliency_layer = "7"
        with pytest.raises(ExplanationError, match="'7'"):
            convolution(network)
        with pytest.raises(ExplanationError, match="no convolution"):
            convolution(Brightness())

    def test_frozen_weights_are_no_hindrance(self):
        network = Detector().requires_grad_(False)
        assert grad_cam(explained(network, scans(2)[0])).values.max() > 0


class TestTests:
    @pytest.mark.parametrize("method", METHODS)
    def test_maps_of_a_detector_pass_and_point_at_lesions(self, method):
        pixels, boxes = scans()
        found, verdict = judge(explained(Detector(), pixels), method, draws=16)
        assert verdict.passed, verdict.reason
        assert verdict.p_value < 0.001
        assert verdict.drop.lower > 0
        assert np.nanmean(pointing_hits(found.shown, boxes)) >= 0.9

    def test_a_map_that_does_not_depend_on_weights_fails(self):
        _, verdict = judge(explained(Brightness(), scans()[0]), METHODS[0], draws=4)
        assert not verdict.passed
        assert "shuffled weights are too much alike: rank correlation up to 1.00" in verdict.reason

    def test_a_map_of_noise_fails_the_deletion(self):
        ready = explained(Detector(), scans()[0])
        noise = Saliency(
            method="grad-cam",
            values=np.random.default_rng(5).random((24, SIZE, SIZE)),
            score=np.zeros(24),
            base=np.zeros(24),
            error=np.zeros(24),
        )
        drop, p_value = deletion(ready, noise)
        assert p_value > 0.05
        assert abs(drop.estimate) < 0.5

    def test_the_p_value_of_noise_is_not_small_too_often(self):
        ready = explained(Detector(), scans(8)[0])
        ps = []
        for seed in range(10):
            values = np.random.default_rng(seed).random((8, SIZE, SIZE))
            blank = np.zeros(8)
            noise = Saliency(method="grad-cam", values=values, score=blank, base=blank, error=blank)
            ps.append(deletion(ready, noise, seed=seed)[1])
        assert sum(p <= 0.1 for p in ps) <= 3

    def test_a_flat_map_and_too_few_images_fail(self):
        network = Detector()
        with torch.no_grad():
            network.conv.bias.fill_(-99.0)
        _, verdict = judge(explained(network, scans()[0]), "grad-cam")
        assert verdict.reason == "the maps are flat"
        _, verdict = judge(explained(Detector(), scans(4)[0]), "grad-cam")
        assert verdict.reason == "4 images, 5 needed to test the method"

    def test_weights_are_shuffled_in_a_copy(self):
        network = Detector()
        before = network.conv.weight.detach().clone()
        other = shuffled(network, 1)["conv.weight"]
        assert torch.equal(network.conv.weight, before)
        assert torch.equal(other.flatten().sort().values, before.flatten().sort().values)
        assert not torch.equal(other, before)
        ready = explained(network, scans(2)[0])
        changed = replace(ready, weights=shuffled(network, 1)).score()
        assert not torch.equal(changed, ready.score())

    def test_the_pointing_game_by_hand(self):
        maps = np.zeros((4, 4, 4))
        maps[0, 1, 2], maps[1, 3, 3] = 1, 1
        boxes = np.array([[1, 1, 2, 3], [0, 0, 3, 3], [np.nan] * 4, [-1] * 4])
        hits = pointing_hits(maps, boxes)
        assert hits[:2].tolist() == [1.0, 0.0]
        assert np.isnan(hits[2:]).all()

    def test_smoothing_keeps_the_mean_of_a_flat_map(self):
        assert smoothed(np.full((1, 9, 9), 2.0), 1.0) == pytest.approx(np.full((1, 9, 9), 2.0))


class TestEvidence:
    def test_verdicts_and_lesions_are_set_down(self):
        table = saliency_tables(model_of(Detector()), table_of(40))["imaging.saliency"]
        assert table["method"].tolist() == list(METHODS)
        assert table["passed"].all()
        assert table["output"].tolist() == ["lesion"] * 2
        assert (table["hits"] / table["boxes"] >= 0.9).all()
        assert table["completeness_error"][0] < 0.5

    def test_all_tables(self):
        made = evidence_for(coverage=0.9, sensitivity=0.95)
        tables = made(model_of(Detector()), {"test": table_of(40)})
        assert set(tables) == {
            f"imaging.{name}"
            for name in ("declared", "confounders", "reliability", "saliency", "map")
        }
        assert tables["imaging.declared"]["sensitivity"].tolist() == [0.95]
        assert np.isnan(tables["imaging.declared"]["specificity"][0])
        assert set(tables["imaging.reliability"]["output"]) == {"lesion", "kind_a", "kind_b"}

    def test_a_model_without_a_network_has_no_maps(self):
        model = model_of(Detector())
        model.network = None
        assert saliency_tables(model, table_of(8)) == {}

    def test_no_boxes(self):
        boxes = {name: np.array([3.0, -1.0]) for name in BOX}
        assert np.isnan(known_boxes(Table(boxes))).all(axis=1).tolist() == [False, True]
        assert np.isnan(known_boxes(Table({"scan": np.zeros((2, 4, 4))}))).all()

    def test_the_most_probable_class_is_explained(self):
        ready, name = pictured(model_of(Detector()), table_of(6), "kind")
        assert name == "most probable kind"
        assert set(ready.outputs.tolist()) == {2}
        with pytest.raises(CallError, match="expected one of lesion, kind"):
            pictured(model_of(Detector()), table_of(6), "age")


class TestOverlay:
    def test_red_raises_blue_lowers_and_nothing_stays(self):
        pixels, values = np.full((1, 32, 32), 0.5), np.zeros((32, 32))
        values[4:12, 4:12], values[20:28, 20:28] = 2.0, -2.0
        found = overlay_pixels(pixels, values, method="grad-cam", output="score")
        assert found.dtype == np.uint8
        mapped = found[:256, 260:516].astype(int)
        assert mapped[64, 64, 0] - mapped[64, 64, 2] > 80
        assert mapped[192, 192, 2] - mapped[192, 192, 0] > 80
        assert mapped[64, 192].tolist() == [128, 128, 128]
        assert found[:256, :256].min() == found[:256, :256].max() == 128
        assert (found[270:] < 60).any()  # the legend's text

    def test_the_same_bytes_for_the_same_map(self):
        pixels, values = np.random.default_rng(0).random((3, 20, 30)), np.eye(20, 30)
        first, again = (overlay_png(pixels, values, method="m", output="o") for _ in range(2))
        assert first == again
        assert Image.open(io.BytesIO(first)).size[0] == 2 * 30 * 13 + 4

    def scorer(self, network):
        return SimpleNamespace(model=model_of(network), digest="sha256:" + "0" * 64)

    def test_maps_that_pass_are_written(self, tmp_path):
        record = write_overlays(
            self.scorer(Detector()), table_of(), tmp_path / "o", method="grad-cam", rows=3
        )
        told = json.loads((tmp_path / "o" / "overlays.json").read_bytes())
        assert told == record
        assert told["tests"]["passed"] is True
        names = sorted(path.name for path in (tmp_path / "o").glob("*.png"))
        assert names == [f"row-00000{n}.png" for n in (1, 2, 3)]
        assert [item["file"] for item in told["files"]] == names

    def test_maps_that_fail_are_not_and_old_ones_go(self, tmp_path):
        out = tmp_path / "o"
        write_overlays(self.scorer(Detector()), table_of(), out, method="grad-cam", rows=1)
        with pytest.raises(ExplanationError, match="none is printed") as caught:
            write_overlays(self.scorer(Brightness()), table_of(), out, method=METHODS[0])
        assert "overlays.json" in caught.value.hint
        assert [path.name for path in out.iterdir()] == ["overlays.json"]
        assert json.loads((out / "overlays.json").read_bytes())["tests"]["passed"] is False

    def test_another_folder_is_left_alone(self, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(Exception, match="another kind"):
            write_overlays(self.scorer(Detector()), table_of(), tmp_path, method="grad-cam")

    def test_the_command_is_light_and_says_what_it_takes(self):
        code = (
            "import sys, verticals_medical_imaging.overlay_command\n"
            "assert not {'torch', 'PIL', 'pydicom', 'pandas'} & set(sys.modules)\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        shown = CliRunner().invoke(overlay, ["--help"]).output
        assert "--method [expected-gradients|grad-cam]" in shown
