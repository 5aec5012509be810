"""Files that are whole or absent, and flat folders that are read without trust.

Bundles and evidence are flat folders of plain files. They are written beside their place and put
there in one step, so that a kill leaves the old or the new state; and they are read as if a
stranger had made them. Every failure here is a `DataError`; `what` is the noun that its message
starts with (`bundle 'x'`, say).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import secrets
import stat
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from verticals.errors import DataError, VerticalsError
from verticals.strictjson import shown

MAX_ENTRIES = 256  # files in one folder

_CHUNK = 2**20
_DRIVE = re.compile(r"[A-Za-z]:")
_PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,127}")
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

T = TypeVar("T")


@contextmanager
def system_errors(what: str, verb: str) -> Iterator[None]:
    """Turn what the system refuses into a `DataError`: permissions, a full disk, a missing folder.

    `verb` is what could not be done: "read" or "written".
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"{what} cannot be {verb}: {reason}") from error
    except ValueError as error:  # a NUL byte or half of a surrogate pair in the path
        raise DataError(f"{what} cannot be {verb}: the path is no file name ({error})") from error


def lock(descriptor: int, *, wait: bool = True, shared: bool = False) -> bool:
    """Lock an open file or folder until it is closed; False if the lock cannot be had.

    The lock binds only those who ask for it. Windows has none of this kind: False.
    """
    if sys.platform == "win32":
        return False
    import fcntl

    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
    except OSError:  # held by another, or a file system without locks
        return False
    return True


def name_problem(name: str) -> str:
    """Say why a name from a manifest is no plain file name; empty if it is one."""
    if "\0" in name:
        return "holds a NUL byte"
    if name.startswith(("/", "~")) or _DRIVE.match(name):
        return "is an absolute path"
    if "\\" in name:
        return "holds a backslash"
    if ".." in name.split("/"):
        return "leaves the folder"
    return "" if _PLAIN_NAME.fullmatch(name) else "is no plain file name"


# ---- writing ---------------------------------------------------------------------------------


