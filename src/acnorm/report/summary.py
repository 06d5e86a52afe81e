"""A run in words: what was trained on what, the headline figures, and what the reader must be warned of."""

from __future__ import annotations

from acnorm.data.tasks import TASKS
from acnorm.report.records import Metric, Run, SplitResult, StatisticsGap

METRIC_NAMES = {
    "macro_auc": "Macro AUC",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "quadratic_kappa": "Quadratic kappa",
    "macro_f1": "Macro F1",
    "macro_average_precision": "Macro average precision",
    "label_accuracy": "Accuracy over classes",
    "exact_match": "All classes right",
    "brier": "Brier score",
    "expected_calibration_error": "Calibration error",
    "sensitivity_at_specificity_90": "Sensitivity at 90 % specificity",
}
MEASURE_NAMES = {
    "dice": "Dice",
    "iou": "IoU",
    "hd95": "HD95",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "volume_error": "Volume error",
    "auc": "AUC",
    "cldice": "clDice",
    "global_dice": "Dice over all cases",
    "lesion_recall": "Lesions detected",
    "lesion_f1": "Lesion F1",
    "false_lesions": "False lesions a case",
    "ejection_fraction_error": "Ejection-fraction error",
}
GAP = 1.2  # of the two losses, from which it is told
MOST_HEADLINES = 4
HEADLINES = ("macro_auc", "balanced_accuracy", "accuracy", "quadratic_kappa", "macro_average_precision", "exact_match")
METHOD_NAMES = {"acnorm": "AC-Norm", "vanilla": "plain fine-tuning"}
SPLIT_NAMES = {"train": "training", "val": "validation"}
FEW_CASES = 10  # of one class in the test split
LITTLE_LOADED = 0.9


def metric_name(key: str) -> str:
    """The name of a metric as people write it.

    Examples:
        >>> metric_name("macro_auc"), metric_name("top_3_accuracy")
        ('Macro AUC', 'Top 3 accuracy')
        >>> metric_name("dice"), metric_name("hd95_LV")
        ('Mean Dice', 'HD95 LV')
    """
    if key == "dice":
        return "Mean Dice"
    if key in METRIC_NAMES:
        return METRIC_NAMES[key]
    for measure, name in MEASURE_NAMES.items():  # of one class of a label map
        if key.startswith(f"{measure}_"):
            return f"{name} {key.removeprefix(f'{measure}_')}"
    return key.replace("_", " ").capitalize()


def subject(run: Run) -> str:
    """One sentence: which network, started from what, tuned how, on which data.

    Examples:
        >>> from pathlib import Path
        >>> config = {"model": "cifar/resnet20", "method": "vanilla", "data": "eyes.npz"}
        >>> subject(Run(Path("a"), config, None, None, None, None, None, (), None))
        'cifar/resnet20, started from random weights, trained by plain fine-tuning on eyes.npz.'
    """
    config = run.config
    weights = config.get("weights")
    start = f"the checkpoint {weights}" if weights else "random weights"
    method = str(config.get("method", "an unnamed method"))
    told = [
        f"{config.get('model', 'A model')}, started from {start}",
        f"trained by {METHOD_NAMES.get(method, method)} on {config.get('data', 'unnamed data')}",
    ]
    sentence = ", ".join(told)
    if run.data is not None and "train" in run.data.counts:
        cases, classes = run.data.total("train"), len(run.data.classes)
        sentence += f": {cases} training cases in {classes} classes"
    return sentence + "."


def headline(run: Run) -> list[tuple[str, Metric]]:
    """The test metrics of the first screen; of validation where nothing was tested; none without results."""
    if run.results is None:
        return []
    metrics = next((run.results.splits[split].metrics for split in ("test", "val") if split in run.results.splits), {})
    chosen = [key for key in HEADLINES if key in metrics]
    wanted = TASKS[str(run.config.get("task"))].headline if run.config.get("task") in TASKS else ()
    if wanted:
        chosen = [
            key for start in wanted for key in metrics if key == start or (start[-1] == "_" and key.startswith(start))
        ]
    elif run.segments:
        several = sum(key.startswith("dice_") for key in metrics) > 1
        chosen = [key for key in metrics if key.startswith("dice_") or (several and key == "dice")]
        chosen += [key for key in metrics if key.startswith("hd95_")]
    return [(metric_name(key), metrics[key]) for key in chosen[:MOST_HEADLINES]]


def basis(run: Run) -> str:
    """One sentence under the headline: over how many cases and patients, and which epoch was kept.

    Examples:
        >>> from pathlib import Path
        >>> basis(Run(Path("a"), {}, None, None, None, None, None, (), None))
        ''
    """
    results = run.results
    if results is None or not results.splits:
        return ""
    name = "test" if "test" in results.splits else next(iter(results.splits))
    split = results.splits[name]
    patients = "" if split.patients is None else f" of {split.patients} patients"
    told = f"{SPLIT_NAMES.get(name, name)} split, {split.cases} cases{patients}"
    told += f"; 95 % bootstrap intervals over {results.resampled}"
    if results.best_epoch is not None:
        of = "" if results.epochs is None else f" of {results.epochs}"
        chosen = f", chosen by {_monitored(results.monitor)}" if results.monitor else ""
        told += f"; epoch {results.best_epoch}{of} kept{chosen}"
    if results.seconds is not None:
        told += f"; trained in {duration(results.seconds)}"
    return told[0].upper() + told[1:] + "."


