"""Whole runs with each method: resuming, what is refused before anything is written, and what the folder holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from acnorm.core.census import acnorm_layers
from acnorm.errors import RunError, UserError
from acnorm.report.write import write_report
from acnorm.training import finetune
from acnorm.training.finetune import command_of, run_finetune
from acnorm.training.module import FinetuneModule
from acnorm.training.norm_statistics import reestimate_statistics, training_batches
from acnorm.training.prepare import prepare_data, prepare_model
from acnorm.training.run_folder import RunFolder
from acnorm.training.settings import config_from_flags, config_from_settings
from acnorm.training.shipping import load_shipped
from acnorm.tuning.hooks import Penalty
from acnorm.tuning.method import METHODS
from tiny_runs import NETWORK, config, draw_nothing, equal, weights_of

ALL = [name for name in METHODS if name not in ("vanilla", "acnorm")]
TOGETHER = ["lp-ft+acnorm", "acnorm+delta+bss"]


class Killed(Exception):
    """Stands for a process that ends without warning."""


def made(folder: Path, out: Path, method: str, **changes: Any):
    return config(folder, out=out, weights=folder / "weights.pth", method=method, epochs=4, **changes)


def kill_in(patch: pytest.MonkeyPatch, epoch: int) -> None:
    step = FinetuneModule.training_step

    def stopping(module: FinetuneModule, batch: dict, batch_idx: int) -> torch.Tensor:
        if module.current_epoch == epoch and batch_idx == 1:
            raise Killed
        return step(module, batch, batch_idx)

    patch.setattr(FinetuneModule, "training_step", stopping)


@pytest.mark.parametrize("method", ALL + TOGETHER)
def test_resumed_equals_uninterrupted_and_the_shipped_network_is_plain(folder: Path, tmp_path: Path, method: str):
    whole = run_finetune(made(folder, tmp_path / "whole", method)).path
    with pytest.MonkeyPatch.context() as patch:
        kill_in(patch, 2)
        with pytest.raises(Killed):
            run_finetune(made(folder, tmp_path / "killed", method))
    killed = run_finetune(made(folder, tmp_path / "killed", method, resume=True)).path
    assert equal(weights_of(whole), weights_of(killed))
    assert (whole / "per_case.csv").read_text() == (killed / "per_case.csv").read_text()
    assert not acnorm_layers(load_shipped(RunFolder(whole), NETWORK).network)


def test_the_report_names_the_methods(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    draw_nothing(monkeypatch)
    run = run_finetune(made(folder, tmp_path / "run", "lp-ft+acnorm")).path
    write_report([run])
    assert "lp-ft+acnorm" in (run / "report.html").read_text()


def test_a_linear_probe_leaves_the_encoder_as_in_the_checkpoint(folder: Path, tmp_path: Path):
    run = run_finetune(made(folder, tmp_path / "run", "linear-probe")).path
    source = torch.load(folder / "weights.pth", weights_only=True)["state_dict"]
    state = weights_of(run)
    same = {name for name, value in state.items() if torch.equal(value, source[name.replace("network.", "module.")])}
    assert set(state) - same == {"network.fc.weight", "network.fc.bias"}


def test_train_loss_is_told_without_the_penalty(folder: Path, tmp_path: Path):
    still = {"learning_rate": 1e-12, "augment": "none", "weight_decay": 0}
    strong = {"l2sp": {"beta": 1e6}}
    runs = [
        run_finetune(made(folder, tmp_path / method, method, **still, **(strong if method == "l2sp" else {}))).path
        for method in ("vanilla", "l2sp")
    ]
    losses = [pd.read_csv(run / "metrics.csv")["train_loss"] for run in runs]
    assert losses[0][0] == pytest.approx(losses[1][0], rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"method": "l2sp", "weights": None}, "--method l2sp: compares with the source, or keeps it; give --weights."),
        (
            {"method": "linear-probe", "norm_statistics": "reestimated"},
            "--method linear-probe: keeps the running statistics of what is frozen, which --norm-statistics "
            "reestimated would take anew; give train or frozen.",
        ),
        (
            {"method": "last-k", "last_k": {"stages": 2}},
            "--method last-k with --model tiny_runs:tiny: last_k.stages is 2, must be below 2, the stages of its encoder.",
        ),
        (
            {"method": "surgical", "surgical": {"stage": 3}},
            "--method surgical with --model tiny_runs:tiny: surgical.stage is 3, must be from 1 to 2, the stages of its "
            "encoder.",
        ),
        (
            {"method": "gradual", "epochs": 2},
            "--method gradual with --model tiny_runs:tiny: a stage every 1 epochs frees the 2 stages of its encoder only "
            "in epoch 3; there are 2. Give more --epochs or a lower --gradual.every.",
        ),
        (
            {"method": "stochnorm", "norm_statistics": "frozen"},
            "--method stochnorm: normalises with the statistics of batches, which --norm-statistics frozen rules out; "
            "give train or reestimated.",
        ),
        (
            {"method": "bss", "bss": {"k": 8}},
            "--method bss with --model tiny_runs:tiny: bss.k is 8, must be below --batch-size 8: more would shrink all "
            "features.",
        ),
        (
            {"method": "lwf", "weights": "headless.pth"},
            "--method lwf with --model tiny_runs:tiny: needs the head that the source was trained with, and headless.pth "
            "holds no fc.weight for 8 features and two classes or more. Give a checkpoint with its head.",
        ),
        (
            {"method": "cotuning", "weights": None},
            "--method cotuning: compares with the source, or keeps it; give --weights.",
        ),
        (
            {"method": "lp-ft", "epochs": 1},
            "--method lp-ft with --model tiny_runs:tiny: the head alone and then everything take 2 epochs at least; "
            "give more --epochs.",
        ),
        (
            {"method": "bn-only", "model": "tiny_runs:without_norm", "minimum_share": 0},
            "--method bn-only with --model tiny_runs:without_norm: no norm layer with weight and bias outside the head "
            "of TinyNet.",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    folder: Path, tmp_path: Path, changes: dict[str, Any], told: str
):
    settings = {"weights": folder / "weights.pth", "out": tmp_path / "run"} | changes
    if settings["weights"] == "headless.pth":
        state = torch.load(folder / "weights.pth", weights_only=True)["state_dict"]
        torch.save({name: value for name, value in state.items() if ".fc." not in name}, tmp_path / "headless.pth")
        settings["weights"] = tmp_path / "headless.pth"
    with pytest.raises(UserError, match=f"^{re.escape(told)}$"):
        run_finetune(config(folder, **settings))
    assert not (tmp_path / "run").exists()


def test_what_changes_from_epoch_to_epoch_is_refused_on_several_processes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    two = type("Trainer", (), {"world_size": 2})()
    monkeypatch.setattr(finetune, "make_trainer", lambda *_: two)
    told = (
        "--method acnorm+lp-ft: changes what trains, or how fast, from epoch to epoch, for which there may be one "
        "process only, not 2; give --devices 1 and --nodes 1."
    )
    with pytest.raises(UserError, match=f"^{re.escape(told)}$"):
        run_finetune(made(folder, tmp_path / "run", "acnorm+lp-ft"))


def test_a_penalty_that_is_not_finite_stops_the_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Endless(Penalty):
        def forward(self, *_: object) -> torch.Tensor:
            return torch.tensor(float("inf"))

    monkeypatch.setattr("acnorm.tuning.l2sp.L2SP.penalty", lambda *_: Endless())
    with pytest.raises(
        RunError, match=r"^epoch 0, step 0: the penalty of --method l2sp is not finite; the weights are"
    ):
        run_finetune(made(folder, tmp_path / "run", "l2sp"))


def test_settings_of_methods_are_flags_and_in_the_command(tmp_path: Path):
    flags = ["--data", "d", "--model", "m", "--out", "o", "--method", "lp-ft+acnorm"]
    given = config_from_flags([*flags, "--lp-ft.share", "0.5", "--l2sp={alpha: 0.5}", "--acnorm.temperature", "2"])
    assert (given.lp_ft.share, given.l2sp.alpha, given.acnorm.temperature) == (0.5, 0.5, 2.0)
    told = command_of(given)
    assert "--lp-ft.share 0.5" in told
    assert config_from_flags(told.split()[2:]) == given


def test_a_config_of_before_the_methods_still_loads(folder: Path, tmp_path: Path):
    run = run_finetune(made(folder, tmp_path / "run", "acnorm")).path
    content = yaml.safe_load((run / "config.yaml").read_text())
    kept = {name: value for name, value in content.items() if name == "acnorm" or not isinstance(value, dict)}
    assert len(content) - len(kept) == len(
        [name for name in METHODS if name not in ("vanilla", "acnorm", "linear-probe")]
    )
    del kept["command"], kept["version"]
    assert config_from_settings(kept) == made(folder, tmp_path / "run", "acnorm")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"lp_ft": {"share": 1.0}}, "lp_ft.share is 1.0, must be above 0 and below 1."),
        ({"bn_only": {"rate": 0.0}}, "bn_only.rate is 0.0, must be above 0 and finite."),
        ({"last_k": {"stages": 0}}, "last_k.stages is 0, must be 1 or more."),
        ({"gradual": {"every": 0}}, "gradual.every is 0, must be 1 or more."),
        ({"surgical": {"stage": 0}}, "surgical.stage is 0, must be 1 or more."),
        ({"lrd": {"decay": 1.5}}, "lrd.decay is 1.5, must be above 0 and at most 1."),
        ({"auto_rgn": {"batches": 0}}, "auto_rgn.batches is 0, must be 1 or more."),
        ({"l2": {"alpha": -1.0}}, "l2.alpha is -1.0, must be 0 or more and finite."),
        ({"l2sp": {"alpha": -1.0}, "epochs": 0}, "epochs is 0, must be 1 or more; l2sp.alpha is -1.0, must be 0 or more and finite."),
        ({"bss": {"k": 0}}, "bss.k is 0, must be 1 or more."),
        ({"stochnorm": {"probability": 0.0}}, "stochnorm.probability is 0.0, must be above 0 and below 1."),
        ({"delta": {"batches": 0}}, "delta.batches is 0, must be 1 or more."),
        ({"cotuning": {"strength": -1.0}}, "cotuning.strength is -1.0, must be 0 or more and finite."),
        ({"lwf": {"temperature": 0.0}}, "lwf.temperature is 0.0, must be above 0 and finite."),
        ({"bi_tuning": {"queue": 0, "momentum": 1.0}}, "bi_tuning.queue is 0, must be 1 or more; bi_tuning.momentum is 1.0, must be above 0 and below 1."),
        ({"l2sp": 3}, "l2sp is 3, must be settings by name, such as alpha: 0.01."),
        ({"method": "l2+l2sp"}, "--method l2+l2sp: l2 and l2sp both decide where weights are drawn to; give one of the two."),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_told(tmp_path: Path, settings: dict[str, Any], told: str):
    with pytest.raises(UserError, match=f"^{re.escape(told)}$"):
        config(tmp_path, **settings)


def test_half_precision_trains(folder: Path, tmp_path: Path):
    run = run_finetune(made(folder, tmp_path / "run", "acnorm+l2sp", precision="bf16-mixed")).path
    assert all(value.isfinite().all() for value in weights_of(run).values())


def test_the_plain_network_tells_what_a_method_is_told(folder: Path, tmp_path: Path):
    settings = made(folder, tmp_path / "run", "acnorm+l2sp")
    data = prepare_data(settings)
    setup = prepare_model(settings, data).setup
    assert setup.loaded == {name for name, _ in setup.network.named_parameters() if not name.startswith("fc.")}
    assert "bn1.norm.weight" in setup.loaded
    assert (setup.head, setup.epochs, setup.batch_size, setup.source) == ("fc", 4, 8, None)
    batches = [list(setup.batches(epoch)) for epoch in (0, 0, 1)]
    assert torch.equal(batches[0][0]["image"], batches[1][0]["image"])
    assert not torch.equal(batches[0][0]["index"], batches[2][0]["index"])


def test_statistics_taken_anew_with_stochnorm_are_those_of_the_plain_network(folder: Path, tmp_path: Path):
    changes = {"norm_statistics": "reestimated", "stochnorm": {"probability": 0.5}}
    made_config = made(folder, tmp_path / "run", "stochnorm", **changes)
    run = run_finetune(made_config).path
    data = prepare_data(made_config, RunFolder(run).splits)
    plain = load_shipped(RunFolder(run), model=NETWORK).network
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    reestimate_statistics(plain, training_batches(data.train, made_config.batch_size, made_config.seed))
    for name, value in plain.state_dict().items():
        if "running" in name:
            torch.testing.assert_close(value, before[name], rtol=1e-4, atol=1e-5)


def test_public_weights_are_fetched_for_the_source_head_too(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("acnorm.training.prepare.weights_file", lambda *_: str(folder / "weights.pth"))
    wanted = config(folder, out=tmp_path / "run", weights="pretrained", method="lwf")
    assert prepare_model(wanted, prepare_data(wanted)).setup.source_head is not None
