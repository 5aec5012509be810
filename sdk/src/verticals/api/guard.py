"""Run a plugin's code on data: what it raises names the plugin and the place, and shows no data."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from verticals.errors import PluginError, VerticalsError


@contextmanager
def plugin_code(what: str, *, target: str, hint: str) -> Iterator[None]:
    """Turn whatever a plugin's code raises into a `PluginError`: its kind and place, not its text.

    `what` is the subject of the sentence ("solution 'x' of acme: fit"), `target` what the plugin's
    description names, whose package tells its own lines from those of others. An error on purpose
    (`VerticalsError`) passes as it is. The text of any other may quote rows, and so is left out;
    the error itself stays the cause.
    """
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit, VerticalsError):
        raise
    except BaseException as error:  # SystemExit, and a panic in a compiled extension, are no more
        raise PluginError(
            f"{what} raised {type(error).__name__} at {place_of(error, target)}", hint=hint
        ) from error


def place_of(error: BaseException, target: str) -> str:
    """Return `file.py:line` of the plugin's innermost line, or of the innermost one at all."""
    package = target.partition(":")[0].partition(".")[0]
    places = [
        (str(frame.f_globals.get("__name__", "")).partition(".")[0], frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    own = [item for item in places if item[0] == package]
    _, file, line = (own or places)[-1]
    return f"{Path(file).name}:{line}"
