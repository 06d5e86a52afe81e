"""CHASE_DB1, STARE and HRF: folders of fundus images with vessels drawn by hand, in the layouts of their releases.

    CHASE_DB1    Image_01L.jpg, Image_01L_1stHO.png, Image_01L_2ndHO.png           both eyes of 14 children
    STARE        stare-images/im0001.ppm, labels-ah/im0001.ah.ppm, labels-vk/im0001.vk.ppm
    HRF          images/01_dr.JPG, manual1/01_dr.tif, mask/01_dr_mask.tif

The first observer's vessels are the labels; the second's are kept beside. HRF comes with fields of view. No release has
splits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from acnorm.data.case import Case, Collection
from acnorm.data.formats.settle import settle
from acnorm.data.problems import Problem, faults


def detect_chase(data: Path) -> bool:
    """Whether this is the folder of CHASE_DB1."""
    return data.is_dir() and any(data.glob("Image_*_1stHO.png"))


def read_chase(data: Path) -> Collection:
    """Read CHASE_DB1; the eyes Image_01L and Image_01R are of one patient.

    Raises `DataError` with every image whose drawing is not there.
    """

    def case(image: Path) -> Case:
        mask, other = (image.with_name(f"{image.stem}_{which}HO.png") for which in ("1st", "2nd"))
        return Case(image.stem, image, 0, patient=image.stem.rstrip("LR"), mask=mask, other=other)

    return _read(data, "chase", data.glob("Image_*.jpg"), case)


def detect_stare(data: Path) -> bool:
    """Whether this is the folder of STARE's vessels."""
    return (data / "stare-images").is_dir() and (data / "labels-ah").is_dir()


def read_stare(data: Path) -> Collection:
    """Read STARE; Adam Hoover's drawings are the labels, Valentina Kouznetsova's are kept beside.

    Raises `DataError` with every image whose drawing is not there, and for each folder whose files are still packed.
    """
    folders = [data / name for name in ("stare-images", "labels-ah", "labels-vk")]
    packed = [folder for folder in folders if any(folder.glob("im*.ppm.gz"))]
    if packed:
        raise faults([_unpack(folder) for folder in packed])

    def case(image: Path) -> Case:
        mask, other = (data / f"labels-{who}" / f"{image.stem}.{who}.ppm" for who in ("ah", "vk"))
        return Case(image.stem, image, 0, mask=mask, other=other)

    return _read(data, "stare", (data / "stare-images").glob("im*.ppm"), case)


def _unpack(folder: Path) -> Problem:
    files = sorted(folder.glob("im*.ppm.gz"))
    what = f"{len(files)} files are packed (first {files[0].name})"
    return Problem(str(folder), what, f"unpack them: gunzip {folder}/*.ppm.gz")


def detect_hrf(data: Path) -> bool:
    """Whether this is the folder of HRF."""
    return (data / "images").is_dir() and (data / "manual1").is_dir() and (data / "mask").is_dir()


def read_hrf(data: Path) -> Collection:
    """Read HRF.

    Raises `DataError` with every image whose drawing or field of view is not there.
    """

    def case(image: Path) -> Case:
        mask, within = data / "manual1" / f"{image.stem}.tif", data / "mask" / f"{image.stem}_mask.tif"
        return Case(image.stem, image, 0, mask=mask, within=within)

    images = (path for path in (data / "images").iterdir() if path.suffix.lower() == ".jpg")
    return _read(data, "hrf", images, case)


def _read(data: Path, name: str, images: Iterable[Path], case: Callable[[Path], Case]) -> Collection:
    cases: list[Case] = []
    problems: list[Problem] = []
    for image in sorted(images):
        made = case(image)
        needed = [path for path in (made.mask, made.within) if path is not None and not path.is_file()]
        problems += [Problem(str(path), "no such file", "unpack the release again") for path in needed]
        if made.other is not None and not made.other.is_file():
            made = replace(made, other=None)
        if not needed:
            cases.append(made)
    return settle(Collection(tuple(cases), ("background", "vessel"), data, name), problems)
