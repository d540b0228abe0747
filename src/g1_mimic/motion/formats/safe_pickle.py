"""Pickles read as data: numpy arrays and plain containers, and nothing else.

A pickle is a program, and ``pickle.load`` runs it, with every function of the machine at hand. Here
``pickletools`` takes it apart and a small stack machine follows only the instructions that build
numbers, strings, lists, tuples, dictionaries and numpy arrays; anything else is refused by name
before it happens. joblib's files are pickles in which the bytes of an array follow, aligned, right
after the object that describes it.
"""

from __future__ import annotations

import io
import pickletools
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from g1_mimic.errors import BadValue, read_error
from g1_mimic.motion.formats.pickled_arrays import (
    BUILDERS,
    GLOBALS,
    NDARRAY,
    WRAPPER,
    ArrayBuilder,
    DtypeBuilder,
    Refusal,
    build_array,
    finished,
    size_of,
)
from g1_mimic.motion.trajectory import one_line

_MAX_BYTES = 1 << 29
"""Of a file, also when it is decompressed."""
_MAX_STEPS = 4_000_000
"""Instructions; a clip takes some hundreds, one with a list per frame some ten thousands."""
_FLOATS = np.dtype([("opcode", "u1"), ("value", ">f8")])

_LITERALS = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
})  # fmt: skip
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_CONTAINERS: dict[str, type] = {"EMPTY_LIST": list, "EMPTY_DICT": dict}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Wrapper:
    """joblib's description of an array whose bytes follow in the stream."""


