from __future__ import annotations

from collections import deque

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from acnorm.tuning.key_queue import KeyQueue


@given(
    length=st.integers(1, 4),
    batches=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), min_size=1, max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_it_holds_what_queues_of_fixed_length_hold(length: int, batches: list[list[int]]):
    queue = KeyQueue(classes=3, length=length, size=2)
    queues = [deque(maxlen=length) for _ in range(3)]
    number = 0.0
    for labels in batches:
        keys = torch.tensor([[number + at, -number - at] for at in range(len(labels))])
        number += len(labels)
        queue.add(keys, torch.tensor(labels))
        for key, label in zip(keys.tolist(), labels, strict=True):
            queues[label].append(key)
    found, classes = queue.held()
    for label in range(3):
        assert sorted(found[classes == label].tolist()) == sorted(queues[label])


def test_a_queue_that_is_empty_holds_nothing_and_it_can_be_saved_at_any_time():
    queue = KeyQueue(classes=2, length=3, size=1)
    assert queue.held()[0].shape == (0, 1)
    queue.add(torch.ones(2, 1), torch.tensor([1, 1]))
    again = KeyQueue(classes=2, length=3, size=1)
    again.load_state_dict(queue.state_dict())
    assert torch.equal(again.held()[1], torch.tensor([1, 1]))


def test_keys_that_a_loss_has_used_may_be_replaced():
    queue = KeyQueue(classes=1, length=1, size=1)
    queue.add(torch.ones(1, 1), torch.tensor([0]))
    weight = torch.ones(1, requires_grad=True)
    value = (queue.held()[0] * weight).sum()
    queue.add(torch.full((1, 1), 5.0), torch.tensor([0]))
    value.backward()
    assert weight.grad == 1
