"""Keep pydicom from showing values of the files that it reads."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Silence pydicom's warnings and log: both quote values, and a value may be a patient's name.

    Its checks of values are off too, for the same reason: what a value must be is checked where
    it is used.
    """
    from pydicom import config

    logger = logging.getLogger("pydicom")
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before
