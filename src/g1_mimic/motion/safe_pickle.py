"""Pickles read as data: numpy arrays and plain containers, and nothing else.

A pickle is a program, and ``pickle.load`` runs it, with every function of the machine at hand. Here
``pickletools`` takes it apart and a small stack machine follows only the instructions that build
numbers, strings, lists, tuples, dictionaries and numpy arrays; anything else is refused by name
before it happens. joblib's files are pickles in which the bytes of an array follow, aligned, right
after the object that describes it.
"""

from __future__ import annotations

import io
import math
import pickletools
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from g1_mimic.errors import G1MimicError
from g1_mimic.motion.trajectory import one_line

_MAX_BYTES = 1 << 29
"""Of a file, also when it is decompressed."""
_MAX_STEPS = 4_000_000
"""Instructions; a clip takes some hundreds, one with a list per frame some ten thousands."""
_DTYPE = re.compile(r"[<>|=]?(?:[biu][1248]|f[248])")
_FLOATS = np.dtype([("opcode", "u1"), ("value", ">f8")])

_LITERALS = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
})  # fmt: skip
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


class _Refusal(Exception):
    """The pickle asks for something that is not data, or is damaged."""


class _Dtype:
    """A numpy dtype under construction: its byte order comes with BUILD."""

    def __init__(self, code: str) -> None:
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            raise _Refusal("it holds numpy values that are no numbers (objects or texts)")
        self.value = np.dtype(code)


class _Array:
    """A numpy array under construction: its shape and bytes come with BUILD."""

    def __init__(self) -> None:
        self.value: np.ndarray | None = None


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
            raise G1MimicError(
                f"{path} has more than {_MAX_BYTES >> 20} MB: too large for a motion"
            )
        data = path.read_bytes()
    except OSError as error:
        raise G1MimicError(f"cannot read {path}: {error.strerror}") from error
    try:
        if data[:1] == b"\x78" or data[:2] == b"\x1f\x8b":
            data = _inflate(data)
        return _Machine(data).run()
    except _Refusal as refusal:
        raise G1MimicError(f"{path} is refused: {refusal}") from None
    except Exception as error:  # a damaged pickle can raise anything, and must not
        detail = one_line(f"{type(error).__name__}: {error}")
        raise G1MimicError(f"{path} is no readable pickle (damaged?): {detail}") from error


def _inflate(data: bytes) -> bytes:
    machine = zlib.decompressobj(wbits=47)  # zlib or gzip, whichever the header says
    plain = machine.decompress(data, _MAX_BYTES)
    if machine.unconsumed_tail:
        raise _Refusal(f"it has more than {_MAX_BYTES >> 20} MB when decompressed")
    return plain


