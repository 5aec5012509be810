"""What is written comes back, the same everywhere, whole or not at all."""

from __future__ import annotations

import dataclasses
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from verticals import files
from verticals.bundle import open_bundle, verify_bundle, write_bundle
from verticals.bundle.manifest import build_manifest, parse_manifest
from verticals.bundle.tensors import pack_tensors
from verticals.errors import BundleError
from verticals.plugin import State
from verticals.strictjson import sha256

AT = "2026-01-31T12:00:00+00:00"
LATER = "2026-02-01T12:00:00+00:00"


def test_what_is_written_comes_back(bundle, contents):
    opened = open_bundle(bundle)
    given = contents()
    assert opened.contract == given.contract
    assert opened.solution == given.solution
    assert opened.privacy == given.privacy
    assert opened.manifest.outputs == tuple(given.outputs)
    assert opened.manifest.split == given.split
    assert opened.manifest.training == given.training
    assert opened.trained_at == AT
    assert opened.settings["finish"] == {"cut": 0.5}
    state = opened.state()
    assert state.settings == {"width": 3}
    assert set(state.tensors) == set(given.state.tensors)
    for name, array in given.state.tensors.items():
        found = state.tensors[name]
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        np.testing.assert_array_equal(found, array)


def test_the_manifest_says_whose_data_each_file_shows(bundle):
    entries = {entry.name: entry for entry in open_bundle(bundle).files}
    assert sorted(entries) == [
        "contract.yaml",
        "privacy.json",
        "settings.json",
        "weights.safetensors",
    ]
    weights = entries["weights.safetensors"]
    assert (weights.shows, weights.epsilon) == ("training rows", 3.0)
    assert weights.size == (bundle / "weights.safetensors").stat().st_size


def test_what_was_opened_cannot_be_changed(bundle):
    opened = open_bundle(bundle)
    with pytest.raises(dataclasses.FrozenInstanceError):
        opened.contract = None
    with pytest.raises(TypeError):
        opened.settings["seed"] = 1
    with pytest.raises(ValueError, match="read-only"):
        opened.state().tensors["scale"][...] = 0.0


def test_the_digest_is_of_the_content_and_not_of_place_or_time(tmp_path, contents):
    first = write_bundle(tmp_path / "a", contents(), trained_at=AT)
    second = write_bundle(tmp_path / "deep" / "er" / "b", contents(), trained_at=LATER)
    assert first.digest == second.digest
    for change in (
        {"split": {"seed": 1}},
        {"training": {}},
        {"extra": {"note": "x"}},
        {"privacy": None},
        {"settings": {}},
    ):
        other = write_bundle(tmp_path / "c", contents(**change), trained_at=AT)
        assert other.digest != first.digest


def test_the_digest_is_the_same_on_every_machine():
    # These change only with the format: other numbers here mean that old bundles no longer open.
    tensors = {"b": np.arange(3, dtype=np.int8), "a": np.float32([1, -0.5]), "c": np.array(0.1)}
    weights = pack_tensors(tensors, what="weights")
    assert sha256(weights) == (
        "sha256:33d937ab9a1bdf73cbd6cb9fb4fc4aad7151d377f8b796bf1aa457aa1e2bfaef"
    )
    entry = {"sha256": sha256(weights), "size": len(weights), "shows": "rows", "epsilon": 0.1}
    texts = ("name", "distribution", "version", "summary", "domain", "intended_use", "not_for")
    body = {
        "format": 1,
        "solution": {**dict.fromkeys(texts, "é"), "state_version": 1, "offers": []},
        "files": {"weights.safetensors": entry},
        "outputs": [],
        "split": {"seed": np.int64(3), "shares": (0.5, 1e-7)},
        "training": {},
        "extra": {},
    }
    data = build_manifest(body, trained_at=AT, what="bundle")
    assert parse_manifest(data, what="bundle").digest == (
        "sha256:33a8f3258a5c638cce3e6fb4ed423a011a579845ab062a9332d423ba48a7cf10"
    )