def load_pickle(path: Path) -> Any:
    """Return what a pickle (protocol 0 to 5) or joblib file holds.

    Returns:
        Dictionaries, lists, tuples, strings, bytes, numbers, None and numeric numpy arrays.

    Raises:
        G1MimicError: if the file cannot be read, is damaged, is too large, or holds anything
            else.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise BadValue(f"{path} has more than {_MAX_BYTES >> 20} MB: too large for a motion")
        data = path.read_bytes()
    except OSError as error:
        raise read_error(path, error) from error
    try:
        if data[:1] == b"\x78" or data[:2] == b"\x1f\x8b":
            data = _inflate(data)
        return _Machine(data).run()
    except Refusal as refusal:
        raise BadValue(f"{path} is refused: {one_line(str(refusal))}") from None
    except Exception as error:  # a damaged pickle can raise anything, and must not
        detail = one_line(f"{type(error).__name__}: {error}")
        raise BadValue(f"{path} is no readable pickle (damaged?): {detail}") from error


def _inflate(data: bytes) -> bytes:
    machine = zlib.decompressobj(wbits=47)  # zlib or gzip, whichever the header says
    plain = machine.decompress(data, _MAX_BYTES)
    if machine.unconsumed_tail:
        raise Refusal(f"it has more than {_MAX_BYTES >> 20} MB when decompressed")
    return plain


class _Machine:
    """Follows one pickle; see the module."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._stream = io.BytesIO(data)
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        # What is copied: a text that is there once could be turned into bytes a million times.
        self._budget = 4 * len(data) + 1_000_000

    def run(self) -> Any:
        stack = self._stack
        for step, (opcode, arg, _) in enumerate(pickletools.genops(self._stream)):
            if step > _MAX_STEPS:
                raise Refusal(f"it takes more than {_MAX_STEPS} steps to build")
            name = opcode.name
            if name == "BINFLOAT":
                stack.append(arg)
                self._more_floats()
            elif name in _LITERALS:
                stack.append(arg)
            elif name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            elif name in _CONTAINERS:
                stack.append(_CONTAINERS[name]())
            elif name in _TUPLES:
                self._last(_TUPLES[name])
            elif name == "STOP":
                return finished(stack.pop())
            else:
                method = getattr(self, f"_do_{name.lower()}", None)
                if method is None:
                    raise Refusal(f"the instruction {name} does not build data")
                method(arg)
        raise Refusal("it ends early")

    def _more_floats(self) -> None:
        """Take all floats that follow one another at once: lists of them are long."""
        start = self._stream.tell()
        view = np.frombuffer(self._data, np.uint8)[start::9]
        other = np.flatnonzero(view[:4096] != ord("G"))
        count = int(other[0]) if other.size else min(len(view), 4096)
        count = min(count, (len(self._data) - start) // 9)
        if count:
            items = np.frombuffer(self._data, _FLOATS, count, start)
            self._stack.extend(items["value"].tolist())
            self._stream.seek(start + 9 * count)

    def _to_mark(self) -> list[Any]:
        mark = self._marks.pop()
        items = [v.value if type(v) in BUILDERS else v for v in self._stack[mark:]]
        del self._stack[mark:]
        return items

    def _do_proto(self, arg: Any) -> None:
        """Protocols differ in their instructions only."""

    _do_frame = _do_proto

    def _do_mark(self, _: Any) -> None:
        self._marks.append(len(self._stack))

    def _do_pop(self, _: Any) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._stack.pop()

    def _do_pop_mark(self, _: Any) -> None:
        self._to_mark()

    def _do_list(self, _: Any) -> None:
        self._stack.append(self._to_mark())

    def _do_append(self, _: Any) -> None:
        value = self._stack.pop()
        self._expect(list).append(finished(value))

    def _do_appends(self, _: Any) -> None:
        items = self._to_mark()
        self._expect(list).extend(items)

    def _do_tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._to_mark()))

    def _last(self, count: int) -> None:
        items = tuple(map(finished, self._stack[-count:]))
        if len(items) < count:
            raise Refusal("a value is missing")
        del self._stack[-count:]
        self._stack.append(items)

    def _do_dict(self, _: Any) -> None:
        items = self._to_mark()
        self._stack.append({})
        self._set(items)

    def _do_setitem(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set([key, finished(value)])

    def _do_setitems(self, _: Any) -> None:
        self._set(self._to_mark())

    def _set(self, items: list[Any]) -> None:
        target = self._expect(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) is int:  # number of a motion
                key = str(key)
            if not isinstance(key, str):
                raise Refusal("a dictionary has a key that is no text or number")
            target[key] = value

    def _expect(self, kind: type) -> Any:
        if not self._stack or not isinstance(self._stack[-1], kind):
            raise Refusal(f"a {kind.__name__} is missing")
        return self._stack[-1]

    def _do_put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    _do_binput = _do_long_binput = _do_put

    def _do_memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _do_get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    _do_binget = _do_long_binget = _do_get

    def _do_global(self, arg: str) -> None:
        module, _, name = arg.partition(" ")
        self._push_global(module, name)

    def _do_stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise Refusal("it asks for something without a name")
        self._push_global(module, name)

    def _push_global(self, module: str, name: str) -> None:
        full = f"{module}.{name}"
        # numpy.core became numpy._core in numpy 2.
        known = full.replace("numpy._core.", "numpy.core.", 1)
        if known not in GLOBALS:
            raise Refusal(
                f"it asks for {full[:80]!r}; only numbers, texts, lists, dictionaries and numpy "
                "arrays are read"
            )
        self._stack.append(GLOBALS[known])

    def _do_reduce(self, _: Any) -> None:
        args, function = self._stack.pop(), self._stack.pop()
        # Only functions of this module, from GLOBALS, are ever on the stack.
        if not callable(function) or not isinstance(args, tuple):
            raise Refusal("it calls something that is no function")
        self._charge(args)
        self._stack.append(function(*args))

    def _charge(self, values: tuple[Any, ...]) -> None:
        self._budget -= sum(len(v) for v in values if isinstance(v, str | bytes | list | dict))
        if self._budget < 0:
            raise Refusal("it copies the same values again and again")

    def _do_newobj(self, _: Any) -> None:
        args, kind = self._stack.pop(), self._stack.pop()
        if kind is not WRAPPER or args != ():
            raise Refusal("it makes an object that is no array")
        self._stack.append(_Wrapper())

    def _do_build(self, _: Any) -> None:
        state, target = self._stack.pop(), self._stack[-1] if self._stack else None
        if isinstance(target, DtypeBuilder):
            order = state[1]
            if order not in ("<", ">", "|", "="):
                raise Refusal("a numpy dtype is damaged")
            target.value = target.value.newbyteorder(order) if order != "|" else target.value
        elif isinstance(target, ArrayBuilder):
            self._charge(state)
            _, shape, dtype, fortran, content = state
            target.value = build_array(content, dtype, shape, "F" if fortran else "C")
        elif isinstance(target, _Wrapper):
            # joblib finds a finished array where the description stood.
            self._stack[-1] = self._read_array(state)
        else:
            raise Refusal("it changes an object that is no array")

    def _read_array(self, wrapper: dict[Any, Any]) -> np.ndarray:
        if wrapper.get("subclass") is not NDARRAY:
            raise Refusal("it holds an array of a kind that is not read")
        shape, dtype = wrapper["shape"], wrapper["dtype"]
        size = size_of(shape, dtype)
        if size > len(self._data):
            raise Refusal(f"an array claims {size} bytes, more than the file has")
        if wrapper.get("numpy_array_alignment_bytes") is not None:
            # One byte says how many bytes of padding follow.
            self._stream.seek(self._stream.read(1)[0], io.SEEK_CUR)
        return build_array(self._stream.read(size), dtype, shape, wrapper["order"])
