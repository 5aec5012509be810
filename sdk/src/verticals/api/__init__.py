"""The Python face: train, open, predict, explain, evidence. The command line does the same."""

from verticals.api.online import OnlineScorer
from verticals.api.opening import open_scorer
from verticals.api.scorer import Scorer
from verticals.api.training_run import TrainingResult, train

__all__ = ["OnlineScorer", "Scorer", "TrainingResult", "open_scorer", "train"]
