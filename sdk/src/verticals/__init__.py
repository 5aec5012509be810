"""Ship regulated machine learning: contract, private training, bundle, evidence, audit.

    import verticals

    result = verticals.train("credit-scoring", out="bundle", epsilon=3.0)
    model = verticals.open("bundle")
    scores = model.predict("applications.csv")

`train` and `open` are imported on first use, so that `import verticals` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verticals.api import open_scorer as open
    from verticals.api import train

__all__ = ["open", "train"]


def __getattr__(name: str) -> Any:
    """Return `train`, `open` or `__version__`; raise `AttributeError` for other names."""
    if name in __all__:
        api = importlib.import_module("verticals.api")
        return api.open_scorer if name == "open" else api.train
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("verticals-sdk")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names that `import verticals` offers."""
    return sorted([*globals(), *__all__, "__version__"])
