"""Tables that acnorm writes, read back: names stay the text that they are."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

_NO_NUMBER = ("", "nan", "NaN")


def read_table(file: Path, texts: Collection[str]) -> pd.DataFrame:
    """Read a CSV file; columns of text are kept as written, so that a patient may be called "NA" or "007".

    Args:
        file: with a header.
        texts: names of the columns of text, where they are there; an empty cell of them is "".

    Raises:
        ValueError: it is no such table (as pandas tells it).
        OSError: it cannot be read.

    Examples:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "t.csv"
        >>> _ = file.write_text("patient,dice\\nNA,0.5\\n007,\\n")
        >>> read_table(file, ["patient"])["patient"].tolist(), read_table(file, ["patient"])["dice"].isna().tolist()
        (['NA', '007'], [False, True])
    """
    columns = pd.read_csv(file, nrows=0).columns
    missing = {name: list(_NO_NUMBER) for name in columns if name not in texts}
    kept = {name: str for name in columns if name in texts}
    return pd.read_csv(file, dtype=kept, keep_default_na=False, na_values=missing)
