"""What a pretext task must do; what most do alike stands here once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from acnorm.pretraining.encoder import Blueprint
from acnorm.pretraining.views import LEAST_AREA, random_view


@dataclass(frozen=True)
class Pretext:
    """A task that needs no labels (but for supervised pretraining): a frozen dataclass whose fields a user can set.

    about: one line. paper: where it comes from. labelled: whether it needs labels.

    Examples:
        >>> Pretext.labelled
        False
    """

    about: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    labelled: ClassVar[bool] = False

    def problems(self) -> list[str]:
        """What is wrong with the settings, as "simclr.temperature is 0, must be …"."""
        return []

    def build(self, blueprint: Blueprint) -> nn.Module:
        """The network that is trained; its ``encoder`` is an ``Encoder`` or a ``DenseEncoder``."""
        raise NotImplementedError

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """The loss of a batch with ``image`` and, where labelled, ``label`` or ``mask``."""
        raise NotImplementedError

    def after_step(self, network: nn.Module, progress: float) -> None:
        """What is done after an optimiser step; ``progress`` goes from 0 to 1 over the run."""

    def show(self, network: nn.Module, images: Tensor) -> dict[str, Tensor]:
        """Rows of images [case, channel, *space] that show the task, by their captions."""
        raise NotImplementedError


@dataclass(frozen=True)
class ViewsPretext(Pretext):
    """A task that compares two random views of each image.

    Args:
        least_area: smallest share of an image's area (or volume) that a view shows.

    Examples:
        >>> import torch
        >>> list(ViewsPretext().show(nn.Identity(), torch.rand(2, 1, 8, 8)))
        ['images', 'a view', 'another view']
    """

    least_area: float = LEAST_AREA

    def view(self, images: Tensor) -> Tensor:
        """One random view of each image."""
        return random_view(images, self.least_area)

    def show(self, network: nn.Module, images: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        """The images, and two views of each."""
        return {"images": images, "a view": self.view(images), "another view": self.view(images)}
