"""Whatever is done to the bytes of a bundle: it is refused by a BundleError, or nothing changed."""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from verticals.bundle import new_keys, open_bundle, sign_bundle
from verticals.errors import BundleError

FILES = [
    "bundle.json",
    "contract.yaml",
    "privacy.json",
    "settings.json",
    "signature.json",
    "weights.safetensors",
]


def mutate(data, draw):
    """Change, cut, repeat or insert bytes."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(changed)))
        end = min(len(changed), start + draw(st.integers(0, 20)))
        insert = draw(st.one_of(st.binary(max_size=8), st.sampled_from([b"{", b'"', b"[", b"9"])))
        changed[start:end] = insert * draw(st.integers(0, 3))
    return bytes(changed)


@pytest.fixture
def signed(bundle, tmp_path):
    sign_bundle(bundle, new_keys(tmp_path / "k").private_path)
    return bundle


QUIET = settings(
    deadline=None,
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@QUIET
@given(data=st.data())
def test_changed_bytes_never_open(signed, data):
    whole = {name: (signed / name).read_bytes() for name in FILES}
    name = data.draw(st.sampled_from(FILES))
    changed = mutate(whole[name], data.draw)
    try:
        (signed / name).write_bytes(changed)
        if changed == whole[name]:
            open_bundle(signed)
        else:
            with pytest.raises(BundleError):
                open_bundle(signed)
    finally:
        (signed / name).write_bytes(whole[name])


@QUIET
@given(data=st.data())
def test_changed_bytes_with_true_digests_open_or_are_refused(bundle, sealed, data):
    manifest = (bundle / "bundle.json").read_bytes()
    before = open_bundle(bundle).digest
    name = data.draw(st.sampled_from(FILES[1:4] + FILES[5:]))
    whole = (bundle / name).read_bytes()
    changed = mutate(whole, data.draw)
    try:
        (bundle / name).write_bytes(changed)
        sealed(bundle)
        found = message = None
        try:
            found = open_bundle(bundle)
        except BundleError as error:
            message = error.message
        if found is None:
            assert "\n" not in message
        else:
            assert (found.digest == before) == (changed == whole)
            found.state()
    finally:
        (bundle / name).write_bytes(whole)
        (bundle / "bundle.json").write_bytes(manifest)


@QUIET
@given(data=st.data())
def test_moved_removed_and_added_files_never_open(bundle, tmp_path, data):
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(bundle, copy)
    names = sorted(os.listdir(copy))
    first, second = data.draw(st.permutations(names))[:2]
    action = data.draw(st.sampled_from(["remove", "rename", "swap", "add", "copy", "link"]))
    if action == "remove":
        (copy / first).unlink()
    elif action == "rename":
        (copy / first).rename(copy / data.draw(st.sampled_from(["x", second, "signature.json"])))
    elif action == "swap":
        (copy / first).rename(copy / "aside")
        (copy / second).rename(copy / first)
        (copy / "aside").rename(copy / second)
    elif action == "add":
        (copy / data.draw(st.sampled_from(["x", "signature.json", "A"]))).write_bytes(b"{}")
    elif action == "copy":
        shutil.copy(copy / first, copy / second)
    else:
        (copy / first).unlink()
        (copy / first).symlink_to(bundle / first)
    with pytest.raises(BundleError):
        open_bundle(copy)
