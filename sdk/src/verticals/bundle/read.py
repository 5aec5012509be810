"""Open a bundle that a stranger may have made: verify first, then use what was verified.

Each file is read once. The bytes that are hashed are the bytes that are parsed and handed on, so
that nothing can be changed between the two. No code of a bundle is ever run, nothing is
unpickled, and no name in it is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from verticals.bundle.keys import check_signature, key_id, load_public_key
from verticals.bundle.manifest import (
    ALL_FILES,
    CONTENT,
    CONTRACT,
    MANIFEST,
    PRIVACY,
    REQUIRED,
    SETTINGS,
    SIGNATURE,
    WEIGHTS,
    FileEntry,
    Manifest,
    parse_manifest,
)
from verticals.bundle.tensors import unpack_tensors
from verticals.contract import DataContract, parse_contract
from verticals.errors import BundleError, ContractError, DataError, SignatureError
from verticals.files import list_folder, read_file, steady
from verticals.plugin import SolutionInfo, State
from verticals.strictjson import MAX_BYTES, parse_json, sha256, shown
from verticals.table import Array

MAX_BUNDLE_BYTES = 4 * 2**30

VALID = "valid"
ABSENT = "absent"

_PICKLE_ENDINGS = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".dill")
_MAGIC = {
    b"PK\x03\x04": "a ZIP archive, as torch makes of pickles",
    b"\x93NUMPY": "a NumPy file, which may hold pickles",
    b"\x1f\x8b": "a gzip archive",
}


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Say what was found when a bundle was verified.

    `signature` is "valid" or "absent" (a false one raises). `trusted` tells whether the caller
    gave the public key by which the signature is valid; without it anyone may have signed.
    """

    digest: str
    trained_at: str
    files: tuple[str, ...]
    signature: str
    signed_by: str | None
    trusted: bool


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Hold a verified bundle; nothing is read from disk any more."""

    path: Path
    manifest: Manifest
    contract: DataContract
    settings: Mapping[str, Any]
    privacy: Mapping[str, Any] | None
    verification: Verification
    tensors: Mapping[str, Array] = field(repr=False)

    @property
    def digest(self) -> str:
        """Return the digest, which covers everything but the time of training."""
        return self.manifest.digest

    @property
    def trained_at(self) -> str:
        """Return the time of training, ISO 8601; only a signature vouches for it."""
        return self.manifest.trained_at

    @property
    def solution(self) -> Mapping[str, Any]:
        """Return what the bundle says of the solution that made it."""
        return self.manifest.solution

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """Return each file with whose data it shows, and at which epsilon."""
        return self.manifest.files

    def state(self) -> State:
        """Return the model's state; its arrays are read-only."""
        return State(tensors=self.tensors, settings=self.settings["state"])


def open_bundle(path: str | Path, *, public_key: str | Path | None = None) -> Bundle:
    """Verify a bundle and return what it holds.

    With `public_key` (a file) the bundle must bear a valid signature by that key.

    Raises `BundleError` for everything that is not as a bundle is written, and `SignatureError`
    for a signature that is false, or, with `public_key`, absent or by another key.
    """
    path = Path(path)
    expected = None if public_key is None else load_public_key(public_key)
    with bundle_errors():
        return steady(path, lambda: parse_files(path, read_files(path), expected))


def verify_bundle(path: str | Path, *, public_key: str | Path | None = None) -> Verification:
    """Verify a bundle and say what was found; raises as `open_bundle` does."""
    return open_bundle(path, public_key=public_key).verification


def check_solution(bundle: Bundle, infos: Iterable[SolutionInfo]) -> SolutionInfo:
    """Return the installed solution that reads this bundle.

    Raises `BundleError` if none of that name is installed, or if it does not read the version of
    the state in the bundle.
    """
    name, version = bundle.solution["name"], bundle.solution["state_version"]
    made_by = f"{bundle.solution['distribution']} {bundle.solution['version']}"
    what = named(bundle.path)
    for info in infos:
        if info.name != name:
            continue
        readable = sorted({info.state_version, *info.readable_state_versions})
        if version not in readable:
            raise BundleError(
                f"{what} has state version {version} of solution {shown(name)}, which reads "
                f"{', '.join(map(str, readable))}",
                hint=f"install the version that made it: {shown(made_by)}",
            )
        return info
    raise BundleError(
        f"{what} needs the solution {shown(name)}, which is not installed",
        hint=f"verticals list; the bundle says that it was made by {shown(made_by)}",
    )


# ---- shared with the writer ------------------------------------------------------------------


def named(path: Path) -> str:
    """Return the noun that messages about a bundle start with."""
    return f"bundle {str(path)!r}"


@contextmanager
def bundle_errors() -> Iterator[None]:
    """Turn what the rooms below find wrong into a `BundleError`."""
    try:
        yield
    except DataError as error:
        raise BundleError(error.message, hint=error.hint) from error
    except ContractError as error:  # whose hint is for the owner of a contract in a file
        raise BundleError(error.message) from error