def test_a_state_without_settings_leaves_them_to_the_settings(tmp_path, contents):
    bare = State(tensors={}, settings={})
    settings = {"state": {"kept": 1}}
    write_bundle(tmp_path / "m", contents(state=bare, settings=settings), trained_at=AT)
    state = open_bundle(tmp_path / "m").state()
    assert dict(state.settings) == {"kept": 1}
    assert dict(state.tensors) == {}
    with pytest.raises(BundleError, match="key 'state'"):
        write_bundle(tmp_path / "n", contents(settings=settings), trained_at=AT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": {"x": float("nan")}}, r"settings\.json\.x is nan"),
        ({"settings": {"x": {1: 2}}}, "has the key 1, expected text"),
        ({"settings": {"x": object()}}, "of type object"),
        ({"settings": {"x": "\ud800"}}, "surrogate"),
        ({"shows": {}}, "does not say whose data contract.yaml shows"),
        ({"solution": {"name": "churn"}}, "solution lacks the key"),
        ({"privacy": {"epsilon": float("inf")}}, r"privacy\.json\.epsilon is inf"),
        ({"state": State(tensors={"w": np.array([1.0, np.inf])}, settings={})}, "not finite"),
        ({"state": State(tensors={"w": np.array(["a"])}, settings={})}, "type <U1"),
        ({"state": State(tensors={"w": np.array([None])}, settings={})}, "type object"),
    ],
)
def test_content_that_cannot_be_written_is_refused(tmp_path, contents, change, message):
    with pytest.raises(BundleError, match=message):
        write_bundle(tmp_path / "m", contents(**change), trained_at=AT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("epsilon", [-1, float("nan"), "none", None, True])
def test_an_epsilon_that_is_none_is_refused(tmp_path, contents, epsilon):
    shows = {**contents().shows, "weights.safetensors": ("training rows", epsilon)}
    with pytest.raises(BundleError, match="epsilon"):
        write_bundle(tmp_path / "m", contents(shows=shows), trained_at=AT)


@pytest.mark.parametrize("when", ["", "yesterday", "2026-01-31", "2026-01-31T12:00:00", None])
def test_a_time_without_zone_is_refused(tmp_path, contents, when):
    with pytest.raises(BundleError, match="trained_at"):
        write_bundle(tmp_path / "m", contents(), trained_at=when)


def test_settings_that_would_not_open_are_not_written(tmp_path, contents):
    with pytest.raises(BundleError, match=r"settings\.json is too large"):
        write_bundle(tmp_path / "m", contents(settings={"x": "y" * 2**24}), trained_at=AT)


def test_a_bundle_is_replaced_and_nothing_is_left_beside_it(bundle, contents):
    new = write_bundle(bundle, contents(training={"epochs": 4}), trained_at=AT)
    assert open_bundle(bundle).digest == new.digest
    assert [item.name for item in bundle.parent.iterdir()] == ["model"]


def test_without_an_exchange_of_names_a_bundle_is_replaced_all_the_same(
    bundle, contents, monkeypatch
):
    monkeypatch.setattr(files, "_exchange", lambda first, second: False)
    new = write_bundle(bundle, contents(training={"epochs": 4}), trained_at=AT)
    assert open_bundle(bundle).digest == new.digest
    assert [item.name for item in bundle.parent.iterdir()] == ["model"]


def test_a_kill_between_two_renames_loses_nothing(bundle, contents, monkeypatch):
    old = open_bundle(bundle).digest
    rename = os.rename

    def killed(first, second):
        if Path(second) == bundle:
            raise KeyboardInterrupt
        rename(first, second)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_exchange", lambda first, second: False)
        patch.setattr(os, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            write_bundle(bundle, contents(training={"epochs": 4}), trained_at=AT)
    with pytest.raises(BundleError, match="does not exist") as caught:
        open_bundle(bundle)
    assert (
        caught.value.hint
        == f"a write was interrupted: mv '{bundle.parent}/.model.previous' '{bundle}'"
    )
    with pytest.raises(BundleError, match="trained_at"):
        write_bundle(bundle, contents(), trained_at="never")
    new = write_bundle(bundle, contents(training={"epochs": 5}), trained_at=AT)
    assert open_bundle(bundle).digest == new.digest != old
    assert [item.name for item in bundle.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("kind", ["file", "link", "folder", "mixed", "nested"])
def test_what_is_no_bundle_is_never_replaced(tmp_path, bundle, contents, kind):
    path = tmp_path / "mine"
    if kind == "file":
        path.write_text("thesis")
    elif kind == "link":
        path.symlink_to(bundle)
    elif kind == "folder":
        path.mkdir()
        (path / "thesis.txt").write_text("thesis")
    else:
        write_bundle(path, contents(), trained_at=AT)
        (path / "thesis").mkdir() if kind == "nested" else (path / "thesis").write_text("thesis")
    before = sorted(str(item) for item in tmp_path.rglob("*"))
    with pytest.raises(BundleError, match=r"exists and is .*expected a free place"):
        write_bundle(path, contents(training={}), trained_at=AT)
    assert sorted(str(item) for item in tmp_path.rglob("*")) == before


def test_an_empty_folder_is_a_free_place(tmp_path, contents):
    (tmp_path / "m").mkdir()
    write_bundle(tmp_path / "m", contents(), trained_at=AT)
    verify_bundle(tmp_path / "m")


def test_other_users_may_read_a_bundle_as_the_umask_says(bundle):
    mask = os.umask(0)
    os.umask(mask)
    assert bundle.stat().st_mode & 0o777 == 0o777 & ~mask
    assert (bundle / "bundle.json").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_full_disk_is_an_error_and_leaves_the_old_bundle(bundle, contents):
    old = open_bundle(bundle).digest
    big = State(tensors={"w": np.zeros(500_000)}, settings={})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
    try:
        with pytest.raises(BundleError, match="cannot be written: File too large"):
            write_bundle(bundle, contents(state=big), trained_at=AT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert open_bundle(bundle).digest == old
    assert [item.name for item in bundle.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("place", ["file/model", "\0", "x" * 300, "/", "\ud800/model"])
def test_a_place_that_cannot_be_written_is_an_error(tmp_path, contents, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match=r"cannot be written|no name of its own"):
        write_bundle(tmp_path / place, contents(), trained_at=AT)


def test_a_refused_permission_is_an_error(tmp_path, contents, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(BundleError, match="cannot be written: Permission denied"):
        write_bundle(tmp_path / "m", contents(), trained_at=AT)


WRITERS = """
import os, sys
sys.path.insert(0, sys.argv[2])
from conftest import make_contents, TRAINED_AT
from verticals.bundle import write_bundle
one, two = make_contents(training={"epochs": 1}), make_contents(training={"epochs": 2})
write_bundle(sys.argv[1], one, trained_at=TRAINED_AT)
write_bundle(sys.argv[1], two, trained_at=TRAINED_AT)
for line in sys.stdin:
    writer = os.fork()
    while not writer:
        write_bundle(sys.argv[1], one, trained_at=TRAINED_AT)
        write_bundle(sys.argv[1], two, trained_at=TRAINED_AT)
    print(writer, flush=True)
    print(os.waitpid(writer, 0)[1], flush=True)
"""


def test_a_kill_at_any_moment_leaves_the_old_or_the_new_bundle(tmp_path, contents):
    path = tmp_path / "place" / "model"
    digests = {
        write_bundle(path, contents(training={"epochs": n}), trained_at=AT).digest for n in (1, 2)
    }
    rng = random.Random(0)
    seen, left_behind = set(), 0
    command = [sys.executable, "-c", WRITERS, str(path), str(Path(__file__).parent)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        for _ in range(15):
            parent.stdin.write("go\n")
            parent.stdin.flush()
            writer = int(parent.stdout.readline())
            until = time.monotonic() + 0.02 + 0.1 * rng.random()
            while time.monotonic() < until:  # a reader meets whole bundles only
                assert open_bundle(path).digest in digests
            os.kill(writer, signal.SIGKILL)
            assert int(parent.stdout.readline()) == signal.SIGKILL
            left_behind += len(list(path.parent.iterdir())) - 1
            seen.add(open_bundle(path).digest)
        parent.stdin.close()
    assert seen == digests
    assert left_behind > 0  # else no kill fell into a write, and the test shows nothing
    write_bundle(path, contents(), trained_at=AT)
    assert [item.name for item in path.parent.iterdir()] == ["model"]


def test_a_file_is_written_in_one_step(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    files.write_file(path, b"old", what="record")

    def refuse(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        with pytest.raises(files.DataError, match="record cannot be written: No space left"):
            files.write_file(path, b"new", what="record")
    assert path.read_bytes() == b"old"
    files.write_file(path, b"new", what="record")
    assert path.read_bytes() == b"new"
    assert [item.name for item in tmp_path.iterdir()] == ["record.json"]
