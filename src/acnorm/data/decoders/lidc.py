"""The XML files of LIDC-IDRI: outlines of nodules by several readers, made one label map.

Each reader outlined every nodule of 3 mm and more, slice by slice; an outline runs through the first pixels *outside*
the nodule, and one marked as no inclusion cuts a hole. Smaller nodules are points, and count for nothing here.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pydicom
import SimpleITK as sitk
from jaxtyping import Float, Int
from numpy.typing import NDArray
from skimage.draw import polygon

from acnorm.data.decoders.itk import affine_of, load_itk
from acnorm.data.decoders.series import series_files
from acnorm.data.problems import fault

SHARE = 0.5  # of the readers that must agree


def is_of_ct(path: Path) -> bool:
    """Whether an XML file holds the marks of readers of a CT: those of radiographs have another root."""
    try:
        _, root = next(ElementTree.iterparse(path, events=("start",)))
    except (ElementTree.ParseError, OSError, StopIteration):
        return False
    return _plain(root) == "LidcReadMessage"


def read_consensus(
    path: Path,
) -> tuple[Int[NDArray[np.int64], "x y z"], Float[NDArray[np.float64], "4 4"]]:
    """Read 1 where at least half of the readers marked a nodule, in RAS, on the grid of the series beside the file.

    Raises `DataError` for a file that cannot be read, and for a mark in a slice that the series lacks.
    """
    try:
        readers = [_outlines(session) for session in sessions_of(path)]
    except (ElementTree.ParseError, OSError, ValueError):
        raise cut_short(path) from None
    series = load_itk(path.parent)
    slices = {_uid(Path(file)): at for at, file in enumerate(series_files(path.parent))}
    votes = np.zeros(series.GetSize()[::-1], np.uint8)
    for reader in readers:
        marked = np.zeros(votes.shape, bool)
        for uid, inside, edge in reader:
            if uid not in slices:
                raise fault(path, f"marks the slice {uid}, which is not in the series", "download the series again")
            area = _within(edge, votes.shape[1:])
            marked[slices[uid]] = marked[slices[uid]] | area if inside else marked[slices[uid]] & ~area
        votes += marked
    agreed = sitk.GetImageFromArray((votes >= max(1.0, SHARE * len(readers))).astype(np.uint8))
    agreed.CopyInformation(series)
    turned = sitk.DICOMOrient(agreed, "RAS")
    return sitk.GetArrayFromImage(turned).astype(np.int64).transpose(2, 1, 0), affine_of(turned)


def sessions_of(path: Path) -> list[ElementTree.Element]:
    return [element for element in ElementTree.parse(path).getroot() if _plain(element) == "readingSession"]


def cut_short(path: Path) -> Exception:
    return fault(path, "is no whole XML file of marks", "download it again")


def _outlines(reader: ElementTree.Element) -> list[tuple[str, bool, NDArray[np.int64]]]:
    """The slice, whether it includes, and the points [point, (y, x)] of each outline, those that include first."""
    found = []
    for nodule in children(reader, "unblindedReadNodule"):
        for roi in children(nodule, "roi"):
            points = [(int(text_of(edge, "yCoord")), int(text_of(edge, "xCoord"))) for edge in children(roi, "edgeMap")]
            if len(points) > 1:
                inside = text_of(roi, "inclusion").upper() != "FALSE"
                found.append((text_of(roi, "imageSOP_UID"), inside, np.array(points)))
    return sorted(found, key=lambda outline: not outline[1])


def _within(edge: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    area = np.zeros(shape, bool)
    area[polygon(edge[:, 0], edge[:, 1], shape)] = True
    inner = (edge >= 0).all(axis=1) & (edge < shape).all(axis=1)
    area[tuple(edge[inner].T)] = False
    return area


def _uid(file: Path) -> str:
    return str(pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)


def children(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [child for child in element if _plain(child) == name]


def text_of(element: ElementTree.Element, name: str) -> str:
    return next(((child.text or "").strip() for child in children(element, name)), "")


def _plain(element: ElementTree.Element) -> str:
    """The name of an element without its namespace, which the release's files are not at one about."""
    return element.tag.rpartition("}")[2]
