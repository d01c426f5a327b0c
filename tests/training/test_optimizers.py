import pytest
import torch
from torch import nn

from passerby.config import OptimizerSection, ScheduleSection
from passerby.training.optimizers import compute_lr_factor, create_optimizer, create_step_schedule


def small_net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


@pytest.mark.parametrize(
    ("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)]
)
def test_each_name_gives_its_optimiser(name: str, kind: type) -> None:
    optimizer = create_optimizer(small_net(), OptimizerSection(name=name, lr=0.01, weight_decay=0.1))
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["lr"] == 0.01
    assert optimizer.param_groups[0]["weight_decay"] == 0.1


def test_norm_and_bias_can_be_left_undecayed() -> None:
    section = OptimizerSection(weight_decay=0.1, decay_norm_and_bias=False)
    decayed, free = create_optimizer(small_net(), section).param_groups
    assert decayed["weight_decay"] == 0.1
    assert free["weight_decay"] == 0
    assert [p.ndim for p in decayed["params"]] == [2, 2]
    assert {p.ndim for p in free["params"]} == {1}
    assert len(free["params"]) == 4


def test_frozen_parameters_are_left_out() -> None:
    net = small_net()
    net[0].requires_grad_(False)
    assert len(create_optimizer(net, OptimizerSection()).param_groups[0]["params"]) == 4


def factors(schedule: ScheduleSection, steps_per_epoch: int, epochs: int) -> list[float]:
    total = steps_per_epoch * epochs
    return [
        compute_lr_factor(s, schedule, steps_per_epoch=steps_per_epoch, epochs=epochs) for s in range(total)
    ]


def test_step_multiplies_at_its_milestones() -> None:
    schedule = ScheduleSection(name="step", milestones=(1, 3), factor=0.1)
    assert factors(schedule, 2, 4) == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_inverse_time_is_that_of_keras() -> None:
    schedule = ScheduleSection(name="inverse-time", decay=0.25)
    assert factors(schedule, 2, 2) == pytest.approx([1, 1 / 1.25, 1 / 1.5, 1 / 1.75])


def test_cosine_falls_to_almost_nothing() -> None:
    values = factors(ScheduleSection(name="cosine"), 10, 10)
    assert values[0] == 1
    assert values == sorted(values, reverse=True)
    assert values[50] == pytest.approx(0.5)
    assert 0 < values[-1] < 0.001


def test_warm_up_rises_in_a_straight_line() -> None:
    values = factors(ScheduleSection(name="constant", warmup_epochs=2), 2, 4)
    assert values == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1])


def test_the_torch_scheduler_follows_the_closed_form() -> None:
    schedule = ScheduleSection(name="cosine", warmup_epochs=1)
    optimizer = create_optimizer(small_net(), OptimizerSection(lr=2.0))
    scheduler = create_step_schedule(optimizer, schedule, steps_per_epoch=3, epochs=4)
    seen = []
    for _ in range(12):
        seen.append(optimizer.param_groups[0]["lr"] / 2.0)
        optimizer.step()
        scheduler.step()
    assert seen == pytest.approx(factors(schedule, 3, 4))
