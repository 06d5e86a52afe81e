"""The code that a pickle would run, read off its opcodes without running any."""

from __future__ import annotations

import pickletools

from acnorm.checkpoints.stand_ins import NAMES

_STRINGS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING"}
_PUTS, _GETS = {"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"}, {"GET", "BINGET", "LONG_BINGET"}
_MAGIC = 0x1950A86A20F9469CFC6C
LARGEST = 50_000_000  # bytes of a file that are worth looking at
# What plain tensors need; torch.load takes these.
_HARMLESS = (
    "collections OrderedDict",
    "_codecs encode",
    "torch._utils _rebuild",
    "torch Size",
    "torch device",
    "torch storage",
)


def code_in_pickle(data: bytes) -> tuple[str, ...]:
    """Return the names of the functions and classes that pickles ask for, but those of plain tensors
    and of values that are passed over (``stand_ins``).

    Args:
        data: a pickle, or several in a row, as in a PyTorch file of before version 1.6.

    Examples:
        >>> import pickle
        >>> code_in_pickle(pickle.dumps(eval))
        ('builtins.eval',)
    """
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


def protocol_of(data: bytes) -> int:
    """Return the protocol that a pickle says it is written in; 0 where it says none.

    Examples:
        >>> import pickle
        >>> protocol_of(pickle.dumps({"a": 1}, protocol=4))
        4
    """
    return data[1] if data[:1] == b"\x80" and len(data) > 1 else 0


def is_pickle(data: bytes) -> bool:
    """Whether bytes begin with one whole pickle, of any protocol.

    Examples:
        >>> import pickle
        >>> is_pickle(pickle.dumps({"a": 1}, protocol=0))
        True
    """
    try:
        return any(opcode.name == "STOP" for opcode, _, _ in pickletools.genops(data))
    except Exception:
        return False


def is_of_torch(data: bytes) -> bool:
    """Whether pickles begin as those of PyTorch before version 1.6 do, by a number of its own.

    Examples:
        >>> import pickle
        >>> is_of_torch(pickle.dumps({"a": 1}))
        False
    """
    try:
        return any(argument == _MAGIC for _, argument, _ in pickletools.genops(data[:64]))
    except Exception:  # the pickle is longer than that
        return False
