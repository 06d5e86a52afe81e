"""Bi-Tuning (Zhong et al., arXiv 2011.06182): images of a class are drawn together, those of others pushed apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from acnorm.tuning.features import head_inputs, pooled
from acnorm.tuning.hooks import About, Batch, Method, Penalty, Setup
from acnorm.tuning.key_queue import KeyQueue
from acnorm.tuning.rules import Rules, at_least_one, not_negative, positive, share
from acnorm.tuning.space import Between, Space


@dataclass(frozen=True)
class BiTuning(Method):
    """Contrast images by class, both where the classifier looks at features and in a projection of them.

    The loss gains λ (L_CCE + L_CCL), the mean over the batch. Both are −1/n Σ log softmax(similarity / τ) over the last
    keys of each class, which are kept in queues; the sum is over the n of the image's own class. In L_CCE (contrastive
    cross-entropy) the similarity is that of a key to the weights of the image's class in the head, and the image's own
    feature counts as one of its class. In L_CCL (categorical contrastive learning) it is that of a key to the image,
    both projected by a new linear layer, and the image's own key counts as one. All are of length 1. Keys come from a
    copy of the network that follows it by momentum, and have no gradient. As in the authors' code, a feature is
    lengthened by a 1 for the bias, the head's weights are constants to the gradient, and the projection learns at the
    encoder's rate.

    Where we differ from it: key and query see the same augmented image, not two. The copy is in eval, with the
    network's running statistics. Queues start empty and only what they hold counts; there they start with noise. A
    batch enters the queue after its loss, all at once, and may be of any size.

    Args:
        strength: λ.
        temperature: τ.
        queue: keys of each class.
        momentum: with which the copy follows.
        size: of the projection.

    Examples:
        >>> BiTuning().problems()
        []
    """

    about: ClassVar[About] = About(
        "Zhong et al., arXiv 2011.06182",
        "1.1 to 1.3",
        "self-supervised sources, whose features are not yet sorted by class; one label a case",
    )
    space: ClassVar[Space] = {"strength": Between(0.1, 10, log=True)}

    strength: float = 1.0
    temperature: float = 0.07
    queue: int = 40
    momentum: float = 0.999
    size: int = 128

    def problems(self) -> list[str]:
        """A strength from 0, a temperature above 0, a momentum between 0 and 1, a queue and a size from 1."""
        rules = Rules("bi_tuning", self)
        not_negative(rules, "strength")
        positive(rules, "temperature")
        at_least_one(rules, "queue", "size")
        share(rules, "momentum")
        return rules.problems

    def check(self, setup: Setup) -> None:
        """One class a case."""
        if not isinstance(setup.network.get_submodule(setup.head), nn.Linear):
            raise ValueError(
                "contrasts the classes of whole images, and label maps have none; it is for classification."
            )
        labels = next(setup.plain_batches()).get("label")
        if labels is None or labels.ndim != 1 or labels.is_floating_point():
            raise ValueError("contrasts classes, for which each case must have one class.")

    def penalty(self, setup: Setup) -> Penalty:
        """Both contrasts."""
        return Contrasts(setup, self)


class Contrasts(Penalty):
    """λ times the sum of the contrasts of a batch with the keys of all classes.

    Args:
        setup: of the run.
        method: its settings.

    Examples:
        >>> network = nn.Sequential(nn.Identity(), nn.Linear(2, 3))
        >>> penalty = Contrasts(Setup(network, "1"), BiTuning(size=4))
        >>> images, labels = torch.eye(2), torch.tensor([0, 1])
        >>> with penalty.watching(network):
        ...     _ = network(images)
        >>> abs(penalty(network, {"image": images, "label": labels}).item())  # no key of another class is there yet
        0.0
    """

    new: ClassVar[bool] = False  # the authors' rate of the projection

    def __init__(self, setup: Setup, method: BiTuning) -> None:
        super().__init__()
        self.name, self._method = setup.head, method
        head = cast(nn.Linear, setup.network.get_submodule(setup.head))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(setup.seed)
            self.projection = nn.Linear(head.in_features, method.size).to(head.weight)
        self.key = deepcopy(setup.network).requires_grad_(False)
        self.key_projection = deepcopy(self.projection).requires_grad_(False)
        sizes = (head.in_features + 1, method.size)
        self.features, self.projected = (KeyQueue(head.out_features, method.queue, size) for size in sizes)
        self._kept: list[Tensor] = []
        self.train(setup.network.training)

    def train(self, mode: bool = True) -> Contrasts:
        """As of any module, but keys are computed in eval."""
        super().train(mode)
        self.key.eval()
        return self

    def learning(self) -> list[nn.Parameter]:
        """The projection; the copy follows by momentum."""
        return list(self.projection.parameters())

    @contextmanager
    def watching(self, network: nn.Module) -> Iterator[None]:
        """Keep the features."""
        with head_inputs(network, self.name) as found:
            yield
        self._kept = found

    def forward(self, network: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Both contrasts; then the keys of the batch enter the queues."""
        (kept,), self._kept = self._kept, []
        labels = batch["label"]
        self._follow(network)
        with torch.no_grad(), head_inputs(self.key, self.name) as found:
            self.key(batch["image"])
        with torch.autocast(kept.device.type, enabled=False):
            features, keys = pooled(kept), pooled(found[0])
            queries = lengthened(features), _projected(features, self.projection)
            own = lengthened(keys), _projected(keys, self.key_projection)
            weights = _class_weights(cast(nn.Linear, network.get_submodule(self.name))).to(features.dtype)[labels]
            by_class = self._contrast(weights, (queries[0] * weights).sum(dim=1), self.features, labels)
            by_image = self._contrast(queries[1], (queries[1] * own[1]).sum(dim=1), self.projected, labels)
            self.features.add(own[0], labels)
            self.projected.add(own[1], labels)
            return self._method.strength * (by_class + by_image)

    def _contrast(
        self,
        queries: Float[Tensor, "batch channel"],
        own: Float[Tensor, " batch"],
        queue: KeyQueue,
        labels: Int[Tensor, " batch"],
    ) -> Float[Tensor, ""]:
        keys, classes = queue.held()
        similarities = torch.cat([own[:, None], queries @ keys.to(queries.dtype).T], dim=1) / self._method.temperature
        alike = torch.cat([torch.ones_like(labels[:, None], dtype=torch.bool), labels[:, None] == classes], dim=1)
        return contrast(similarities, alike)

    @torch.no_grad()
    def _follow(self, network: nn.Module) -> None:
        """Move the copy towards the network."""
        pairs = [*zip(self.key.parameters(), network.parameters(), strict=True)]
        pairs += zip(self.key_projection.parameters(), self.projection.parameters(), strict=True)
        for key, now in pairs:
            key.lerp_(now.to(key.dtype), 1 - self._method.momentum)
        for key_buffer, buffer in zip(self.key.buffers(), network.buffers(), strict=True):
            key_buffer.copy_(buffer)


