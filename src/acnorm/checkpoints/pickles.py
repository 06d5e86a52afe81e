"""The code that a pickle would run, read off its opcodes without running any."""

from __future__ import annotations

import pickletools
from pathlib import Path

from acnorm.checkpoints.stand_ins import NAMES

_STRINGS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING"}
_PUTS, _GETS = {"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"}, {"GET", "BINGET", "LONG_BINGET"}
_MAGIC = 0x1950A86A20F9469CFC6C
_LARGEST = 50_000_000  # bytes that are looked at
# What plain tensors need; torch.load takes these.
_HARMLESS = (
    "collections OrderedDict",
    "_codecs encode",
    "torch._utils _rebuild",
    "torch Size",
    "torch device",
    "torch storage",
)


def code_in_pickle(path: Path) -> tuple[str, ...]:
    """Return the names of the functions and classes that a file's pickles ask for, but those of plain tensors
    and of values that are passed over (``stand_ins``).

    Args:
        path: a bare pickle, or a PyTorch file of before version 1.6, which is several in a row.

    Examples:
        >>> import pickle, tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.pkl"
        >>> _ = file.write_bytes(pickle.dumps(eval))
        >>> code_in_pickle(file)
        ('builtins.eval',)
    """
    with path.open("rb") as file:
        data = file.read(_LARGEST)
    found: list[str] = []
    start = 0
    while start < len(data):
        strings: list[str] = []
        memo: dict[object, str | None] = {}
        pushed: str | None = None
        end = None
        try:
            for opcode, argument, position in pickletools.genops(data[start:]):
                if opcode.name in _STRINGS:
                    pushed = str(argument)
                    strings.append(pushed)
                elif opcode.name in _PUTS:
                    memo[len(memo) if argument is None else argument] = pushed
                elif opcode.name in _GETS:
                    pushed = memo.get(argument)
                    strings += [pushed] if pushed is not None else []
                else:
                    pushed = None
                if opcode.name in ("GLOBAL", "INST"):
                    found.append(str(argument))
                elif opcode.name == "STACK_GLOBAL" and len(strings) > 1:
                    found.append(f"{strings[-2]} {strings[-1]}")
                if opcode.name == "STOP" and position is not None:
                    end = position + 1
        except Exception:  # here the numbers of the tensors begin, or the file is damaged
            break
        if end is None:
            break
        start += end
    told = [name.replace(" ", ".") for name in found if not name.startswith(_HARMLESS) and "Storage" not in name]
    return tuple(name for name in dict.fromkeys(told) if name not in NAMES)


def is_pickle(path: Path) -> bool:
    """Whether a file begins with one whole pickle, of any protocol.

    Examples:
        >>> import pickle, tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.pkl"
        >>> _ = file.write_bytes(pickle.dumps({"a": 1}, protocol=0))
        >>> is_pickle(file)
        True
    """
    with path.open("rb") as file:
        data = file.read(_LARGEST)
    try:
        return any(opcode.name == "STOP" for opcode, _, _ in pickletools.genops(data))
    except Exception:
        return False


def is_of_torch(path: Path) -> bool:
    """Whether a file of pickles begins as PyTorch's of before version 1.6 do, by a number of its own.

    Examples:
        >>> import pickle, tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.pkl"
        >>> _ = file.write_bytes(pickle.dumps({"a": 1}))
        >>> is_of_torch(file)
        False
    """
    with path.open("rb") as file:
        data = file.read(64)
    try:
        return any(argument == _MAGIC for _, argument, _ in pickletools.genops(data))
    except Exception:  # the pickle is longer than that
        return False
