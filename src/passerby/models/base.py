"""What every model promises to the rest of the house."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from passerby.errors import ModelError
from passerby.schema import AttributeSchema
from passerby.types import Guidance, Output

__all__ = ["AttributeModel", "check_dropout", "check_stages", "check_width", "evaluating"]


def check_dropout(dropout: object) -> None:
    """Refuse a probability of dropout that is none.

    Raises:
        ModelError: If it is no number in [0, 1).
    """
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ModelError(f"expected a dropout in [0, 1), got {dropout!r}")


def check_stages(name: str, stages: object) -> tuple[int, ...]:
    """Stages of a backbone as a tuple.

    Raises:
        ModelError: If they are not whole numbers from 1 to 4, each larger than the one before.
    """
    given = tuple(stages) if isinstance(stages, list | tuple) else None
    whole = given is not None and all(type(stage) is int and 1 <= stage <= 4 for stage in given)
    if given is None or not whole or list(given) != sorted(set(given)):
        raise ModelError(f"expected {name} from 1 to 4, ascending, got {stages!r}")
    return given


def check_width(name: str, width: object) -> None:
    """Refuse a number of channels that is none.

    Raises:
        ModelError: If it is no whole number of at least 1.
    """
    if type(width) is not int or width < 1:
        raise ModelError(f"expected {name} of at least 1, got {width!r}")


_PARSING = "mtms and da-har"  # MODELS knows them only after this module


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; then every module is in the mode in which it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


class AttributeModel(nn.Module, ABC):
    """A network that maps pictures of persons to one logit an attribute.

    Args:
        schema: The attributes, in the order of the logits.

    A subclass takes keyword arguments only, all of them plain JSON values (the bundle stores them, see
    `passerby.models.create_model`), and in evaluation mode treats each sample on its own.
    """

    name: str
    arguments: Mapping[str, Any]
    guidance: tuple[str, ...] = ()
    """Fields of `Guidance` that this model looks at; a loader prepares no others."""
    without_guidance: str = ""
    """What the model does for a picture without them, as the end of a sentence."""
    supervision: tuple[str, ...] = ()
    """Fields of `Guidance` that its criterion learns from; prediction needs none of them."""
    parsing_classes: tuple[str, ...] = ()
    """Names of the classes of its parsing maps, the background first; empty for a model that makes none."""
    has_maps: bool = False
    """Whether the output has maps to show, of attention for example."""
    probability_maps: tuple[str, ...] = ()
    """Names of those maps that are probabilities, to be drawn on one scale from 0 to 1."""
    native_map: str = ""
    """Which of those maps, or what of several, says where an attribute is; empty where none does."""
    heat_method: Literal["grad-cam-p", "native"] = "grad-cam-p"
    """How its heat maps are made if nobody says how: the way that finds more on CCP's val photos."""
    observed: tuple[str, ...] = ()
    """Submodules that hold what `observe` learnt; a training that starts from a bundle begins them anew."""

    def __init__(self, schema: AttributeSchema) -> None:
        super().__init__()
        self.schema = schema
        self._watched: dict[str, Tensor] | None = None

    @abstractmethod
    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Score pictures.

        Shape:
            images: (N, 3, H, W) float, normalised as the bundle's `Preprocess` says.
            returns: `Output` with logits (N, A) and the map (N, C, h, w) that localisation looks at.
        """

    def parse(self, images: Tensor, guidance: Guidance | None = None) -> Output:
        """Score pictures as `forward` does, and compute `Output.parsing`, which it leaves out in evaluation.

        Shape:
            images: (N, 3, H, W) float. Returns an `Output` with parsing (N, K, H, W).

        Raises:
            ModelError: If the model makes no parsing maps.
        """
        del images, guidance
        raise ModelError(f"a {self.name} model makes no parsing maps; {_PARSING} do")

    @property
    def levels_looked_at(self) -> tuple[str, ...]:
        """Of each attribute, the name under which `forward` looks at the map that its heat map lies on."""
        return ("features",) * len(self.schema)

    def capture(self, features: Tensor, level: str = "features") -> Tensor:
        """Mark a map on which heat maps can lie; `forward` goes on with what this returns.

        Shape:
            features: (N, C, h, w); returns the same.
        """
        if self._watched is None:
            return features
        torch.set_grad_enabled(True)  # until `capturing` ends: what came before needs no gradient
        self._watched[level] = features.detach().requires_grad_()
        return self._watched[level]

    @contextmanager
    def capturing(self) -> Iterator[Mapping[str, Tensor]]:
        """Have `forward` start its gradients at the maps that it looks at, and give those, by name.

        For one thread at a time.
        """
        before, grad = self._watched, torch.is_grad_enabled()
        self._watched = {}
        try:
            yield self._watched
        finally:
            self._watched = before
            torch.set_grad_enabled(grad)

    def observe(self, output: Output, labels: Tensor) -> None:
        """Look at the labels of a training batch beside the optimiser; most models have nothing to do.

        Called after the forward pass of each training step, on every process. What is learnt here belongs
        in buffers of whole numbers: they travel in checkpoints, and an average of weights takes them as they
        are.

        Shape:
            output: what `forward` returned; labels: (N, A) in {1, 0, −1}.
        """

    def explain(self, output: Output) -> Mapping[str, Tensor]:
        """Maps to show that cost more than a look at the output; most models have none.

        Shape:
            output: what `forward` returned in evaluation mode. Returns (N, A, h, w) float ≥ 0 each.
        """
        del output
        return {}

    def locate_attributes(self) -> Mapping[str, tuple[int, ...]]:
        """Tensors of the state whose first axis has an entry for some attributes: their numbers, by its name.

        Tensors with an entry for every attribute, in order, need not be named.
        """
        return {}

    def describe_state(self) -> Mapping[str, float]:
        """Numbers for the log of each epoch about what the model observed; always the same names."""
        return {}
