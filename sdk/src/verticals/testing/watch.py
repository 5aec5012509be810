"""Watch what code does beside its work: connections, output, files in the working folder."""

from __future__ import annotations

import contextlib
import io
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Hold what was seen: addresses that were called, text on stdout, new or changed files."""

    calls: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


@contextlib.contextmanager
def watched(seen: Seen) -> Iterator[None]:
    """Note in `seen` what the block does; a connection beyond this machine is refused.

    Output is kept from stdout. Only what Python does is seen: a library that calls the system
    itself is not.
    """
    before = _files(Path.cwd())
    output = io.StringIO()
    with contextlib.redirect_stdout(output), _without_network(seen.calls):
        try:
            yield
        finally:
            if output.getvalue().strip():
                seen.printed.append(f"{len(output.getvalue().splitlines())} line(s)")
            after = _files(Path.cwd())
            seen.files.extend(sorted(name for name in after if after[name] != before.get(name)))


@contextlib.contextmanager
def _without_network(calls: list[str]) -> Iterator[None]:
    own: dict[str, Callable[..., Any]] = {
        "connect": socket.socket.connect,
        "connect_ex": socket.socket.connect_ex,
    }

    def guarded(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: socket.socket, address: Any) -> Any:
            if self.family not in (socket.AF_INET, socket.AF_INET6):
                return method(self, address)
            calls.append(str(address[0]))
            raise OSError("no network while a solution is checked")

        return call

    # Whoever holds the class calls its methods by these names, so they are put in its place.
    for name, method in own.items():
        setattr(socket.socket, name, guarded(method))
    try:
        yield
    finally:
        for name, method in own.items():
            setattr(socket.socket, name, method)


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of change of each file of a folder, not of those below it."""
    found: dict[str, tuple[int, int]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                facts = entry.stat(follow_symlinks=False)
                found[entry.name] = (facts.st_size, facts.st_mtime_ns)
    return found
