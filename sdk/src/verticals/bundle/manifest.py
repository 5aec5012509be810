"""What `bundle.json` says: the solution, and for each file its digest and whose data it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from verticals.errors import DataError
from verticals.files import name_problem
from verticals.strictjson import (
    canonical_json,
    check_time,
    is_digest,
    parse_json,
    plain,
    readable_json,
    sha256,
    shown,
)

FORMAT = 1
MANIFEST = "bundle.json"
CONTRACT = "contract.yaml"
SETTINGS = "settings.json"
WEIGHTS = "weights.safetensors"
PRIVACY = "privacy.json"
SIGNATURE = "signature.json"
REQUIRED = frozenset({CONTRACT, SETTINGS, WEIGHTS})
CONTENT = REQUIRED | {PRIVACY}  # what the manifest lists
ALL_FILES = CONTENT | {MANIFEST, SIGNATURE}

INFINITE = "infinite"  # the epsilon of a raw release

_TEXTS = ("name", "distribution", "version", "summary", "domain", "intended_use", "not_for")
_SOLUTION_KEYS = frozenset({*_TEXTS, "state_version", "offers"})
_KEYS = frozenset(
    {"format", "digest", "trained_at", "solution", "files", "outputs", "split", "training", "extra"}
)


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """Name a file of a bundle, its digest, and whose data it shows at which epsilon.

    `epsilon` is 0 for declarations, a number for a differentially private release, and
    `"infinite"` for a raw one.
    """

    name: str
    sha256: str
    size: int
    shows: str
    epsilon: float | str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Hold what a bundle says of itself; `digest` covers everything but `trained_at`."""

    digest: str
    trained_at: str  # ISO 8601 with time zone
    solution: Mapping[str, Any]
    files: tuple[FileEntry, ...]
    outputs: tuple[Mapping[str, Any], ...]
    split: Mapping[str, Any]
    training: Mapping[str, Any]
    extra: Mapping[str, Any]


def build_manifest(body: Mapping[str, Any], *, trained_at: str, what: str) -> bytes:
    """Return the bytes of `bundle.json` for everything that the digest covers.

    Raises `DataError` if it would not be readable.
    """
    covered = plain(body, what)
    whole = {**covered, "digest": sha256(canonical_json(covered)), "trained_at": trained_at}
    data = readable_json(whole)
    parse_manifest(data, what=what)
    return data


def parse_manifest(data: bytes, *, what: str) -> Manifest:
    """Return what a `bundle.json` says, every value checked, its digest recomputed.

    Raises `DataError` if anything is missing, unknown, of another kind, or not as it was written.
    """
    whole = _mapping(parse_json(data, what=what), what)
    if whole.get("format") != FORMAT or isinstance(whole.get("format"), bool):
        raise DataError(
            f"{what} is of format {shown(whole.get('format'))}, expected {FORMAT}",
            hint="install a version of verticals-sdk that reads this format",
        )
    _check_keys(whole, _KEYS, what)
    if readable_json(whole) != data:
        raise DataError(f"{what} has changed bytes: it is not in the form in which it was written")
    digest, trained_at = whole.pop("digest"), whole.pop("trained_at")
    found = sha256(canonical_json(whole))
    if digest != found:
        raise DataError(f"{what} has changed: its digest is {found}, it says {shown(digest)}")
    files = _mapping(whole["files"], f"{what}: files")
    outputs = whole["outputs"]
    if not isinstance(outputs, list):
        raise DataError(f"{what}: outputs is {type(outputs).__name__}, expected a list")
    return Manifest(
        digest=digest,
        trained_at=check_time(trained_at, f"{what}: trained_at"),
        solution=_solution(whole["solution"], f"{what}: solution"),
        files=tuple(_file(name, files[name], f"{what}: file {shown(name)}") for name in files),
        outputs=tuple(_frozen(item, f"{what}: output") for item in outputs),
        split=_frozen(whole["split"], f"{what}: split"),
        training=_frozen(whole["training"], f"{what}: training"),
        extra=_frozen(whole["extra"], f"{what}: extra"),
    )


def check_epsilon(value: Any, where: str) -> float | str:
    """Return an epsilon, a number from 0 or `"infinite"`; else raise `DataError`."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    if not number and value != INFINITE:
        raise DataError(f"{where} is {shown(value)}, expected a number from 0 or {INFINITE!r}")
    return value  # type: ignore[no-any-return]


def _file(name: str, entry: Any, where: str) -> FileEntry:
    problem = name_problem(name)
    if problem:
        raise DataError(f"{where} {problem}, expected the name of a file in the bundle")
    if name not in CONTENT:
        raise DataError(f"{where} is unknown, expected one of {', '.join(sorted(CONTENT))}")
    entry = _mapping(entry, where)
    _check_keys(entry, frozenset({"sha256", "size", "shows", "epsilon"}), where)
    if not is_digest(entry["sha256"]):
        raise DataError(f"{where}: sha256 is {shown(entry['sha256'])}, expected a digest")
    if type(entry["size"]) is not int or entry["size"] < 0:
        raise DataError(f"{where}: size is {shown(entry['size'])}, expected a count of bytes")
    if not isinstance(entry["shows"], str) or not entry["shows"].strip():
        raise DataError(f"{where}: shows is {shown(entry['shows'])}, expected whose data it shows")
    epsilon = check_epsilon(entry["epsilon"], f"{where}: epsilon")
    return FileEntry(
        name=name,
        sha256=entry["sha256"],
        size=entry["size"],
        shows=entry["shows"],
        epsilon=epsilon,
    )


def _solution(value: Any, where: str) -> Mapping[str, Any]:
    found = _mapping(value, where)
    _check_keys(found, _SOLUTION_KEYS, where)
    for key in _TEXTS:
        if not isinstance(found[key], str):
            raise DataError(f"{where}.{key} is {shown(found[key])}, expected text")
    if not found["name"]:
        raise DataError(f"{where}.name is empty, expected the name of a solution")
    if type(found["state_version"]) is not int:
        version = shown(found["state_version"])
        raise DataError(f"{where}.state_version is {version}, expected a whole number")
    offers = found["offers"]
    if not isinstance(offers, list) or not all(isinstance(item, str) for item in offers):
        raise DataError(f"{where}.offers is {shown(offers)}, expected a list of texts")
    return MappingProxyType(found)


def _check_keys(value: Mapping[str, Any], expected: frozenset[str], where: str) -> None:
    unknown, missing = sorted(set(value) - expected), sorted(expected - set(value))
    if unknown:
        raise DataError(f"{where} has the unknown key {shown(unknown[0])}")
    if missing:
        raise DataError(f"{where} lacks the key {missing[0]!r}")


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where} is {type(value).__name__}, expected a JSON object")
    return value


def _frozen(value: Any, where: str) -> Mapping[str, Any]:
    return MappingProxyType(_mapping(value, where))
