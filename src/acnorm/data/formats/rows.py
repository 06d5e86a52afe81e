"""Rows of text from a CSV or Parquet file, free of the blanks, marks and separators that spreadsheets add."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from acnorm.data.problems import fault


@dataclass(frozen=True)
class Rows:
    """A table as text: column names in lower case, and each row with the number that names it to the user.

    CSV rows are numbered as a spreadsheet does, the header being 1; Parquet rows from 1.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]

    def require(self, columns: Sequence[str], remedy: str) -> None:
        """Raise `DataError` where one of these columns is missing, naming those that exist."""
        missing = [column for column in columns if column not in self.columns]
        if missing:
            listed = ", ".join(f"'{column}'" for column in missing)
            noun = "column" if len(missing) == 1 else "columns"
            raise fault(self.path, f"no {noun} {listed} (found: {', '.join(self.columns)})", remedy)


def read_rows(path: Path) -> Rows:
    """Read a table by its suffix: .parquet, or else text separated by commas, semicolons or tabs.

    Raises `DataError` for a table that is empty, damaged, not UTF-8, or has rows longer than its header.
    """
    columns, numbered = _parquet(path) if path.suffix.lower() == ".parquet" else _text(path)
    columns = [column.strip().lower() for column in columns]
    # a trailing separator in the header makes columns without name; they hold nothing
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    if twice:
        raise fault(path, f"two columns are called '{twice[0]}'", "rename or remove one")
    rows = tuple(
        (number, {column: cell.strip() for column, cell in zip(columns, cells, strict=False) if column})
        for number, cells in numbered
        if any(cell.strip() for cell in cells)
    )
    if not rows:
        raise fault(path, "the table has no rows", "write one row for each image")
    return Rows(path, tuple(column for column in columns if column), rows)


def _text(path: Path) -> tuple[list[str], Iterable[tuple[int, list[str]]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise fault(path, f"cannot be read ({error.strerror})", "check the path") from None
    except UnicodeDecodeError:
        raise fault(path, "not text in UTF-8", "save it as CSV UTF-8") from None
    header_line = text.lstrip("\r\n").split("\n", 1)[0]
    separator = max(",;\t", key=header_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        numbered = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise fault(path, f"row {reader.line_num} cannot be read ({error})", "save it again as CSV") from None
    if not numbered:
        raise fault(path, "the table is empty", "write a header and one row for each image")
    header = numbered[0][1]
    for number, cells in numbered[1:]:
        if any(cell.strip() for cell in cells[len(header) :]):
            raise fault(
                path,
                f"row {number} has {len(cells)} cells, the header {len(header)}",
                "put quotes around cells that hold the separator",
            )
    return header, [(number, cells + [""] * (len(header) - len(cells))) for number, cells in numbered[1:]]


def _parquet(path: Path) -> tuple[list[str], Iterable[tuple[int, list[str]]]]:
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise fault(path, f"not a Parquet file that can be read ({reason})", "write it again") from None
    rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    return [str(column) for column in frame.columns], list(enumerate(rows, start=1))


def _cell(value: Any) -> str:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    # a column of whole numbers with gaps is stored as floats: patient 7 must not become 7.0
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