def write_file(path: Path, data: bytes, *, what: str, mode: int = 0o666) -> None:
    """Write a file in one step: a reader, and a kill, sees the old bytes or the new ones.

    `mode` are the permissions of the file, less the process' umask. Raises `DataError` if the
    system refuses.
    """
    with system_errors(what, "written"):
        target = _placed(path, what)
        with _temporary(target, folder=False, mode=mode) as temporary:
            _fill(temporary, data, os.O_WRONLY)
            os.replace(temporary, target)
            _sync_folder(target.parent)


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Name a flat folder that is to be written, and what goes into it.

    `what` is the noun of messages. `ours` is shown the names in a folder that stands at `path` and
    tells whether it may be replaced; an empty one always may.
    """

    path: Path
    files: Mapping[str, bytes]
    what: str
    ours: Callable[[Collection[str]], bool]


def write_folder(
    path: Path, files: Mapping[str, bytes], *, what: str, ours: Callable[[Collection[str]], bool]
) -> None:
    """Write a flat folder in one step: a reader, and a kill, sees the old one or the new one.

    On Linux and macOS the two folders are exchanged by one system call. Where the file system has
    none, the old folder is set aside for a moment under a hidden name, from which the next write
    (or a person) brings it back after a kill. See `Folder` for the arguments.

    Raises `DataError` if something else stands at `path`, or the system refuses.
    """
    write_folders((Folder(path=path, files=files, what=what, ours=ours),))


def write_folders(folders: Sequence[Folder]) -> None:
    """Write several flat folders, each in one step, and none before all of them lie on disk.

    So a full disk or a place that is taken leaves all the old ones. They are put in place first to
    last: after a kill between two such steps the last one is still the old one.

    Raises `DataError` as `write_folder`.
    """
    with ExitStack() as stack:
        staged = [(item, *_staged(item, stack)) for item in folders]
        for item, temporary, target in staged:
            with system_errors(item.what, "written"):
                if os.path.lexists(target):
                    _replace(temporary, target)
                else:
                    os.rename(temporary, target)
                _sync_folder(target.parent)


def refuse_place(path: Path, what: str, ours: Callable[[Collection[str]], bool]) -> None:
    """Raise `DataError` where `write_folder` would refuse to replace what stands at a path."""
    if os.path.lexists(path):
        _refuse_foreign(path, what, ours)


def _staged(folder: Folder, stack: ExitStack) -> tuple[Path, Path]:
    """Write a folder beside its place; return where it lies, and its place, which is free."""
    with system_errors(folder.what, "written"):
        target = _placed(folder.path, folder.what)
        aside = _aside(target)
        if not os.path.lexists(target) and aside.is_dir():
            os.rename(aside, target)
        temporary = stack.enter_context(_temporary(target, folder=True))
        for name, data in folder.files.items():
            _fill(temporary / name, data, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        _sync_folder(temporary)
        if os.path.lexists(target):
            _refuse_foreign(target, folder.what, folder.ours)
    return temporary, target


def _placed(path: Path, what: str) -> Path:
    target = Path(path).absolute()
    if target.name in ("", ".."):
        raise DataError(f"{what} has no name of its own, expected a path that ends in a name")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.previous")


def _refuse_foreign(target: Path, what: str, ours: Callable[[Collection[str]], bool]) -> None:
    hint = "choose another name, or move away what stands there"
    mode = os.lstat(target).st_mode
    if not stat.S_ISDIR(mode):
        raise DataError(f"{what} exists and is {_kind(mode)}, expected a free place", hint=hint)
    names = os.listdir(target)
    if names and not ours(names):
        raise DataError(
            f"{what} exists and is a folder of another kind, expected a free place", hint=hint
        )


def _replace(temporary: Path, target: Path) -> None:
    if _exchange(temporary, target):
        return
    aside = _aside(target)
    _remove(aside)
    os.rename(target, aside)
    os.rename(temporary, target)
    _remove(aside)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two names in one system call; False where the system or file system has none."""
    if sys.platform == "linux":
        name, folder, flag = "renameat2", (ctypes.c_int(-100),), 2  # AT_FDCWD, RENAME_EXCHANGE
    elif sys.platform == "darwin":
        name, folder, flag = "renamex_np", (), 2  # RENAME_SWAP
    else:
        return False
    call = getattr(ctypes.CDLL(None), name, None)
    paths = [ctypes.c_char_p(os.fsencode(path)) for path in (first, second)]
    return call is not None and call(*folder, paths[0], *folder, paths[1], ctypes.c_uint(flag)) == 0


@contextmanager
def _temporary(target: Path, *, folder: bool, mode: int = 0o666) -> Iterator[Path]:
    """Make an empty file or folder beside the target; remove what bears its name in the end.

    It is locked while its writer lives. So each writer can tell what killed ones left behind,
    and removes it.
    """
    _remove_stale(target)
    while True:
        path = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
        if folder:
            os.mkdir(path)
        else:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
        with _locked(path, wait=True):
            if not path.exists():  # another writer took it for a stale one before it was locked
                continue
            try:
                yield path
            finally:
                _remove(path)
            return


def _remove_stale(target: Path) -> None:
    pattern = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{16}}\.tmp")
    for name in os.listdir(target.parent):
        if pattern.fullmatch(name):
            with _locked(target.with_name(name), wait=False) as mine:
                if mine:
                    _remove(target.with_name(name))


@contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the lock of a file or folder, and tell whether it could be had."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:  # gone; or Windows, which gives no descriptor of a folder
        yield False
        return
    try:
        yield lock(descriptor, wait=wait)
    finally:
        os.close(descriptor)


