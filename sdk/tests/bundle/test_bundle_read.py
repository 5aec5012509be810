"""Every way in which a bundle can be damaged or hostile is refused by its name."""

from __future__ import annotations

import ast
import json
import os
import pickle
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from verticals.bundle import check_solution, open_bundle, read, verify_bundle, write_bundle
from verticals.bundle.manifest import MANIFEST
from verticals.bundle.tensors import pack_tensors
from verticals.errors import BundleError
from verticals.plugin import SolutionInfo, State
from verticals.strictjson import readable_json

AT = "2026-01-31T12:00:00+00:00"
CONTENT = ["contract.yaml", "privacy.json", "settings.json", "weights.safetensors"]


class Bomb:
    """Leave a trace if anybody unpickles it."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def edited(bundle, edit):
    manifest = json.loads((bundle / MANIFEST).read_bytes())
    edit(manifest)
    (bundle / MANIFEST).write_bytes(readable_json(manifest))


# ---- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.pkl", "MODEL.PT", "weights.bin", "x.pickle", "a.joblib"])
def test_a_file_named_as_a_pickle_is_refused(bundle, name):
    (bundle / name).write_bytes(b"harmless")
    with pytest.raises(BundleError, match=f"'{name}' is named as a pickle"):
        open_bundle(bundle)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", CONTENT)
def test_a_pickle_under_another_name_is_refused_and_not_run(bundle, sealed, name, protocol):
    trace = bundle.parent / "trace"
    (bundle / name).write_bytes(pickle.dumps(Bomb(trace), protocol=protocol))
    sealed(bundle)
    with pytest.raises(BundleError, match=f"{name} is a pickle, which is never opened"):
        open_bundle(bundle)
    assert not trace.exists()


def test_a_torch_file_under_another_name_is_refused(bundle, sealed):
    (bundle / "weights.safetensors").write_bytes(b"PK\x03\x04" + bytes(100))
    sealed(bundle)
    with pytest.raises(BundleError, match=r"weights\.safetensors is a ZIP archive"):
        open_bundle(bundle)


def test_a_numpy_file_under_another_name_is_refused(bundle, sealed):
    np.save(bundle / "w.npy", np.zeros(3))
    (bundle / "w.npy").rename(bundle / "weights.safetensors")
    sealed(bundle)
    with pytest.raises(BundleError, match=r"weights\.safetensors is a NumPy file"):
        open_bundle(bundle)


def test_weights_whose_length_looks_like_a_pickle_are_opened(tmp_path, contents):
    # A header of 0x0280 bytes starts with the two bytes of a pickle of protocol 2.
    tensors = next(
        tensors
        for tensors in ({"w" * size: np.zeros(2)} for size in range(500, 640))
        if pack_tensors(tensors, what="weights").startswith(b"\x80\x02")
    )
    state = State(tensors=tensors, settings={})
    write_bundle(tmp_path / "m", contents(state=state), trained_at=AT)
    assert set(open_bundle(tmp_path / "m").tensors) == set(tensors)


@pytest.mark.parametrize("name", [*CONTENT, MANIFEST])
def test_a_link_in_place_of_a_file_is_refused(bundle, name):
    shutil.move(bundle / name, bundle.parent / "outside")
    (bundle / name).symlink_to(bundle.parent / "outside")
    with pytest.raises(BundleError, match=f"'{name}' is a symbolic link, expected a plain file"):
        open_bundle(bundle)


def test_a_link_in_place_of_the_folder_is_refused(bundle):
    (bundle.parent / "latest").symlink_to(bundle)
    with pytest.raises(BundleError, match="is a symbolic link, expected a folder"):
        open_bundle(bundle.parent / "latest")


def test_a_link_inside_is_refused_even_where_nobody_asks_for_it(bundle):
    (bundle / "more").symlink_to("/etc")
    with pytest.raises(BundleError, match="'more' is a symbolic link"):
        open_bundle(bundle)


def test_a_link_put_in_place_after_the_look_is_refused(bundle, monkeypatch):
    outside = bundle.parent / "outside"
    shutil.copy(bundle / "settings.json", outside)
    listed = read.list_folder

    def look_then_swap(path, **options):
        found = listed(path, **options)
        (bundle / "settings.json").unlink()
        (bundle / "settings.json").symlink_to(outside)
        return found

    monkeypatch.setattr(read, "list_folder", look_then_swap)
    with pytest.raises(BundleError, match=r"'settings\.json' cannot be read: Too many levels"):
        open_bundle(bundle)


def test_a_fifo_does_not_make_the_reader_wait(bundle, monkeypatch):
    (bundle / "settings.json").unlink()
    os.mkfifo(bundle / "settings.json")
    with pytest.raises(BundleError, match=r"'settings\.json' is a FIFO"):
        open_bundle(bundle)
    monkeypatch.setattr(read, "list_folder", lambda path, **_: dict.fromkeys(os.listdir(path), 1))
    with pytest.raises(BundleError, match=r"'settings\.json' is a FIFO"):
        open_bundle(bundle)


def test_folders_sockets_and_devices_inside_are_refused(bundle):
    (bundle / "more").mkdir()
    with pytest.raises(BundleError, match="'more' is a folder, expected a plain file"):
        open_bundle(bundle)
    (bundle / "more").rmdir()
    server = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    try:
        os.chdir(bundle)  # the path of a socket is short
        server.bind("s")
    finally:
        os.chdir(here)
        server.close()
    with pytest.raises(BundleError, match="'s' is a socket"):
        open_bundle(bundle)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a device")
def test_a_device_is_refused(bundle):
    try:
        os.mknod(bundle / "d", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("this container may make no device")
    with pytest.raises(BundleError, match="'d' is a device"):
        open_bundle(bundle)


@pytest.mark.parametrize("name", CONTENT)
def test_a_missing_file_is_named(bundle, name):
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        open_bundle(bundle)


def test_a_file_that_even_the_manifest_lacks_is_missing(bundle, sealed):
    (bundle / "settings.json").unlink()
    sealed(bundle, lambda manifest: manifest["files"].pop("settings.json"))
    with pytest.raises(BundleError, match=r"settings\.json is missing"):
        open_bundle(bundle)


@pytest.mark.parametrize(
    "name", ["notes.txt", "model.py", ".hidden", "Weights.safetensors", "a\nb"]
)
def test_an_extra_file_is_refused(bundle, name):
    (bundle / name).write_text("x")
    with pytest.raises(BundleError, match="is no part of a bundle") as caught:
        open_bundle(bundle)
    assert "\n" not in caught.value.message


def test_a_known_file_that_the_manifest_does_not_list_is_extra(tmp_path, contents):
    write_bundle(tmp_path / "m", contents(privacy=None), trained_at=AT)
    (tmp_path / "m" / "privacy.json").write_text("{}")
    with pytest.raises(BundleError, match=r"privacy\.json is an extra file"):
        open_bundle(tmp_path / "m")


def test_more_files_than_a_bundle_has_are_not_even_counted(bundle):
    for number in range(300):
        (bundle / f"{number}").touch()
    with pytest.raises(BundleError, match="has 305 files, expected at most 256"):
        open_bundle(bundle)


@pytest.mark.parametrize("name", [*CONTENT, MANIFEST])
def test_every_byte_counts(bundle, name):
    whole = (bundle / name).read_bytes()
    places = range(0, len(whole), max(1, len(whole) // 40))
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 0x04
        (bundle / name).write_bytes(changed)
        in_time = name == MANIFEST and _time_span(whole)[0] <= place < _time_span(whole)[1]
        if in_time:  # only a signature vouches for the time
            continue
        with pytest.raises(BundleError):
            open_bundle(bundle)
    (bundle / name).write_bytes(whole)
    open_bundle(bundle)


def _time_span(manifest: bytes) -> tuple[int, int]:
    start = manifest.index(b'"trained_at": "') + len(b'"trained_at": "')
    return start, start + len(AT)


@pytest.mark.parametrize("name", CONTENT)
def test_a_changed_file_is_named(bundle, name):
    data = bytearray((bundle / name).read_bytes())
    data[-2] ^= 1
    (bundle / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"{name} has changed: its digest is sha256:"):
        open_bundle(bundle)
    (bundle / name).write_bytes(data[:-1])
    with pytest.raises(BundleError, match=rf"{name} has changed: \d+ bytes, expected \d+"):
        open_bundle(bundle)


def test_a_bundle_of_gigabytes_is_not_read(bundle):
    os.truncate(bundle / "weights.safetensors", read.MAX_BUNDLE_BYTES + 1)  # sparse
    with pytest.raises(BundleError, match=r"weights\.safetensors is too large"):
        open_bundle(bundle)
    os.truncate(bundle / "weights.safetensors", 100)
    os.truncate(bundle / "contract.yaml", 2**24)
    with pytest.raises(BundleError, match=r"contract\.yaml is too large"):
        open_bundle(bundle)


def test_a_file_that_changes_while_it_is_read_is_refused(bundle, monkeypatch):
    true = os.fstat

    class Shorter:
        def __init__(self, status):
            self.st_mode, self.st_size = status.st_mode, status.st_size - 1

    monkeypatch.setattr(os, "fstat", lambda descriptor: Shorter(true(descriptor)))
    with pytest.raises(BundleError, match="changed while it was read"):
        open_bundle(bundle)


@pytest.mark.parametrize("place", ["nowhere", "model/bundle.json", "model/bundle.json/x", "\0"])
def test_a_place_without_a_bundle_is_an_error(bundle, place, monkeypatch):
    monkeypatch.chdir(bundle.parent)
    with pytest.raises(BundleError, match=r"does not exist|expected a folder|no file name"):
        open_bundle(place)


def test_a_folder_of_another_kind_is_named_as_such(bundle):
    for path in (bundle.parent, "/", ""):
        with pytest.raises(BundleError, match=r"another kind of folder: bundle\.json is missing"):
            open_bundle(path)


def test_a_refused_permission_is_an_error(bundle, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(BundleError, match="cannot be read: Permission denied"):
        open_bundle(bundle)
    monkeypatch.setattr(os, "lstat", refuse)
    with pytest.raises(BundleError, match="cannot be read: Permission denied"):
        open_bundle(bundle)


# ---- manifest --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../settings.json", "leaves the folder"),
        ("a/../../x", "leaves the folder"),
        ("..", "leaves the folder"),
        ("/etc/passwd", "is an absolute path"),
        ("~/x", "is an absolute path"),
        ("C:\\x", "is an absolute path"),
        ("c:x", "is an absolute path"),
        ("..\\x", "holds a backslash"),
        ("\\\\host\\x", "holds a backslash"),
        ("settings.json\0.txt", "holds a NUL byte"),
        ("sub/settings.json", "is no plain file name"),
        ("", "is no plain file name"),
        (".", "is no plain file name"),
        ("x\n", "is no plain file name"),
        ("settings.json ", "is no plain file name"),
        ("code.py", "is unknown"),
        ("bundle.json", "is unknown"),
        ("signature.json", "is unknown"),
    ],
)
def test_a_name_that_is_no_file_of_a_bundle_is_refused(bundle, sealed, name, reason):
    def add(manifest):
        manifest["files"][name] = manifest["files"]["settings.json"]

    sealed(bundle, add)
    with pytest.raises(BundleError, match=reason) as caught:
        open_bundle(bundle)
    assert "\n" not in caught.value.message
    assert "\0" not in caught.value.message


@pytest.mark.parametrize("version", [0, 2, "1", None, True, 1.5, [1]])
def test_another_format_is_refused(bundle, sealed, version):
    sealed(bundle, lambda manifest: manifest.update(format=version))
    with pytest.raises(BundleError, match=r"is of format .*, expected 1") as caught:
        open_bundle(bundle)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: m.update(code="x"), "unknown key 'code'"),
        (lambda m: m.pop("split"), "lacks the key 'split'"),
        (lambda m: m.update(files=[]), "files is list, expected a JSON object"),
        (lambda m: m.update(outputs={}), "outputs is dict, expected a list"),
        (lambda m: m.update(outputs=[1]), "output is int, expected a JSON object"),
        (lambda m: m.update(training=None), "training is NoneType"),
        (lambda m: m["solution"].update(name=""), "name is empty"),
        (lambda m: m["solution"].update(name=7), "name is 7, expected text"),
        (lambda m: m["solution"].update(state_version="3"), "state_version is '3'"),
        (lambda m: m["solution"].update(state_version=True), "state_version is True"),
        (lambda m: m["solution"].update(offers="private"), "offers is 'private'"),
        (lambda m: m["solution"].update(target="os:system"), "unknown key 'target'"),
        (lambda m: m["files"]["settings.json"].update(size=-1), "size is -1"),
        (lambda m: m["files"]["settings.json"].update(size=True), "size is True"),
        (lambda m: m["files"]["settings.json"].update(sha256="md5:0"), "sha256 is 'md5:0'"),
        (lambda m: m["files"]["settings.json"].update(shows=""), "shows is ''"),
        (lambda m: m["files"]["settings.json"].update(epsilon="low"), "epsilon is 'low'"),
        (lambda m: m["files"]["settings.json"].update(epsilon=-0.5), "epsilon is -0.5"),
        (lambda m: m["files"]["settings.json"].pop("shows"), "lacks the key 'shows'"),
        (lambda m: m["files"].update({"settings.json": 3}), "is int, expected a JSON object"),
        (lambda m: m.update(trained_at="now"), "trained_at is 'now'"),
        (lambda m: m.update(trained_at="2026-01-31 12:00:00+00:00"), "trained_at is"),
        (lambda m: m.update(trained_at=None), "trained_at is None"),
    ],
)
def test_a_manifest_of_another_shape_is_refused(bundle, sealed, edit, message):
    sealed(bundle, edit)
    with pytest.raises(BundleError, match=message):
        open_bundle(bundle)


def test_a_manifest_whose_digest_is_not_its_own_is_refused(bundle):
    edited(bundle, lambda manifest: manifest["training"].update(epochs=99))
    with pytest.raises(BundleError, match=r"bundle\.json has changed: its digest is sha256:"):
        open_bundle(bundle)
    edited(bundle, lambda manifest: manifest.update(digest=None))
    with pytest.raises(BundleError, match="it says None"):
        open_bundle(bundle)


def test_a_manifest_in_other_words_is_refused(bundle):
    manifest = json.loads((bundle / MANIFEST).read_bytes())
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="not in the form in which it was written"):
        open_bundle(bundle)


@pytest.mark.parametrize("name", ["settings.json", "privacy.json", MANIFEST])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 200 + b"]" * 200, "nested too deeply"),
        (b'{"a": ' * 70 + b"1" + b"}" * 70, "nested too deeply"),
        (b'{"a": 1, "a": 2}', "key 'a' stands twice"),
        (b'{"a": NaN}', "NaN is no finite number"),
        (b'{"a": -Infinity}', "-Infinity is no finite number"),
        (b'{"a": 1e999}', "1e999 is no finite number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "no plain JSON"),
        (b'{"a": "\\ud800"}', "half of a surrogate pair"),
        (b'{"\\udc00": 1}', "half of a surrogate pair"),
        (b"\xef\xbb\xbf{}", "no plain JSON"),
        (b'{"a": "\xff"}', "no UTF-8 at byte 7"),
        (b"", "no plain JSON"),
        (b"{} {}", "no plain JSON"),
        (b"[]", "expected a JSON object"),
        (b"null", "expected a JSON object"),
        (b" " * (2**23 + 1), "too large"),
    ],
)
def test_json_that_is_no_plain_json_is_refused(bundle, sealed, name, data, message):
    (bundle / name).write_bytes(data)
    if name != MANIFEST:
        sealed(bundle)
    with pytest.raises(BundleError, match=message) as caught:
        open_bundle(bundle)
    assert len(caught.value.message) < 600


def test_settings_without_the_state_are_refused(bundle, sealed):
    (bundle / "settings.json").write_text('{"state": 3}')
    sealed(bundle)
    with pytest.raises(BundleError, match="lacks the object 'state'"):
        open_bundle(bundle)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff",
        b"",
        b"solution: x\n",
        b"!!python/object/apply:os.system ['true']\n",
        b"a: &a [x, x]\nb: [*a, *a]\n",
        b"[" * 5000,
        b"? " * 2000,
        b"a: b: c",
        b"\x00",
        b"- " * 5000,
    ],
)
def test_a_contract_that_cannot_be_read_is_refused(bundle, sealed, data):
    (bundle / "contract.yaml").write_bytes(data)
    sealed(bundle)
    with pytest.raises(BundleError, match=r"contract\.yaml") as caught:
        open_bundle(bundle)
    assert "\n" not in caught.value.message


# ---- use -------------------------------------------------------------------------------------


def test_what_was_verified_is_what_is_used(bundle):
    opened = open_bundle(bundle)
    (bundle / "weights.safetensors").write_bytes(b"changed")
    (bundle / "settings.json").unlink()
    assert opened.state().tensors["scale"] == 2.5
    assert opened.settings["seed"] == 0


def test_each_file_is_read_once(bundle, monkeypatch):
    opened = []
    true = os.open

    def counted(path, *arguments, **options):
        opened.append(Path(path).name)
        return true(path, *arguments, **options)

    monkeypatch.setattr(os, "open", counted)
    open_bundle(bundle)
    assert sorted(opened) == sorted([*CONTENT, MANIFEST])


def info(**changes):
    values = {"name": "churn", "api_version": 1, "state_version": 3, "target": "acme:CHURN"}
    return SolutionInfo(**{**values, **changes})


def test_the_installed_solution_is_found(bundle):
    opened = open_bundle(bundle)
    wanted = info()
    assert check_solution(opened, [info(name="other"), wanted]) is wanted
    newer = info(state_version=4, readable_state_versions=(3,))
    assert check_solution(opened, [newer]) is newer


def test_a_solution_that_is_not_installed_is_named(bundle):
    with pytest.raises(BundleError, match="'churn', which is not installed") as caught:
        check_solution(open_bundle(bundle), [info(name="other")])
    assert "acme-churn 0.2.0" in caught.value.hint


def test_a_state_version_that_cannot_be_read_is_named(bundle):
    installed = info(state_version=5, readable_state_versions=(4,))
    with pytest.raises(BundleError, match="state version 3 of solution 'churn', which reads 4, 5"):
        check_solution(open_bundle(bundle), [installed])


def test_verify_says_what_was_found(bundle):
    found = verify_bundle(bundle)
    assert found.digest == open_bundle(bundle).digest
    assert found.files == (MANIFEST, *CONTENT)
    assert (found.signature, found.signed_by, found.trusted) == ("absent", None, False)
    assert found.trained_at == AT


def test_the_rooms_of_trust_start_without_heavy_packages():
    heavy = ["torch", "pandas", "sklearn", "scipy", "pyarrow", "cryptography", "safetensors"]
    program = (
        "import sys, verticals.bundle, verticals.evidence, verticals.ledger\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert found.stdout == b"[]\n"


def test_nothing_in_the_package_unpickles_or_evaluates():
    folder = Path(read.__file__).parent
    forbidden = {"pickle", "eval", "exec", "import_module", "__import__", "marshal", "shelve"}
    for path in folder.glob("*.py"):
        names = {
            node.id if isinstance(node, ast.Name) else node.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Name | ast.alias)
        }
        assert not names & forbidden, path
