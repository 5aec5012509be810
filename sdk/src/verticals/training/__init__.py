"""Train networks: one readable loop, with or without differential privacy."""

from verticals.privacy.gradients import Loss
from verticals.training.device import pick_device
from verticals.training.loop import train_network
from verticals.training.options import TrainOptions, train_options
from verticals.training.run import Trained

__all__ = ["Loss", "TrainOptions", "Trained", "pick_device", "train_network", "train_options"]
