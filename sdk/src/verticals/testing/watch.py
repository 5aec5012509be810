"""Watch what code does beside its work: connections, output, files in the working folder."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Hold what was seen: addresses that were called, text on stdout, files left or changed."""

    calls: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


@contextlib.contextmanager
def watched(seen: Seen) -> Iterator[None]:
    """Note in `seen` what the block does; a connection beyond this machine is refused.

    Output is kept from stdout. The block works in a folder of its own that has links to whatever
    is in the working folder: it finds the same files, and what it leaves is told from what other
    processes write meanwhile, and is gone afterwards. A file that was there before and has changed
    is named too. Calls and prints are seen where Python does them: a library that calls the system
    itself is not.
    """
    output = io.StringIO()
    own_folder, no_network = _own_folder(seen.files), _without_network(seen.calls)
    with own_folder, no_network, contextlib.redirect_stdout(output):
        try:
            yield
        finally:
            if output.getvalue().strip():
                seen.printed.append(f"{len(output.getvalue().splitlines())} line(s)")


@contextlib.contextmanager
def _own_folder(left: list[str]) -> Iterator[None]:
    """Work in a new folder of links to the entries of the working folder; note what differs."""
    with tempfile.TemporaryDirectory() as made, os.scandir() as entries:
        for entry in entries:
            os.symlink(Path(entry.path).absolute(), Path(made) / entry.name)
        with contextlib.chdir(made):
            before = _entries()
            try:
                yield
            finally:
                after = _entries()
                left.extend(sorted(name for name in after if after[name] != before.get(name)))


def _entries() -> dict[str, tuple[bool, int, int]]:
    """Return for each entry whether it is a link, and of a file its size and time of change.

    Folders stand for themselves only: other processes write below them.
    """
    found: dict[str, tuple[bool, int, int]] = {}
    with os.scandir() as entries:
        for entry in entries:
            found[entry.name] = (entry.is_symlink(), 0, 0)
            with contextlib.suppress(OSError):
                if entry.is_file():
                    facts = entry.stat()
                    found[entry.name] = (entry.is_symlink(), facts.st_size, facts.st_mtime_ns)
    return found


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
