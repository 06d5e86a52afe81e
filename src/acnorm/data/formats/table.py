"""A CSV or Parquet table with a row for each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from acnorm.data.case import Case, Collection
from acnorm.data.formats.pairs import with_classes_of_maps
from acnorm.data.formats.rows import Rows, read_rows
from acnorm.data.formats.settle import in_strata, is_whole_number, ordered, settle, split_name
from acnorm.data.images import holds_slices, without_suffix
from acnorm.data.problems import Problem, fault, faults

SEPARATOR = "|"  # between the labels of one image, as NIH's ChestX-ray14 writes them
Check = Callable[[Rows, int, dict[str, str]], Problem | None]
_NOTHING = {"", "nan", "no finding"}
_MISSING = {"", "nan"}  # "None" and "NA" stay what they may be: the name of a class


def detect(data: Path) -> bool:
    """Whether this is a .csv, .tsv or .parquet file."""
    return data.is_file() and data.suffix.lower() in {".csv", ".tsv", ".parquet"}


def read(data: Path) -> Collection:
    """Read the cases of a table with the columns image and label, or image and mask, and optionally patient, split, id.

    Image paths count from the folder of the table; a folder of one DICOM series is a volume.
    Labels are whole numbers from 0, in that order, or names, in alphabetical order. With the column labels in the place
    of label, an image may show several classes, with a bar
    between (`Edema|Effusion`), or none (blank, or "No Finding"). Without an id column the id of a case is its image
    path as written. With the column mask and neither of these, cases have label maps; classes are then the numbers in
    the maps, as of a folder of pairs, and ids are image paths without suffix.
    Raises `DataError` with every row at fault: no label, no image, no label map, an unknown split.
    """
    table = read_rows(data)
    if "mask" in table.columns and not {"label", "labels"} & set(table.columns):
        return _of_label_maps(table)
    several = "labels" in table.columns and "label" not in table.columns
    needed = ("image", "labels" if several else "label")
    table.require(needed, "the table needs image and label (or labels, or mask), and may have patient, split and id")
    if not several:
        _label_kind(table)
    notes = () if "mask" not in table.columns else (_unread_masks(data, needed[1]),)
    sound, problems = _checked(table, (_no_image, _no_split) if several else (_no_label, _no_image, _no_split))
    if several:
        return settle(replace(_of_several(data, sound), notes=notes), problems)
    labels = [cells["label"] for cells in sound]
    classes = _classes(labels, data)
    numbers = {name: number for number, name in enumerate(classes)}
    cases = tuple(_case(data, cells, numbers[_class_name(cells["label"], classes)]) for cells in sound)
    return settle(Collection(cases, classes, data, "table", notes), problems)


def _unread_masks(data: Path, column: str) -> Problem:
    what = f"the column mask is not read, since there is a column {column}"
    return Problem(str(data), what, f"for label maps, remove the column {column}", fatal=False)


def _checked(table: Rows, checks: Sequence[Check]) -> tuple[list[dict[str, str]], list[Problem]]:
    """The rows that are sound, and what is wrong with the others."""
    problems: list[Problem] = []
    sound: list[dict[str, str]] = []
    for row, cells in table.rows:
        found = [problem for check in checks if (problem := check(table, row, cells))]
        problems += found
        if not found:
            sound.append(cells)
    return sound, problems + _half_given_splits(table)


def _of_label_maps(table: Rows) -> Collection:
    table.require(("image",), "the table needs image and mask, and may have patient, split and id")
    sound, problems = _checked(table, (_no_image, _no_mask, _no_split))
    cases = [replace(_case(table.path, cells, 0), mask=_path_of(table.path, cells["mask"])) for cells in sound]
    named = [
        case if cells.get("id") else replace(case, id=without_suffix(case.id))
        for case, cells in zip(cases, sound, strict=True)
    ]
    return with_classes_of_maps(named, table.path, "table", problems)


def _of_several(data: Path, rows: list[dict[str, str]]) -> Collection:
    named = [[name.strip() for name in cells["labels"].split(SEPARATOR)] for cells in rows]
    shown = [[name for name in names if name.lower() not in _NOTHING] for names in named]
    classes = ordered(name for names in shown for name in names)
    _refuse_twins(classes, data)
    numbers = {name: number for number, name in enumerate(classes)}
    cases = [
        replace(_case(data, cells, 0), labels=tuple(sorted({numbers[name] for name in names})))
        for cells, names in zip(rows, shown, strict=True)
    ]
    return Collection(in_strata(cases, len(classes)), classes, data, "table")


def read_unlabelled(data: Path) -> tuple[Case, ...] | None:
    """Read the cases of a table in which no row has a label, or give None where some have; their label is 0.

    Raises `DataError` with every row at fault: no image.
    """
    table = read_rows(data)
    table.require(("image",), "the table needs the column image")
    if "labels" in table.columns or any(cells.get("label", "").lower() not in _MISSING for _, cells in table.rows):
        return None
    problems = [problem for row, cells in table.rows if (problem := _no_image(table, row, cells))]
    if problems:
        raise faults(problems)
    return tuple(_case(data, cells, 0) for _, cells in table.rows)


def _case(data: Path, cells: dict[str, str], label: int) -> Case:
    return Case(
        id=cells.get("id") or cells["image"],
        image=_path_of(data, cells["image"]),
        label=label,
        patient=_given(cells, "patient"),
        split=split_name(cells.get("split", "")),
    )


def _given(cells: dict[str, str], column: str) -> str | None:
    value = cells.get(column, "")
    return None if value.lower() in _MISSING else value


def _path_of(data: Path, text: str) -> Path:
    return data.parent / text.replace("\\", "/")


def _no_label(table: Rows, row: int, cells: dict[str, str]) -> Problem | None:
    if cells["label"].lower() not in _MISSING:
        return None
    return Problem(str(table.path), f"row {row} has no label", "fill it in or remove the row")


def _no_image(table: Rows, row: int, cells: dict[str, str]) -> Problem | None:
    return _no_file(table, row, cells["image"], "image")


def _no_mask(table: Rows, row: int, cells: dict[str, str]) -> Problem | None:
    return _no_file(table, row, "" if _given(cells, "mask") is None else cells["mask"], "mask")


def _no_file(table: Rows, row: int, text: str, column: str) -> Problem | None:
    if not text:
        return Problem(str(table.path), f"row {row} names no {column}", "fill it in or remove the row")
    path = _path_of(table.path, text)
    if path.is_file() or holds_slices(path):
        return None
    if path.is_dir():
        return Problem(str(path), "a folder without DICOM files", f"name a file or a series in row {row}")
    remedy = f"correct row {row} of {table.path.name}; paths count from the folder of the table"
    return Problem(str(path), "no such file", remedy)


def _no_split(table: Rows, row: int, cells: dict[str, str]) -> Problem | None:
    value = _given(cells, "split")
    if value is None or split_name(value):
        return None
    return Problem(str(table.path), f"row {row} has the split '{value}'", "allowed are train, val and test, or blank")


def _half_given_splits(table: Rows) -> list[Problem]:
    """A blank split stands for "divide it for me", which contradicts a training set that is given."""
    splits = [(row, _given(cells, "split")) for row, cells in table.rows]
    if not any(value and split_name(value) == "train" for _, value in splits):
        return []
    return [
        Problem(str(table.path), f"row {row} has no split while others say train", "fill it in")
        for row, value in splits
        if value is None
    ]


def _label_kind(table: Rows) -> None:
    """Refuse names among numbers: a slip of the pen would reorder the grades."""
    labels = [(row, cells["label"]) for row, cells in table.rows if cells["label"].lower() not in _MISSING]
    numbers = [(row, label) for row, label in labels if is_whole_number(label)]
    names = [(row, label) for row, label in labels if not is_whole_number(label)]
    if numbers and names:
        raise fault(
            table.path,
            f"labels mix numbers (row {numbers[0][0]}: {numbers[0][1]}) and names (row {names[0][0]}: {names[0][1]})",
            "use one or the other",
        )


def _classes(labels: list[str], data: Path) -> tuple[str, ...]:
    if labels and all(is_whole_number(label) for label in labels):
        return _numbered_classes(sorted({int(float(label)) for label in labels}), len(labels), data)
    classes = ordered(labels)
    _refuse_twins(classes, data)
    return classes


def _refuse_twins(classes: tuple[str, ...], data: Path) -> None:
    by_lower: dict[str, str] = {}
    for name in classes:
        twin = by_lower.setdefault(name.lower(), name)
        if twin != name:
            raise fault(data, f"the labels '{twin}' and '{name}' differ only in case", "make them the same")


def _numbered_classes(values: list[int], cases: int, data: Path) -> tuple[str, ...]:
    low, high = values[0], values[-1]
    if low != 0 or high >= max(cases, 2):
        raise fault(data, f"labels run from {low} to {high}", "number the classes 0 to K-1, or write names")
    return tuple(str(number) for number in range(high + 1))


def _class_name(label: str, classes: tuple[str, ...]) -> str:
    return label if label in classes else str(int(float(label)))
