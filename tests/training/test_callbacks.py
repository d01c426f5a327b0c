"""The moving average against a loop over its weights."""

from __future__ import annotations

import torch
from torch import nn

from passerby.training.callbacks import _MovingAverage


class Network(nn.Module):
    """Weights, statistics, a counter, and a criterion that the average shares."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 3)
        self.norm = nn.BatchNorm1d(3)
        self.criterion = nn.BatchNorm1d(2)


def test_weights_and_statistics_are_averaged_and_counters_copied() -> None:
    torch.manual_seed(0)
    model = Network()
    average = _MovingAverage(model, decay=0.6)
    average.module.criterion = model.criterion
    expected = {name: value.clone() for name, value in average.module.state_dict().items()}
    for step in range(8):
        with torch.no_grad():
            for value in model.state_dict().values():
                value.add_(torch.randn(value.shape) if value.is_floating_point() else 1)
        average.update_parameters(model)
        decay = min(0.6, (1 + step) / (10 + step)) if step else 0.0
        for name, value in model.state_dict().items():
            follows = not value.is_floating_point() or name.startswith("criterion")
            expected[name] = value.clone() if follows else decay * expected[name] + (1 - decay) * value
    assert average.n_averaged == 8
    for name, value in average.module.state_dict().items():
        torch.testing.assert_close(value, expected[name])
        assert (value.data_ptr() == model.state_dict()[name].data_ptr()) == name.startswith("criterion")


def test_a_restored_average_continues() -> None:
    model = Network()
    first, second = (_MovingAverage(model, decay=0.9) for _ in range(2))
    first.update_parameters(model)
    second.load_state_dict(first.state_dict())
    assert second.n_averaged == 1
    with torch.no_grad():
        model.layer.weight.add_(1)
    for average in (first, second):
        average.update_parameters(model)
    assert torch.equal(first.module.layer.weight, second.module.layer.weight)
    assert not torch.equal(first.module.layer.weight, model.layer.weight)