def _monitored(monitor: str) -> str:
    split, _, metric = monitor.partition("_")
    if split != "val" or not metric:
        return monitor
    name = metric_name(metric)
    return f"validation {name[0].lower()}{name[1:]}"


def duration(seconds: float) -> str:
    """Seconds as people say them.

    Examples:
        >>> duration(42.4), duration(754), duration(7980)
        ('42 s', '12 min 34 s', '2 h 13 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def waiting(run: Run) -> float | None:
    """The share of the epochs' time that was spent waiting for data; None where it was not measured.

    Examples:
        >>> from pathlib import Path
        >>> waiting(Run(Path("a"), {}, None, None, None, None, None, (), None)) is None
        True
    """
    if run.history is None or not {"seconds", "waiting"} <= set(run.history.columns):
        return None
    total = float(run.history["seconds"].sum())
    return float(run.history["waiting"].sum()) / total if total > 0 else None


def cautions(run: Run) -> list[str]:
    """What the reader must know before believing the figures, most important first."""
    return [*_about_results(run), *_about_checkpoint(run), *_about_data(run)]


def _about_results(run: Run) -> list[str]:
    results = run.results
    if results is None:
        return ["There are no results: metrics.json is missing, so the run was interrupted or is still going."]
    told = []
    if "test" not in results.splits:
        told.append("There is no test split: the figures are those of validation, on which the epoch was chosen.")
    if results.resampled == "cases":
        told.append("Patients are unknown: intervals are over cases, and too narrow if patients have several images.")
    for name, split in results.splits.items():
        for key, metric in split.metrics.items():
            if metric.value is None:
                reason = metric.reason or "no reason was recorded"
                told.append(f"{metric_name(key)} is undefined on the {SPLIT_NAMES.get(name, name)} split: {reason}.")
        told += _about_absent(name, split)
        where = SPLIT_NAMES.get(name, name)
        told += _about_undefined(f"These {where} means leave", split)
        if split.observer is not None:
            told += _about_undefined(f"The second observer's {where} means leave", split.observer)
    told += _about_statistics(results.gap)
    last = None if run.history is None else int(run.history["epoch"].max())
    if last is not None and last > 1 and results.best_epoch == last:
        told.append("The last epoch was the best: longer training may give more.")
    return told


def _about_absent(name: str, split: SplitResult) -> list[str]:
    return [
        f"{region} is absent from {count} of {split.cases} {SPLIT_NAMES.get(name, name)} cases: Dice there is 1 where "
        "nothing was found, else 0."
        for region, count in split.absent.items()
        if count
    ]


def _about_undefined(beginning: str, split: SplitResult) -> list[str]:
    parts = [
        f"{metric_name(key)} {_left_out(key, count, split)}"
        for key, count in split.undefined.items()
        if key in split.metrics and split.metrics[key].value is not None
    ]
    missed = "out what they are not defined for, missed regions as well"
    return [f"{beginning} {missed}: {', '.join(parts)}."] if parts else []


def _left_out(key: str, count: int, split: SplitResult) -> str:
    if not key.startswith("ejection_fraction_error"):
        return f"{count} of {split.cases} cases"
    return f"{count} of {'the' if split.patients is None else split.patients} patients"


def _about_statistics(gap: StatisticsGap | None) -> list[str]:
    if gap is None or gap.running <= GAP * gap.batch:
        return []
    return [
        f"The loss on training batches is {gap.running:.3g} with running norm statistics and {gap.batch:.3g} with "
        "those of each batch: the network trains well and answers badly. Try larger batches or patches, or "
        "--norm-statistics frozen or reestimated."
    ]


def _about_checkpoint(run: Run) -> list[str]:
    load, told = run.load, []
    if load is not None and load.parameter_share is not None and load.parameter_share < LITTLE_LOADED:
        told.append(f"Only {load.parameter_share:.0%} of the parameters outside the head came from the checkpoint.")
    if load is not None and load.norm_share is not None and load.norm_share < 1:
        told.append(f"Only {load.norm_share:.0%} of the norm layers came from the checkpoint.")
    return told


def _about_data(run: Run) -> list[str]:
    if run.data is None:
        return []
    told = list(run.data.warnings)
    tested = run.data.counts.get("test", ())
    few = [f"{name} ({count})" for name, count in zip(run.data.classes, tested, strict=False) if count < FEW_CASES]
    if few:
        told.append(f"Few test cases of {', '.join(few)}: what is said of each such class is uncertain.")
    return told
