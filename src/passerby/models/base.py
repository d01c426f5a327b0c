"""The interface of every model, and checks of constructor arguments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.schema import AttributeSchema
from passerby.types import Guidance, Output

__all__ = ["AttributeModel", "check_choice", "check_dropout", "check_stages", "check_width", "evaluating"]


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse a value that is not one of the choices.

    Raises:
        ModelError: The message lists the choices.
    """
    if value not in choices:
        raise ModelError(f"no {name} {value!r}; choose one of {', '.join(choices)}")


def check_dropout(dropout: object) -> None:
    """Refuse an invalid dropout probability.

    Raises:
        ModelError: If it is not a number in [0, 1).
    """
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ModelError(f"expected a dropout in [0, 1), got {dropout!r}")


def check_stages(name: str, stages: object) -> tuple[int, ...]:
    """Stages of a backbone as a tuple.

    Raises:
        ModelError: If they are not integers from 1 to 4 in ascending order.
    """
    given = tuple(stages) if isinstance(stages, list | tuple) else None
    valid = given is not None and all(type(stage) is int and 1 <= stage <= 4 for stage in given)
    if given is None or not valid or list(given) != sorted(set(given)):
        raise ModelError(f"expected {name} from 1 to 4, ascending, got {stages!r}")
    return given


def check_width(name: str, width: object) -> None:
    """Refuse an invalid number of channels.

    Raises:
        ModelError: If it is not an integer of at least 1.
    """
    if type(width) is not int or width < 1:
        raise ModelError(f"expected {name} of at least 1, got {width!r}")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode; on exit, every module returns to its previous mode."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


class AttributeModel(nn.Module, ABC):
    """A network that maps images of pedestrians to one logit per attribute.

    A subclass takes keyword arguments only, all of them plain JSON values (bundles store them; see
    `passerby.models.create_model`). In evaluation mode, the output for a sample does not depend on the other
    samples of the batch.

    Args:
        schema: The attributes, in the order of the logits.
    """

    name: str
    arguments: Mapping[str, Any]
    shared_arguments: ClassVar[Mapping[str, Any]] = {}
    """Arguments that the constructor takes as `**shared`, with the defaults of this model."""
    guidance: tuple[str, ...] = ()
    """Fields of `Guidance` that this model takes as input; a loader prepares no others."""
    without_guidance: str = ""
    """How the model handles an image without them: a clause that follows a colon."""
    supervision: tuple[str, ...] = ()
    """Fields of `Guidance` that its loss needs in training; prediction needs none of them."""
    has_parsing: bool = False
    """Whether models of this class compute parsing maps; `parsing_classes` is that of one model."""
    parsing_classes: tuple[str, ...] = ()
    """Names of the classes in its parsing maps, the background first; empty without parsing maps."""
    has_maps: bool = False
    """Whether the output has maps to visualise, such as attention."""
    probability_maps: tuple[str, ...] = ()
    """Names of the maps that are probabilities: figures draw them on a fixed scale from 0 to 1."""
    native_map: str = ""
    """The model's native heat map: a map's name, or products (`*`) and sums (`+`) of maps; empty if none."""
    heat_method: Literal["grad-cam-p", "native"] = "grad-cam-p"
    """Default method of its heat maps: the one with the better localisation scores on CCP's val split."""
    observed: tuple[str, ...] = ()
    """Submodules with statistics from `observe`; training that starts from a bundle resets them."""

    def __init__(self, schema: AttributeSchema) -> None:
        super().__init__()
        self.schema = schema
        self._captured: dict[str, Tensor] | None = None

    @abstractmethod
    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Compute the logits.

        Shape:
            images: (N, 3, H, W) float, normalised with the bundle's `Preprocess`.
            returns: `Output` with logits (N, A) and features (N, C, h, w), from which Grad-CAM is computed.
        """

    def parse(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Like `forward`, but with `Output.parsing`, which `forward` leaves out in evaluation mode.

        Shape:
            images: (N, 3, H, W) float. Returns an `Output` with parsing (N, K, H, W).

        Raises:
            ModelError: If the model computes no parsing maps.
        """
        del images, guidance
        raise ModelError(
            f"a {self.name} model computes no parsing maps; "
            "choose a model with parsing_classes, or call `forward`"
        )

    @property
    def heat_map_levels(self) -> tuple[str, ...]:
        """For each attribute, the name of the captured features (see `capture`) under its heat map."""
        return ("features",) * len(self.schema)

    def capture(self, features: Tensor, level: str = "features") -> Tensor:
        """Register features from which heat maps can be computed; `forward` continues with the result.

        Shape:
            features: (N, C, h, w); returns the same.
        """
        if self._captured is None:
            return features
        torch.set_grad_enabled(True)  # until `capturing` ends; earlier layers need no gradient
        self._captured[level] = features.detach().requires_grad_()
        return self._captured[level]

    @contextmanager
    def capturing(self) -> Iterator[Mapping[str, Tensor]]:
        """Make `forward` start its gradients at the captured features, and yield these by name.

        Not thread-safe.
        """
        before, grad = self._captured, torch.is_grad_enabled()
        self._captured = {}
        try:
            yield self._captured
        finally:
            self._captured = before
            torch.set_grad_enabled(grad)

    def observe(self, output: Output, labels: Tensor) -> None:
        """Update statistics of the training data; most models keep none.

        Called after the forward pass of each training step, on every process. Keep such statistics in integer
        buffers: checkpoints store them, and weight averaging copies them unchanged.

        Shape:
            output: the result of `forward`; labels: (N, A) in {1, 0, −1}.
        """

    def explain(self, output: Output) -> Mapping[str, Tensor]:
        """Maps to visualise that need extra computation; most models have none.

        Shape:
            output: the result of `forward` in evaluation mode. Returns (N, A, h, w) float ≥ 0 each.
        """
        del output
        return {}

    def locate_attributes(self) -> Mapping[str, tuple[int, ...]]:
        """State tensors whose first axis covers some of the attributes: attribute indices by tensor name.

        Tensors whose first axis covers all attributes in order may be left out.
        """
        return {}

    def describe_state(self) -> Mapping[str, float]:
        """Statistics from `observe` for the log of each epoch; the names never change."""
        return {}
