from __future__ import annotations

import pytest
import torch
from torch import nn

from acnorm.pretraining import task
from acnorm.pretraining.task import Pretext, ViewsPretext
from pretraining_setups import FLAT, images


def test_a_task_must_say_how_it_builds_its_loss_and_what_it_shows():
    pretext = Pretext()
    for call in (
        lambda: pretext.build(FLAT),
        lambda: pretext.loss(nn.Identity(), {}),
        lambda: pretext.show(nn.Identity(), images()),
    ):
        with pytest.raises(NotImplementedError):
            call()
    assert pretext.problems() == []
    pretext.after_step(nn.Identity(), 0.5)


def test_views_are_random_views_of_the_share_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(task, "random_view", lambda given, least: given + least)
    pretext = ViewsPretext(least_area=0.75)
    assert torch.equal(pretext.view(images()), images() + 0.75)
    shown = pretext.show(nn.Identity(), images())
    assert list(shown) == ["images", "a view", "another view"]
    assert torch.equal(shown["another view"], images() + 0.75)
