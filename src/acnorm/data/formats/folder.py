"""A folder for each class, alone or inside `train`, `val` and `test` folders."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from acnorm.data.case import Case, Collection
from acnorm.data.formats.settle import ordered, settle, split_name
from acnorm.data.images import NIFTI, holds_slices, is_image, is_voxels
from acnorm.data.problems import Problem, fault

_LABEL_ENDINGS = {f"{word}{suffix}" for word in ("label", "gt") for suffix in NIFTI}


def detect(data: Path) -> bool:
    """Whether this is a folder with folders in it."""
    return data.is_dir() and bool(_folders(data))


def read(data: Path) -> Collection:
    """Read the cases below a folder; the id of a case is its path from there.

    A case is a file, or a folder with the files of one DICOM series.
    Classes are the folder names, ordered by value where all are numbers. Hidden files are skipped; other files
    that are no images are skipped too and counted in a note. Raises `DataError` for split folders beside class
    folders, for two folders of one split, for images further down than their class folder, and for folders of label
    maps beside their images, such as those of a release.
    """
    _refuse_releases(data)
    roots = _split_roots(data)
    class_folders = [(split, folder) for split, root in roots for folder in _folders(root)]
    classes = ordered(folder.name for _, folder in class_folders)
    cases: list[Case] = []
    problems: list[Problem] = []
    ignored: list[Path] = [path for _, root in roots for path in _files(root)]
    if roots[0][0] is not None:
        ignored += _files(data)
    for split, folder in class_folders:
        label = classes.index(folder.name)
        for path in _files(folder):
            if is_image(path):
                cases.append(Case(path.relative_to(data).as_posix(), path, label, split=split))
            else:
                ignored.append(path)
        for nested in _folders(folder):
            if holds_slices(nested):  # of one series
                cases.append(Case(nested.relative_to(data).as_posix(), nested, label, split=split))
            else:
                problems.append(_too_deep(nested))
    if not cases and not problems:
        raise fault(
            data,
            f"no PNG, JPEG, TIFF, DICOM or NIfTI image in any of its {len(class_folders)} folders",
            "give a folder that holds one folder of images for each class",
        )
    notes = (_ignored_note(data, ignored),) if ignored else ()
    return settle(Collection(tuple(cases), classes, data, "folder", notes), problems)


def _refuse_releases(data: Path) -> None:
    releases = [folder for folder in _folders(data) if any(map(_is_label_map, _files(folder)))]
    if releases:
        raise fault(
            data,
            f"its folders hold label maps ({next(filter(_is_label_map, _files(releases[0]))).name})",
            f"give one of them: {', '.join(map(str, releases[:5]))}",
        )


def _is_label_map(path: Path) -> bool:
    """Whether a file has the name by which releases tell label maps from the volumes beside them."""
    stem, mark, ending = path.name.rpartition("_")
    if ending.lower() not in _LABEL_ENDINGS:
        return False
    suffix = ending[ending.index(".") :]
    return any(path.with_name(f"{stem}{image}{suffix}").is_file() for image in ("", f"{mark}image"))


def _split_roots(data: Path) -> list[tuple[str | None, Path]]:
    """The folders that hold class folders, each with its split; `data` itself where there are no splits."""
    folders = _folders(data)
    named = [(split_name(folder.name), folder) for folder in folders]
    splits = [split for split, _ in named if split is not None]
    if not splits:
        return [(None, data)]
    if len(splits) < len(folders):
        other = next(folder.name for split, folder in named if split is None)
        raise fault(
            data,
            f"the folder '{other}' lies beside folders of splits ({', '.join(splits)})",
            "move it, or put all class folders into train, val and test",
        )
    twice = [split for split, count in Counter(splits).items() if count > 1]
    if twice:
        names = ", ".join(folder.name for split, folder in named if split == twice[0])
        raise fault(data, f"{names} are folders of one split ({twice[0]})", "merge them")
    return list(named)


def _visible(path: Path) -> bool:
    return not path.name.startswith(".") and path.name != "__MACOSX" and not is_voxels(path)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and _visible(path))


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if not path.is_dir() and _visible(path))


def _too_deep(nested: Path) -> Problem:
    return Problem(
        str(nested),
        "a folder inside a class folder",
        "move its images up, or list them in a table with a column for the patient",
    )


def _ignored_note(data: Path, ignored: list[Path]) -> Problem:
    kinds = Counter(path.suffix.lower() or "no suffix" for path in ignored)
    listed = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common(5))
    files = "1 file that is" if len(ignored) == 1 else f"{len(ignored)} files that are"
    return Problem(
        str(data),
        f"ignored {files} no image of a class ({listed}; first {ignored[0].relative_to(data)})",
        "if these are images, convert them to PNG and move them into a class folder",
        fatal=False,
    )
