"""The pixels or voxels of one case, whatever kind of file they are in."""

from __future__ import annotations

from pathlib import Path

from acnorm.data.case import Case
from acnorm.data.decoders.archive import read_row
from acnorm.data.decoders.dicom import read_dicom
from acnorm.data.decoders.numpy_files import NUMPY, is_array_volume, read_array_image
from acnorm.data.decoders.pillow import read_with_pillow
from acnorm.data.decoders.pixels import Image
from acnorm.data.decoders.tiff import read_tiff
from acnorm.data.problems import fault

NIFTI, ITK = (".nii", ".nii.gz"), (".mha", ".mhd", ".nrrd")
DICOM = (".dcm", ".dicom")
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".ppm", ".pgm", ".gif", *DICOM, *NUMPY)

_PILLOW = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"P5\n", b"P6\n", b"GIF87a", b"GIF89a")
_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_KNOWN_OTHERS = {
    b"BM": "a BMP image",
    b"RIFF": "a WebP image",
    b"\x1f\x8b": "a gzip file",
    b"PK\x03\x04": "a zip archive",
    b"%PDF": "a PDF document",
    b"<": "a web page or XML",
    b"version https://git-lfs": "a Git LFS pointer, not the file it stands for",
}


def read_image(case: Case) -> Image:
    """Read the image of a case as float32 [channels, height, width] in 0..1: 1 channel for greys, 3 for colours.

    PNG, JPEG, GIF, TIFF, PPM, single-file DICOM, an array of NumPy (.npy, .npz) or a row of an .npz archive; but for
    arrays the content decides, not the name.
    8-bit values are divided by 255 and 16-bit values by 65535. What each kind does with windows, palettes,
    alpha and orientation stands in `acnorm.data.decoders`.

    Volumes (NIfTI, MHA, MHD, NRRD, arrays and rows of three axes) come as [1, x, y, z], files as stored; of a
    case with a box, that cube in voxels of one millimetre.

    Raises `DataError`, one line with the file and the remedy, for anything that cannot be read.

    Examples:
        >>> import tempfile, PIL.Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "eye.png"
        ...     PIL.Image.new("RGB", (5, 4), (255, 0, 0)).save(path)
        ...     image = read_image(Case(id="eye", image=path, label=0))
        >>> image.shape, image.dtype, image[:, 0, 0].tolist()
        ((3, 4, 5), dtype('float32'), [1.0, 0.0, 0.0])
    """
    if case.index is not None:
        return read_row(case.image, case.index)
    if case.box is not None:
        from acnorm.data.decoders.itk import read_box

        return read_box(case.image, case.box[:3], case.box[3])[None]
    if is_volume(case.image):
        from acnorm.data.volumes import read_volume  # which reads 2D images by this file

        return read_volume(case.image).values
    return read_file(case.image)


def is_volume(path: Path) -> bool:
    """Whether a file has the name of a volume, is an array of three axes, or is a folder: of one DICOM series.

    Examples:
        >>> is_volume(Path("scans/1.nii.gz")), is_volume(Path("eyes/1.png"))
        (True, False)
    """
    return path.name.lower().endswith((*NIFTI, *ITK)) or path.is_dir() or is_array_volume(path)


def read_file(path: Path) -> Image:
    """Read an image file; see `read_image`."""
    if path.suffix.lower() in NUMPY:
        return read_array_image(path)
    head = _head(path)
    if head.startswith(_PILLOW):
        return read_with_pillow(path)
    if head.startswith(_TIFF):
        return read_tiff(path)
    kind = next((name for start, name in _KNOWN_OTHERS.items() if head.startswith(start)), None)
    if head[128:132] == b"DICM" or (path.suffix.lower() in DICOM and kind is None):
        return read_dicom(path)
    what = f"is {kind}" if kind else f"is of no known kind (it starts with {head[:8]!r})"
    raise fault(path, what, "convert it to PNG, JPEG, TIFF or DICOM")


def is_image(path: Path) -> bool:
    """Whether a file has the name of an image or volume that can be read, or is DICOM by another name.

    Examples:
        >>> is_image(Path("eyes/1.JPG")), is_image(Path("eyes/notes.txt"))
        (True, False)
    """
    return path.suffix.lower() in SUFFIXES or is_volume(path) or is_dicom(path)


def is_dicom(path: Path) -> bool:
    """Whether a file has the name of a DICOM file or, as scanners give them any (IM000001, 1.2.840.5.1), its content.

    Examples:
        >>> is_dicom(Path("scan/001.dcm")), is_dicom(Path("scan/notes.txt"))
        (True, False)
    """
    suffix = path.suffix.lower()
    if suffix in DICOM or suffix in SUFFIXES or path.name.upper() == "DICOMDIR":
        return suffix in DICOM
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def holds_slices(folder: Path) -> bool:
    """Whether a folder holds DICOM files, as that of a series does.

    Examples:
        >>> holds_slices(Path("src/acnorm/data"))
        False
    """
    return folder.is_dir() and any(is_dicom(file) for file in folder.iterdir() if file.is_file())


def is_voxels(path: Path) -> bool:
    """Whether a file holds the voxels of the MetaImage header beside it, and is no image of its own.

    Examples:
        >>> is_voxels(Path("scans/1.raw"))
        False
    """
    return path.suffix.lower() in {".raw", ".zraw"} and path.with_suffix(".mhd").is_file()


def without_suffix(name: str) -> str:
    """The name of an image or volume without its suffix, where it has a known one; dots in numbers stay.

    Examples:
        >>> without_suffix("a/heart.nii.gz"), without_suffix("1.2.840.5.1"), without_suffix("eye.1.PNG")
        ('a/heart', '1.2.840.5.1', 'eye.1')
    """
    ends = (*NIFTI[::-1], *ITK, *SUFFIXES)
    end = next((end for end in ends if name.lower().endswith(end) and len(name) > len(end)), "")
    return name[: len(name) - len(end)]


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError as error:
        raise fault(path, f"cannot be read ({error.strerror})", "check the path and the permissions") from None
    if not head:
        raise fault(path, "the file is empty (0 bytes)", "copy or export it again")
    return head