def read_files(path: Path) -> dict[str, bytes]:
    """Read every file of a bundle once; raise `DataError` or `BundleError` for foreign ones."""
    what = named(path)
    sizes = list_folder(path, what=what, marker=MANIFEST)
    for name in sizes:
        if name.lower().endswith(_PICKLE_ENDINGS):
            raise BundleError(f"{what}: {shown(name)} is named as a pickle, which is never opened")
        if name not in ALL_FILES:
            raise BundleError(f"{what}: file {shown(name)} is no part of a bundle")
    _refuse_large(sizes, what)
    return {name: read_file(path, name, what=what, max_bytes=_limit(name)) for name in sizes}


def parse_files(path: Path, files: Mapping[str, bytes], public_key: bytes | None = None) -> Bundle:
    """Return the bundle that these bytes are; raise `DataError` or `BundleError` otherwise."""
    what = named(path)
    _refuse_large({name: len(data) for name, data in files.items()}, what)
    for name, data in files.items():
        _refuse_foreign_format(data, f"{what}: {name}")
    manifest = parse_manifest(files[MANIFEST], what=f"{what}: {MANIFEST}")
    _check_files(manifest, files, what)
    verification = _verify_signature(manifest, files, public_key, what)
    privacy = files.get(PRIVACY)
    settings = _json_object(files[SETTINGS], f"{what}: {SETTINGS}")
    if not isinstance(settings.get("state"), dict):
        raise BundleError(f"{what}: {SETTINGS} lacks the object 'state'")
    return Bundle(
        path=path,
        manifest=manifest,
        contract=_contract(files[CONTRACT], f"{what}: {CONTRACT}"),
        settings=settings,
        privacy=None if privacy is None else _json_object(privacy, f"{what}: {PRIVACY}"),
        verification=verification,
        tensors=MappingProxyType(unpack_tensors(files[WEIGHTS], what=f"{what}: {WEIGHTS}")),
    )


def _limit(name: str) -> int:
    return MAX_BUNDLE_BYTES if name == WEIGHTS else MAX_BYTES


def _refuse_large(sizes: Mapping[str, int], what: str) -> None:
    for name, size in sizes.items():
        if size > _limit(name):
            raise BundleError(
                f"{what}: {name} is too large: {size} bytes, expected at most {_limit(name)}"
            )


def _refuse_foreign_format(data: bytes, where: str) -> None:
    # A safetensors file may start with any two bytes, but its header is short and starts with {.
    is_safetensors = data[4:9] == b"\0\0\0\0{"
    if data[:1] == b"\x80" and data[1:2] in (b"\2", b"\3", b"\4", b"\5") and not is_safetensors:
        raise BundleError(f"{where} is a pickle, which is never opened")
    for magic, kind in _MAGIC.items():
        if data.startswith(magic) and not is_safetensors:
            raise BundleError(f"{where} is {kind}, which is never opened")


def _check_files(manifest: Manifest, files: Mapping[str, bytes], what: str) -> None:
    listed = {entry.name: entry for entry in manifest.files}
    for name in sorted({*REQUIRED, *listed} - set(files)):
        raise BundleError(f"{what}: {name} is missing")
    for name in sorted(CONTENT & set(files)):
        entry = listed.get(name)
        if entry is None:
            raise BundleError(f"{what}: {name} is an extra file, which {MANIFEST} does not list")
        if len(files[name]) != entry.size:
            raise BundleError(
                f"{what}: {name} has changed: {len(files[name])} bytes, expected {entry.size}"
            )
        found = sha256(files[name])
        if found != entry.sha256:
            raise BundleError(
                f"{what}: {name} has changed: its digest is {found}, expected {entry.sha256}"
            )


def _verify_signature(
    manifest: Manifest, files: Mapping[str, bytes], expected: bytes | None, what: str
) -> Verification:
    signed_by: bytes | None = None
    if SIGNATURE in files:
        signed_by = check_signature(
            files[SIGNATURE],
            digest=manifest.digest,
            trained_at=manifest.trained_at,
            what=f"{what}: {SIGNATURE}",
        )
    if expected is not None and signed_by != expected:
        found = "no signature" if signed_by is None else f"a signature by {key_id(signed_by)}"
        raise SignatureError(f"{what} bears {found}, expected one by {key_id(expected)}")
    return Verification(
        digest=manifest.digest,
        trained_at=manifest.trained_at,
        files=tuple(sorted(files)),
        signature=ABSENT if signed_by is None else VALID,
        signed_by=None if signed_by is None else key_id(signed_by),
        trusted=expected is not None,
    )


def _contract(data: bytes, where: str) -> DataContract:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleError(f"{where} is no UTF-8 at byte {error.start}") from error
    return parse_contract(text, source=where)


def _json_object(data: bytes, where: str) -> Mapping[str, Any]:
    value = parse_json(data, what=where)
    if not isinstance(value, dict):
        raise BundleError(f"{where} is {type(value).__name__}, expected a JSON object")
    return MappingProxyType(value)
