from __future__ import annotations

import pytest

from acnorm.data.tasks import TASKS, find_task
from acnorm.errors import UserError
from acnorm.training.config import FinetuneConfig
from acnorm.training.finetune import command_of
from acnorm.training.settings import config_from_flags, config_from_settings

every = pytest.mark.parametrize("name", TASKS)
FLAGS = ["--data", "eyes", "--model", "cifar/resnet20", "--out", "run"]


@every
def test_a_task_sets_what_is_not_given_and_nothing_that_is(name: str):
    made = config_from_flags([*FLAGS, "--task", name])
    plain = FinetuneConfig(data="eyes", model="cifar/resnet20", out="run", task=name)
    assert made.to_dict() == plain.to_dict() | dict(TASKS[name].settings)
    assert made == config_from_settings({"data": "eyes", "model": "cifar/resnet20", "out": "run", "task": name})
    given = {"epochs": 3, "batch_size": 5, "augment": "none", "measures": "auc"}
    flags = [part for key, value in given.items() for part in (f"--{key.replace('_', '-')}", str(value))]
    for order in ([*flags, "--task", name], ["--task", name, *flags]):
        own = config_from_flags([*FLAGS, *order])
        assert own.to_dict() == made.to_dict() | given


@every
def test_the_command_of_a_run_makes_the_same_configuration(name: str):
    made = config_from_flags([*FLAGS, "--task", name, "--epochs", "20", "--seed", "3"])
    verb, *flags = command_of(made).split()[1:]
    assert verb == "finetune"
    assert config_from_flags(flags) == made


@every
def test_a_saved_configuration_is_read_back_whole(name: str):
    made = config_from_flags([*FLAGS, "--task", name, "--epochs", "3", "--patch-size", "40"])
    assert config_from_settings(made.to_dict()) == made


def test_a_name_that_is_not_known_is_told_with_the_nearest():
    with pytest.raises(UserError) as refused:
        find_task("tumour")
    assert str(refused.value).startswith("--task 'tumour' is not known; there are classification, segmentation, dr-")
    with pytest.raises(UserError, match=r"^--task 'cardiac' is not known; did you mean cardiac-segmentation\?$"):
        config_from_flags([*FLAGS, "--task", "cardiac"])


def test_named_tasks_say_what_their_volumes_are():
    told = {name: task.modality for name, task in TASKS.items() if task.modality is not None}
    assert told == {"nodule-segmentation": "CT", "liver-tumor-segmentation": "CT", "cardiac-segmentation": "MRI"}
