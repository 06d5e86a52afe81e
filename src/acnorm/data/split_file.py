"""The file that keeps a division into splits: JSON, from the id of each case to its split."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from acnorm.data.atomic import replacing
from acnorm.data.case import SPLITS, UNUSED, Case
from acnorm.data.problems import fault
from acnorm.errors import counted

_ANEW = "delete it to have the splits made anew"
_ANOTHER = "give one that acnorm wrote, or a new name to have the splits written there"


def write_assignment(file: Path, assigned: dict[str, str], origin: str) -> None:
    """Save the split of every case id, with the sentence on where the division comes from."""
    content = {"origin": origin, "cases": dict(sorted(assigned.items()))}
    with replacing(file) as draft:
        draft.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_assignment(file: Path, cases: Sequence[Case], *, skip_bad: bool = False) -> tuple[dict[str, str], str]:
    """The split of every case as saved, "unused" for those left out, and the sentence on where it comes from.

    Training and validation cases may be divided anew, a released test set may not: raises `DataError` where the file
    takes cases out of it, is damaged or names other cases than these; more cases, where some may have been left out.
    """
    content = _content(file)
    assigned: dict[str, str] = content["cases"]
    known = {case.id for case in cases}
    strange = [] if skip_bad else sorted(assigned.keys() - known)
    _refuse_other_cases(file, strange=strange, absent=sorted(known - assigned.keys()))
    for case in cases:
        if assigned[case.id] not in (*SPLITS, UNUSED):
            allowed = ", ".join((*SPLITS, UNUSED))
            raise fault(file, f"'{case.id}' has the split '{assigned[case.id]}'", f"allowed are {allowed}")
        if case.split == "test" and assigned[case.id] != "test":
            raise fault(file, f"'{case.id}' is in {assigned[case.id]}, but in test by the data", _ANEW)
    return assigned, f"reused from {file.name}: {content.get('origin', 'of unknown origin')}"


def _content(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise fault(file, f"not a file of splits ({error})", _ANOTHER) from None
    cases = content.get("cases") if isinstance(content, dict) else None
    if not isinstance(cases, dict):
        raise fault(file, "not a file of splits (no 'cases' from id to split)", _ANOTHER)
    return dict(content)


def _refuse_other_cases(file: Path, *, strange: list[str], absent: list[str]) -> None:
    parts = []
    if strange:
        parts.append(f"names {_cases(strange)} that the data lacks ({_first(strange)})")
    if absent:
        parts.append(f"lacks {_cases(absent)} of the data ({_first(absent)})")
    if parts:
        raise fault(file, " and ".join(parts), f"{_ANEW}, or give the file that belongs to this data")


def _cases(names: Sequence[str]) -> str:
    return counted(len(names), "case")


def _first(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
