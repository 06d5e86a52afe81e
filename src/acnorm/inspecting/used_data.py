"""Which data a run used, whether two runs used the same, and a short name for each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from acnorm.data.case import UNUSED
from acnorm.errors import UserError
from acnorm.training.run_folder import RunFolder


@dataclass(frozen=True)
class UsedData:
    """What the folder of a run tells of its data.

    path: absolute, as the run was given it. fingerprint: of the cases that are in a split; empty where the run has
    none. splits: the split of each case by its id, "unused" for those left out; empty where the run does not say it.

    Examples:
        >>> UsedData(Path("/eyes.npz"), "", {"a": "train", "b": "unused"}).whole
        False
    """

    path: Path
    fingerprint: str = ""
    splits: Mapping[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether no case was left out, so that the fingerprint is that of all of them."""
        return UNUSED not in self.splits.values()

    @property
    def mark(self) -> str:
        """A few letters that tell the data from others of the same path."""
        return (self.fingerprint or hashlib.sha256(repr(sorted(self.splits)).encode()).hexdigest())[:8]


def used_data(run: RunFolder, data: str) -> UsedData:
    """Read what the folder of a run tells of its data.

    Args:
        run: the folder.
        data: the path in its settings.

    Raises:
        UserError: a damaged file in it.

    Examples:
        >>> used_data(RunFolder(Path("nowhere")), "/eyes.npz")
        UsedData(path=PosixPath('/eyes.npz'), fingerprint='', splits={})
    """
    about = run.read_json("data.json") if (run.path / "data.json").is_file() else {}
    content = run.read_json(run.splits.name) if run.splits.is_file() else {"cases": {}}
    splits = content.get("cases") if isinstance(content, dict) else None
    if not isinstance(splits, dict):
        raise UserError(f"{run.splits}: is damaged (no 'cases' from id to split); run acnorm finetune again.")
    return UsedData(Path(data).absolute(), str(about.get("fingerprint", "")), splits)


def same_data(first: UsedData, second: UsedData) -> bool:
    """Return whether two runs used the same data: the same content, wherever it lies.

    Where that is not known of one of them, or one left cases out, it takes the same path and the same ids.

    Examples:
        >>> one, copy = UsedData(Path("/a/eyes.npz"), "12fc"), UsedData(Path("/b/eyes.npz"), "12fc")
        >>> same_data(one, copy), same_data(one, UsedData(Path("/a/eyes.npz"), "82fc"))
        (True, False)
    """
    known = bool(first.fingerprint and second.fingerprint)
    if known and (first.fingerprint == second.fingerprint or (first.whole and second.whole)):
        return first.fingerprint == second.fingerprint
    unlike = first.splits and second.splits and first.splits.keys() != second.splits.keys()
    return first.path.resolve() == second.path.resolve() and not unlike


def names_of(used: Sequence[UsedData]) -> list[str]:
    """Return a name for the data of each run: as few words of the path as tell it from other data.

    Data of one path that are not the same bear the first letters of their fingerprints behind the name.

    Examples:
        >>> paths = ("/eyes.npz", "/a/lungs.npz", "/b/lungs.npz", "/site.A", "/site.B", "/eyes.npz")
        >>> names_of([UsedData(Path(path)) for path in paths])
        ['eyes', 'a/lungs', 'b/lungs', 'site.A', 'site.B', 'eyes']
    """
    groups: list[list[UsedData]] = []
    for data in used:
        group = next((group for group in groups if any(same_data(data, known) for known in group)), None)
        if group is None:
            groups.append([data])
        else:
            group.append(data)
    firsts = [group[0] for group in groups]
    names = {id(data): _name(group[0], firsts) for group in groups for data in group}
    return [names[id(data)] for data in used]


def _name(data: UsedData, all_data: Sequence[UsedData]) -> str:
    taken = {words for other in all_data if other.path != data.path for words in _ends(other.path)}
    name = next(words for words in _ends(data.path) if words not in taken)
    return f"{name} ({data.mark})" if sum(other.path == data.path for other in all_data) > 1 else name


def _ends(path: Path) -> Iterator[str]:
    """Ends of a path, each without and with its suffix, from the shortest to the whole."""
    parts = path.parts[1:-1]
    for length in range(len(parts) + 1):
        above = parts[len(parts) - length :]
        yield from ("/".join((*above, last)) for last in (path.stem, path.name))
    yield str(path)
