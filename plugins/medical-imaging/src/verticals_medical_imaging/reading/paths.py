"""Which file a row of a table names: always one inside the table's own folder."""

from __future__ import annotations

import re
from pathlib import Path

from verticals.errors import DataError
from verticals.strictjson import shown

_MEMBER = re.compile(r"(?P<file>.+\.np[yz])#(?P<member>[^#]+)", re.IGNORECASE | re.DOTALL)
_DRIVE = re.compile(r"[A-Za-z]:")
_HINT = "name files by their path relative to the table's own folder"


def split_member(name: str) -> tuple[str, str]:
    """Split 'stack.npz#images/12' into the file and the member, which is empty where none is."""
    found = _MEMBER.fullmatch(name)
    return (found["file"], found["member"]) if found else (name, "")


def inside(root: Path, name: str) -> Path:
    """Return the real path of a file that a table names; it lies inside `root`, links followed.

    Raises `DataError` for an absolute path, one with "..", a link that leads out, and a file that
    does not exist.
    """
    if not name or "\0" in name:
        raise DataError(f"{shown(name)} is no path of a file", hint=_HINT)
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\", "~")) or _DRIVE.match(name) or ".." in parts:
        raise DataError(f"{shown(name)} is a path outside the data folder", hint=_HINT)
    base = root.resolve()
    try:
        path = (base / name).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # missing, too long, a loop of links
        raise DataError(f"{shown(name)} does not exist in {root}", hint=f"ls {root}") from None
    if not path.is_relative_to(base):
        raise DataError(f"{shown(name)} is a link that leads outside the data folder", hint=_HINT)
    return path
