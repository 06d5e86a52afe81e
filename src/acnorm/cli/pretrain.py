"""``acnorm pretrain``: from images, with or without labels, to a checkpoint."""

from __future__ import annotations

import logging

from acnorm.cli.parser import Parser


def main(argv: list[str]) -> int:
    """Pretrain as the flags say and print where the checkpoint is."""
    parser = Parser("pretrain", "Make a source checkpoint from images, with or without labels.")
    parser.add_argument("--data", metavar="DATA", help="as for acnorm finetune, or a folder of images without labels")
    parser.add_argument("--method", metavar="TASK", help="pretext task; --list tells them")
    parser.add_argument("--model", help="the network whose encoder is trained; see acnorm models")
    parser.add_argument("--out", metavar="RUN", help="folder of the run; new or empty")
    parser.add_argument("--weights", metavar="FILE", help="a checkpoint to begin with")
    parser.add_argument("--minimum-share", type=float, help="least share of the encoder that must load from it (0.9)")
    parser.add_argument("--stem-rule", help="how its first convolution takes other channels, as for acnorm finetune")
    parser.add_argument("--depth-rule", help="how its 2D kernels become 3D, as for acnorm finetune")
    parser.add_argument(
        "--probe", metavar="DATA", help="labelled images whose neighbours are asked, in place of --data's"
    )
    parser.add_argument("--epochs", type=int, help="passes over the training cases (100)")
    parser.add_argument("--batch-size", type=int, help="cases a step (64)")
    parser.add_argument("--accumulate", type=int, help="batches an optimiser step (1)")
    parser.add_argument("--learning-rate", type=float, help="at the start (0.05)")
    parser.add_argument("--momentum", type=float, help="of SGD (0.9)")
    parser.add_argument("--weight-decay", type=float, help="of all parameters (1e-4)")
    parser.add_argument("--seed", type=int, help="of everything random (0)")
    parser.add_argument("--image-size", type=int, help="sides to which images are brought")
    parser.add_argument("--patch-size", type=int, help="of data with label maps: sides of the patches")
    parser.add_argument("--patches-per-case", type=int, help="of data with label maps: patches of a case an epoch (4)")
    parser.add_argument("--slices", action="store_true", help="take volumes slice by slice with a 2D network")
    parser.add_argument("--spacing", help="of volumes: millimetres to which they are resampled, or median")
    parser.add_argument("--window", help="of volumes: lowest and highest intensity, such as --window=-100,400")
    parser.add_argument("--format", help="of the data; found out where not given")
    parser.add_argument("--splits", metavar="FILE", help="split of each case; made there if it does not exist")
    parser.add_argument("--skip-bad", action="store_true", help="leave out cases that are broken")
    parser.add_argument("--workers", type=int, help="processes that read images (0)")
    parser.add_argument("--memory", type=float, help="GiB of prepared cases kept in memory (2)")
    for name in ("accelerator", "devices", "strategy", "precision"):
        parser.add_argument(f"--{name}", help="as for acnorm finetune")
    parser.add_argument("--nodes", type=int, help="number of machines")
    parser.add_argument("--tracker", action="append", help="tensorboard, mlflow or wandb; may be given several times")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--overwrite", action="store_true", help="delete the run in --out first")
    parser.add_argument("--list", action="store_true", help="list the pretext tasks")
    given = {
        name: value for name, value in vars(parser.parse(argv)).items() if value is not None and value is not False
    }
    if given.pop("list", False):
        print(_tasks())
        return 0
    if "tracker" in given:
        given["tracker"] = ",".join(given["tracker"])
    missing = [f"--{name}" for name in ("data", "method", "model", "out") if name not in given]
    if missing:
        parser.error(f"the following arguments are required: {', '.join(missing)}")
    logging.getLogger("acnorm").setLevel(logging.INFO)
    from acnorm.workflows import pretrain

    result = pretrain(**given)
    if result.metrics:
        from acnorm.training.pretrain import ENCODER

        for name, value in result.metrics["last_epoch"].items():
            print(f"{name}: {value:.3f}")
        print(f"checkpoint: {result.path / ENCODER}")
        print(f"report: {result.path / 'report.html'}")
    return 0


def _tasks() -> str:
    from acnorm.cli.tables import table
    from acnorm.pretraining.pretext import PRETEXTS

    rows = [["method", "what", "from"]]
    return table(rows + [[name, task.about, task.paper] for name, task in PRETEXTS.items()])
