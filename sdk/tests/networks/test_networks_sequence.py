"""Looking back: absent events do not count, and rows do not see one another."""

import torch

from verticals.networks.sequence import LookBack, flat_inputs
from verticals.plugin import Inputs


def made(rows=5, steps=4, hidden=8):
    torch.manual_seed(0)
    network = LookBack(hidden, 2).eval()
    event, past = torch.randn(rows, hidden), torch.randn(rows, steps, hidden)
    present = torch.ones(rows, steps)
    present[:, 2:] = 0.0
    return network, event, past, present


def test_absent_events_do_not_count():
    network, event, past, present = made()
    other = past.clone()
    other[:, 2:] = 100.0
    assert torch.allclose(network(event, past, present), network(event, other, present))
    other[:, 0] = 100.0
    assert not torch.allclose(network(event, past, present), network(event, other, present))


def test_where_nothing_is_present_all_rows_get_the_same():
    network, event, past, _ = made()
    found = network(event, past, torch.zeros(5, 4))
    assert torch.allclose(found, network.join.bias.expand_as(found))


def test_a_row_is_computed_apart_from_all_others():
    network, event, past, present = made()
    whole = network(event, past, present)
    for row in range(5):
        alone = network(event[[row]], past[[row]], present[[row]])
        assert torch.allclose(alone[0], whole[row], atol=1e-6)


def test_the_order_of_past_events_alone_changes_nothing():
    network, event, past, _ = made()
    present = torch.ones(5, 4)
    turned = network(event, past.flip(1), present)
    assert torch.allclose(turned, network(event, past, present), atol=1e-6)


def test_flat_inputs_leave_sequences_aside():
    inputs = Inputs(
        where={"a": ("table", slice(0, 2)), "b": ("recent", slice(0, 3))},
        shapes={"table": (2,), "recent": (4, 3)},
    )
    flat = flat_inputs(inputs)
    assert list(flat.shapes) == ["table"]
    assert list(flat.where) == ["a"]
