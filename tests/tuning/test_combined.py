"""Several methods at once: their hooks together, and what does not go together."""

from __future__ import annotations

import re
from itertools import combinations, permutations

import pytest
import torch

from acnorm.core.census import acnorm_layers
from acnorm.errors import UserError
from acnorm.tuning.delta import DELTA
from acnorm.tuning.method import METHODS, make_method
from tuning_setups import Training, batch_of, loss, setup_of

FREEZING = ("linear-probe", "lp-ft", "bn-only", "last-k", "gradual", "surgical")
REFUSED = [
    ("acnorm+vanilla", "vanilla is plain fine-tuning, which adds nothing; leave it out."),
    ("acnorm+acnorm", "acnorm is given twice; give it once."),
    ("l2+l2sp", "l2 and l2sp both decide where weights are drawn to; give one of the two."),
    *(
        (f"{a}+{b}", f"{a} and {b} both decide where weights are drawn to; give one of the two.")
        for a, b in (("l2", "delta"), ("delta", "l2sp"))
    ),
    ("acnorm+stochnorm", "acnorm and stochnorm both decide how norm layers normalise; give one of the two."),
    ("cotuning+lwf", "cotuning and lwf both decide what the source's head learns; give one of the two."),
    ("lrd+auto-rgn", "lrd and auto-rgn both decide the learning rates of layers; give one of the two."),
    *(
        (f"{a}+{b}", f"{a} and {b} both decide what is frozen; give one of the two.")
        for a, b in permutations(FREEZING, 2)
    ),
    *(
        (
            f"linear-probe+{name}",
            f"linear-probe trains the head alone, which leaves {name} nothing to do; leave it out.",
        )
        for name in ("acnorm", "l2sp", "lrd", "auto-rgn", "delta", "bss", "stochnorm", "cotuning", "lwf", "bi-tuning")
    ),
    ("l2sp+linear-probe", "linear-probe trains the head alone, which leaves l2sp nothing to do; leave it out."),
]


@pytest.mark.parametrize(("name", "reason"), REFUSED)
def test_what_makes_no_sense_is_refused_with_the_reason(name: str, reason: str):
    with pytest.raises(UserError, match=f"^{re.escape(f'--method {name}: {reason}')}$"):
        make_method(name)


def test_every_other_pair_trains_and_is_given_back_plain():
    refused = {frozenset(name.split("+")) for name, _ in REFUSED}
    quick, images = DELTA(head_steps=1, batches=1), batch_of("2D classifier")["image"].float()
    plain = setup_of("2D classifier", make_method("vanilla")).network.state_dict().keys()
    for first, second in combinations(METHODS, 2):
        if frozenset((first, second)) in refused or "vanilla" in (first, second):
            continue
        training = Training(
            "2D classifier", make_method(f"{first}+{second}", quick), epochs=8, dtype=torch.float32
        ).run(1, 1)
        network = training.module.method.finish(training.setup.network.eval(), images)
        assert network.state_dict().keys() == plain


def test_penalties_are_added_and_the_order_does_not_matter():
    both = [Training("2D classifier", make_method(name)).run(1) for name in ("acnorm+l2sp", "l2sp+acnorm")]
    states = [training.setup.network.state_dict() for training in both]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert len(acnorm_layers(both[0].setup.network)) == 19


def test_a_saved_state_of_several_methods_is_rebuilt():
    training = Training("2D classifier", make_method("l2sp+acnorm")).run(1)
    plain = setup_of("2D classifier", make_method("vanilla")).network
    again = training.module.method.rebuild(plain, training.setup.network.state_dict())
    batch = batch_of("2D classifier")
    assert torch.equal(loss(again.eval(), batch), loss(training.setup.network.eval(), batch))


def test_flags_are_those_of_any():
    method = make_method("acnorm+l2sp")
    assert (method.needs_weights, method.one_process) == (True, False)
    assert make_method("lp-ft+acnorm").one_process
    assert method.problems() == []