def _fill(path: Path, data: bytes, flags: int) -> None:
    descriptor = os.open(path, flags, 0o666)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    if sys.platform == "win32":  # which gives no descriptor of a folder
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Remove a file or a flat folder; a folder inside it, which is not ours, is left."""
    with suppress(OSError):
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            return
        for name in os.listdir(path):
            with suppress(OSError):
                os.unlink(path / name)
        os.rmdir(path)


# ---- reading ---------------------------------------------------------------------------------


def list_folder(path: Path, *, what: str, marker: str) -> dict[str, int]:
    """Return name and size of every file in a flat folder, sorted by name.

    `marker` is the file that tells such a folder from others.

    Raises `DataError` if the marker is missing, for a folder or entry that is a symbolic link, an
    entry that is no plain file (a folder, a FIFO, a device), and for more than `MAX_ENTRIES`.
    """
    with system_errors(what, "read"):
        try:
            mode = os.lstat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            aside = _aside(Path(path).absolute())
            hint = f"a write was interrupted: mv '{aside}' '{path}'" if aside.is_dir() else ""
            raise DataError(f"{what} does not exist", hint=hint) from None
        if not stat.S_ISDIR(mode):
            raise DataError(f"{what} is {_kind(mode)}, expected a folder")
        names = sorted(os.listdir(path))
        if marker not in names:
            raise DataError(f"{what} is another kind of folder: {marker} is missing")
        if len(names) > MAX_ENTRIES:
            raise DataError(f"{what} has {len(names)} files, expected at most {MAX_ENTRIES}")
        found = {name: os.lstat(path / name) for name in names}
    for name, status in found.items():
        if not stat.S_ISREG(status.st_mode):
            kind = _kind(status.st_mode)
            raise DataError(f"{what}: {shown(name)} is {kind}, expected a plain file")
    return {name: status.st_size for name, status in found.items()}


def read_file(folder: Path, name: str, *, what: str, max_bytes: int) -> bytes:
    """Read a plain file of a folder once, following no link.

    Raises `DataError` if it is no plain file, is larger than `max_bytes`, or changes its size
    while it is read.
    """
    with opened(folder, name, what) as (descriptor, size):
        if size > max_bytes:
            raise DataError(
                f"{what}: {name!r} is too large: {size} bytes, expected at most {max_bytes}"
            )
        data = b"".join(_chunks(descriptor, size, f"{what}: {name!r}"))
    return data


def hash_file(folder: Path, name: str, *, what: str) -> tuple[str, int]:
    """Return the `sha256:…` digest and the size of a plain file, read in pieces."""
    with opened(folder, name, what) as (descriptor, size):
        digest = hashlib.sha256()
        for chunk in _chunks(descriptor, size, f"{what}: {name!r}"):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}", size


def steady(path: Path, read: Callable[[], T]) -> T:
    """Return what `read` returns; read again where the folder was replaced in the meantime."""
    for _ in range(3):
        before = _identity(path)
        try:
            return read()
        except VerticalsError:
            if _identity(path) == before:
                raise
    return read()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


@contextmanager
def opened(folder: Path, name: str, what: str) -> Iterator[tuple[int, int]]:
    """Open a plain file for reading, following no link; give its descriptor and its size.

    Raises `DataError` if it is no plain file, or the system refuses.
    """
    # O_NONBLOCK: a FIFO put in place of the file must not make the reader wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with system_errors(f"{what}: {name!r}", "read"):
        descriptor = os.open(folder / name, flags | getattr(os, "O_BINARY", 0))
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                kind = _kind(status.st_mode)
                raise DataError(f"{what}: {name!r} is {kind}, expected a plain file")
            yield descriptor, status.st_size
        finally:
            os.close(descriptor)


def _chunks(descriptor: int, size: int, what: str) -> Iterator[bytes]:
    left = size
    while chunk := os.read(descriptor, min(_CHUNK, left + 1)):
        left -= len(chunk)
        if left < 0:
            break
        yield chunk
    if left:
        raise DataError(f"{what} changed while it was read, expected {size} bytes")


def _kind(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "a plain file")