def contrast(similarities: Float[Tensor, "batch key"], alike: Bool[Tensor, "batch key"]) -> Float[Tensor, ""]:
    """Return −1/n Σ log softmax over the n keys of a query that are alike, the mean over the batch.

    Examples:
        >>> contrast(torch.zeros(1, 4), torch.tensor([[True, True, False, False]])).exp()
        tensor(4.)
    """
    likelihoods = similarities.log_softmax(dim=1)
    return -((likelihoods * alike).sum(dim=1) / alike.sum(dim=1)).mean()


def lengthened(features: Float[Tensor, "batch channel"]) -> Float[Tensor, "batch longer"]:
    """Return features with a 1 for the bias, of length 1.

    Examples:
        >>> lengthened(torch.tensor([[1.0, 1.0, 1.0]]))
        tensor([[0.5000, 0.5000, 0.5000, 0.5000]])
    """
    return functional.normalize(functional.pad(features, (0, 1), value=1.0), dim=1)


def _projected(features: Tensor, projection: nn.Linear) -> Tensor:
    whole = functional.linear(features, projection.weight.to(features.dtype), projection.bias.to(features.dtype))
    return functional.normalize(whole, dim=1)


def _class_weights(head: nn.Linear) -> Tensor:
    """Of each class, with its bias, of length 1 and constant."""
    weight = head.weight.detach()
    bias = weight.new_zeros(len(weight)) if head.bias is None else head.bias.detach()
    return functional.normalize(torch.cat([weight, bias[:, None]], dim=1), dim=1)
