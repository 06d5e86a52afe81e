"""MoCo v2 (He et al., CVPR 2020; Chen et al., arXiv 2003.04297): contrast with a queue of keys of earlier batches.

The authors shuffle keys over devices, so that the statistics of a part of the batch cannot tell which key belongs to
which query. Here queries and keys of a device are normalised over its whole batch each, and nothing is shuffled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from acnorm.pretraining.averaging import follow, follower_of
from acnorm.pretraining.encoder import Blueprint
from acnorm.pretraining.projection import Projected
from acnorm.pretraining.task import ViewsPretext
from acnorm.tuning.rules import Rules, at_least_one, between, positive, up_to_one


class MoCoNetwork(nn.Module):
    """A network for queries, its slow copy for keys, and the queue of keys, newest last."""

    queue: Tensor

    def __init__(self, queries: Projected, keys: int, outputs: int) -> None:
        super().__init__()
        self.encoder = queries.encoder
        self.head = queries.head
        self.keys = follower_of(queries)
        self.register_buffer("queue", functional.normalize(torch.randn(keys, outputs), dim=1))

    def forward(self, images: Tensor) -> Float[Tensor, "batch value"]:
        """Images to queries of length 1."""
        return functional.normalize(self.head(self.encoder(images)).float(), dim=1)


def info_nce(
    queries: Float[Tensor, "batch value"],
    keys: Float[Tensor, "batch value"],
    queue: Float[Tensor, "key value"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Return the mean InfoNCE of queries against their own key and all of the queue (equation 1 of MoCo).

    Args:
        queries, keys, queue: of length 1 each.
        temperature: of the similarities.

    Examples:
        >>> info_nce(torch.eye(2), torch.eye(2), -torch.eye(2), 0.01)
        tensor(0.)
    """
    own = (queries * keys).sum(dim=1, keepdim=True)
    logits = torch.cat([own, queries @ queue.T], dim=1) / temperature
    return functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))


@dataclass(frozen=True)
class MoCo(ViewsPretext):
    """Tell the key of an image's other view from a queue of others.

    Args:
        temperature: of the similarities.
        momentum: of the network for keys.
        keys: in the queue.
        hidden: width of the projector's middle.
        outputs: width of the space in which views are compared.
        least_area: smallest share of an image's area (or volume) that a view shows.

    Examples:
        >>> network = MoCo().build(Blueprint("cifar/resnet20", channels=1, dimensions=2))
        >>> MoCo().loss(network, {"image": torch.rand(4, 1, 32, 32)}).shape
        torch.Size([])
    """

    about: ClassVar[str] = "views of one image are alike, a queue of earlier ones is not"
    paper: ClassVar[str] = "He et al., CVPR 2020; Chen et al., arXiv 2003.04297"

    temperature: float = 0.2
    momentum: float = 0.99
    keys: int = 1024
    hidden: int = 256
    outputs: int = 128

    def problems(self) -> list[str]:
        """A temperature above 0, a momentum from 0 to 1, numbers from 1, a share of the area."""
        rules = Rules("moco", self)
        positive(rules, "temperature")
        between(rules, "momentum")
        at_least_one(rules, "keys", "hidden", "outputs")
        up_to_one(rules, "least_area")
        return rules.problems

    def build(self, blueprint: Blueprint) -> nn.Module:
        """Networks for queries and keys, and the queue."""
        queries = Projected(blueprint.encoder(), self.hidden, self.outputs, norm=False)
        return MoCoNetwork(queries, self.keys, self.outputs)

    def loss(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """InfoNCE; the keys of the batch go into the queue, and the oldest leave it."""
        assert isinstance(network, MoCoNetwork)
        images = batch["image"]
        queries = network(self.view(images))
        with torch.no_grad():
            keys = functional.normalize(network.keys(self.view(images)).float(), dim=1)
        loss = info_nce(queries, keys, network.queue.clone(), self.temperature)
        if network.training:
            network.queue = torch.cat([network.queue, keys.to(network.queue.dtype)])[-self.keys :]
        return loss

    def after_step(self, network: nn.Module, progress: float) -> None:  # noqa: ARG002
        """The network for keys follows that for queries."""
        assert isinstance(network, MoCoNetwork)
        follow(network.keys.encoder, network.encoder, self.momentum)  # type: ignore[arg-type]
        follow(network.keys.head, network.head, self.momentum)  # type: ignore[arg-type]
