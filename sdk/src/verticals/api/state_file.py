"""The running state of derived fields as a file of its own: private data, never in a bundle.

A file is a magic line, the length of a JSON header, the header, and arrays as safetensors. The
header says which solution and bundle wrote it, what the state's settings are, and the digest of
the arrays. It is written in one step, readable by its owner only; a kill leaves the old file or
the new one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from verticals.bundle.tensors import pack_tensors, unpack_tensors
from verticals.errors import DataError
from verticals.files import write_file
from verticals.plugin import State
from verticals.strictjson import canonical_json, parse_json, plain, sha256, shown

FORMAT = 1
_MAGIC = b"verticals state\n"
_MAX_HEADER = 8 * 2**20
_KEYS = frozenset({"format", "solution", "state_version", "bundle", "settings", "tensors"})
_HINT = "start with an empty state and replay recent events and labels, or restore a backup"


def write_state(
    path: str | Path, state: State, *, solution: str, state_version: int, bundle: str
) -> None:
    """Write a state to a file in one step, for its owner's eyes only (mode 0600).

    Raises `DataError` if the system refuses, or the state holds what no file can.
    """
    what = f"state '{path}'"
    tensors = pack_tensors(state.tensors, what=what)
    header = canonical_json(
        {
            "format": FORMAT,
            "solution": solution,
            "state_version": state_version,
            "bundle": bundle,
            "settings": plain(state.settings, what),
            "tensors": sha256(tensors),
        }
    )
    data = b"".join([_MAGIC, len(header).to_bytes(8, "little"), header, tensors])
    write_file(Path(path), data, what=what, mode=0o600)


def read_state(path: str | Path, *, solution: str, state_version: int) -> State:
    """Read a state that `write_state` wrote; every byte is checked before any is used.

    Raises `DataError` if the file is missing, damaged, of another format, of another solution or
    of another version of its state.
    """
    what = f"state '{path}'"
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise DataError(f"{what}: {reason}", hint=_HINT) from error
    start = len(_MAGIC) + 8
    if not data.startswith(_MAGIC) or len(data) < start:
        raise DataError(f"{what} is no state file of verticals", hint=_HINT)
    length = int.from_bytes(data[len(_MAGIC) : start], "little")
    if length > min(_MAX_HEADER, len(data) - start):
        raise DataError(f"{what} is truncated: {len(data)} bytes", hint=_HINT)
    header = parse_json(data[start : start + length], what=what, max_bytes=_MAX_HEADER)
    _check(header, what, solution, state_version)
    tensors = data[start + length :]
    if sha256(tensors) != header["tensors"]:
        raise DataError(f"{what} is damaged: its arrays are not those it was written with")
    return State(tensors=unpack_tensors(tensors, what=what), settings=header["settings"])


def _check(header: Any, what: str, solution: str, state_version: int) -> None:
    found = header.get("format") if isinstance(header, dict) else None
    if found != FORMAT or isinstance(found, bool):
        raise DataError(f"{what} is of format {shown(found)}, expected {FORMAT}", hint=_HINT)
    if set(header) != _KEYS or not isinstance(header["settings"], dict):
        raise DataError(f"{what} is damaged: its header is not complete", hint=_HINT)
    if header["solution"] != solution:
        raise DataError(
            f"{what} belongs to solution {shown(header['solution'])}, expected {solution!r}",
            hint=_HINT,
        )
    if header["state_version"] != state_version:
        raise DataError(
            f"{what} is of state version {shown(header['state_version'])} of {solution!r}, "
            f"expected {state_version}",
            hint=_HINT,
        )