class _Machine:
    """Follows one pickle; see the module."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._stream = io.BytesIO(data)
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        stack = self._stack
        for step, (opcode, arg, _) in enumerate(pickletools.genops(self._stream)):
            if step > _MAX_STEPS:
                raise _Refusal(f"it takes more than {_MAX_STEPS} steps to build")
            name = opcode.name
            if name == "BINFLOAT":
                stack.append(arg)
                self._more_floats()
            elif name in _LITERALS:
                stack.append(arg)
            elif name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            elif name == "STOP":
                return _finished(stack.pop())
            else:
                method = getattr(self, f"_do_{name.lower()}", None)
                if method is None:
                    raise _Refusal(f"the instruction {name} does not build data")
                method(arg)
        raise _Refusal("it ends early")

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
        items = [v.value if type(v) in _BUILDERS else v for v in self._stack[mark:]]
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

    def _do_empty_list(self, _: Any) -> None:
        self._stack.append([])

    def _do_list(self, _: Any) -> None:
        self._stack.append(self._to_mark())

    def _do_append(self, _: Any) -> None:
        value = self._stack.pop()
        self._expect(list).append(_finished(value))

    def _do_appends(self, _: Any) -> None:
        items = self._to_mark()
        self._expect(list).extend(items)

    def _do_empty_tuple(self, _: Any) -> None:
        self._stack.append(())

    def _do_tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._to_mark()))

    def _last(self, count: int) -> None:
        items = tuple(map(_finished, self._stack[-count:]))
        if len(items) < count:
            raise _Refusal("a value is missing")
        del self._stack[-count:]
        self._stack.append(items)

    def _do_tuple1(self, _: Any) -> None:
        self._last(1)

    def _do_tuple2(self, _: Any) -> None:
        self._last(2)

    def _do_tuple3(self, _: Any) -> None:
        self._last(3)

    def _do_empty_dict(self, _: Any) -> None:
        self._stack.append({})

    def _do_dict(self, _: Any) -> None:
        items = self._to_mark()
        self._stack.append({})
        self._set(items)

    def _do_setitem(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set([key, _finished(value)])

    def _do_setitems(self, _: Any) -> None:
        self._set(self._to_mark())

    def _set(self, items: list[Any]) -> None:
        target = self._expect(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str):
                raise _Refusal("a dictionary has a key that is no text")
            target[key] = value

    def _expect(self, kind: type) -> Any:
        if not self._stack or not isinstance(self._stack[-1], kind):
            raise _Refusal(f"a {kind.__name__} is missing")
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
            raise _Refusal("it asks for something without a name")
        self._push_global(module, name)

    def _push_global(self, module: str, name: str) -> None:
        full = f"{module}.{name}"
        # numpy.core became numpy._core in numpy 2.
        known = full.replace("numpy._core.", "numpy.core.", 1)
        if known not in _GLOBALS:
            raise _Refusal(
                f"it asks for {full[:80]!r}; only numbers, texts, lists, dictionaries and numpy "
                "arrays are read"
            )
        self._stack.append(_GLOBALS[known])

    def _do_reduce(self, _: Any) -> None:
        args, function = self._stack.pop(), self._stack.pop()
        # Only functions of this module, from _GLOBALS, are ever on the stack.
        if not callable(function) or not isinstance(args, tuple):
            raise _Refusal("it calls something that is no function")
        self._stack.append(function(*args))

    def _do_newobj(self, _: Any) -> None:
        args, kind = self._stack.pop(), self._stack.pop()
        if kind is not _WRAPPER or args != ():
            raise _Refusal("it makes an object that is no array")
        self._stack.append(_Wrapper())

    def _do_build(self, _: Any) -> None:
        state, target = self._stack.pop(), self._stack[-1] if self._stack else None
        if isinstance(target, _Dtype):
            order = state[1]
            if order not in ("<", ">", "|", "="):
                raise _Refusal("a numpy dtype is damaged")
            target.value = target.value.newbyteorder(order) if order != "|" else target.value
        elif isinstance(target, _Array):
            _, shape, dtype, fortran, content = state
            target.value = _array(content, dtype, shape, "F" if fortran else "C")
        elif isinstance(target, _Wrapper):
            # joblib finds a finished array where the description stood.
            self._stack[-1] = self._read_array(state)
        else:
            raise _Refusal("it changes an object that is no array")

    def _read_array(self, wrapper: dict[Any, Any]) -> np.ndarray:
        if wrapper.get("subclass") is not _NDARRAY:
            raise _Refusal("it holds an array of a kind that is not read")
        shape, dtype = wrapper["shape"], wrapper["dtype"]
        size = _size(shape, dtype)
        if size > len(self._data):
            raise _Refusal(f"an array claims {size} bytes, more than the file has")
        if wrapper.get("numpy_array_alignment_bytes") is not None:
            # One byte says how many bytes of padding follow.
            self._stream.seek(self._stream.read(1)[0], io.SEEK_CUR)
        return _array(self._stream.read(size), dtype, shape, wrapper["order"])


_NDARRAY = object()
_WRAPPER = object()


def _make_dtype(code: Any, *_: Any) -> _Dtype:
    return _Dtype(code)


def _reconstruct(kind: Any, *_: Any) -> _Array:
    if kind is not _NDARRAY:
        raise _Refusal("it holds an array of a kind that is not read")
    return _Array()


def _scalar(dtype: Any, content: Any) -> Any:
    return _array(content, dtype, (1,), "C")[0]


def _encode(text: Any, encoding: Any) -> bytes:
    """Bytes in protocols 0 to 2: a text whose characters are the bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _Refusal("it holds bytes in an encoding that is not read")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    return b""


def _ordered_dict(items: Any = ()) -> dict[str, Any]:
    if not all(isinstance(key, str) for key, _ in items):
        raise _Refusal("a dictionary has a key that is no text")
    return dict(items)


# What a pickle may name, and what is done in its place: never the function that is named.
_GLOBALS: dict[str, Any] = {
    "numpy.ndarray": _NDARRAY,
    "numpy.dtype": _make_dtype,
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": lambda *args: _array(*args),
    "_codecs.encode": _encode,
    "__builtin__.bytes": _no_bytes,
    "collections.OrderedDict": _ordered_dict,
    "joblib.numpy_pickle.NumpyArrayWrapper": _WRAPPER,
}


_BUILDERS = (_Array, _Dtype)


def _finished(value: Any) -> Any:
    """Return the numpy object that a builder has built; anything else as it is."""
    return value.value if type(value) in _BUILDERS else value


def _size(shape: Any, dtype: Any) -> int:
    """Return how many bytes an array takes; Python's integers do not overflow."""
    if (
        not isinstance(dtype, np.dtype)
        or not isinstance(shape, tuple)
        or len(shape) > 8
        or not all(isinstance(n, int) and n >= 0 for n in shape)
    ):
        raise _Refusal("an array's shape or type is damaged")
    return math.prod(shape) * dtype.itemsize


def _array(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    if isinstance(shape, int):
        shape = (shape,)
    content = content.encode("latin-1") if isinstance(content, str) else content
    if not isinstance(content, bytes | bytearray):
        raise _Refusal("an array holds objects, not numbers")
    if _size(shape, dtype) != len(content):
        raise _Refusal(f"an array of shape {shape} has {len(content)} bytes")
    flat = np.frombuffer(content, dtype)
    return flat.reshape(shape, order="F" if order == "F" else "C")
