"""Import Opacus without its side effect on the caller's logging."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_import() -> Iterator[None]:
    """Take away the handlers that an import adds to the root logger.

    Opacus calls `logging.basicConfig` when it is imported, which would print the log of the
    caller's whole program to stderr.
    """
    before = list(logging.root.handlers)
    try:
        yield
    finally:
        logging.root.handlers[:] = before
