"""Energy arrears with a torch network of its own."""

from importlib.resources import files

import numpy as np
from torch import nn

from verticals.contract import parse_contract
from verticals.plugin import TorchSolution
from verticals.table import Table


def demo():
    """Simulate 1,200 customers; arrears grow with the share of income that energy takes."""
    random = np.random.default_rng(11)
    bill, income = random.uniform(20, 400, 1200), random.lognormal(7.6, 0.5, 1200)
    heating = random.choice(np.array(["gas", "electric", "oil"], dtype=object), 1200)
    odds = 25 * bill / income - 2.5 + 0.6 * (heating == "electric")
    columns = {"bill": bill, "income": income, "heating": heating}
    columns["household"] = random.choice(np.array(["single", "family"], dtype=object), 1200)
    columns["arrears"] = (random.random(1200) < 1 / (1 + np.exp(-odds))).astype(int)
    return parse_contract(files(__package__).joinpath("contract.yaml").read_text()), Table(columns)


class Network(nn.Sequential):
    """Two layers over the encoded table."""

    def forward(self, blocks):
        """Return (rows, 1) log-odds."""
        return super().forward(blocks["table"])


def network(inputs, targets, options):
    """Build the network for the encoded width."""
    return Network(nn.Linear(inputs.shapes["table"][0], 16), nn.ReLU(), nn.Linear(16, 1))


SOLUTION = TorchSolution(demo=demo, network=network)
