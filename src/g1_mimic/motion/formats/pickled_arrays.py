"""What a pickled motion may name: numpy's arrays and types, rebuilt here instead of called.

Part of ``safe_pickle``; kept apart from the machine that follows a pickle.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

_DTYPE = re.compile(r"[<>|=]?(?:[biu][1248]|f[248]|[US][1-9][0-9]{0,3})")
"""Numbers, and texts of a fixed length: names of links and joints."""


class Refusal(Exception):
    """The pickle asks for something that is not data, or is damaged."""


class DtypeBuilder:
    """A numpy dtype under construction: its byte order comes with BUILD."""

    def __init__(self, code: str) -> None:
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            raise Refusal("it holds numpy values that are no numbers or texts (objects)")
        self.value = np.dtype(code)


class ArrayBuilder:
    """A numpy array under construction: its shape and bytes come with BUILD."""

    def __init__(self) -> None:
        self.value: np.ndarray | None = None


NDARRAY = object()
"""Stands for ``numpy.ndarray``."""
WRAPPER = object()
"""Stands for joblib's description of an array."""


def _make_dtype(code: Any, *_: Any) -> DtypeBuilder:
    return DtypeBuilder(code)


def _reconstruct(kind: Any, *_: Any) -> ArrayBuilder:
    if kind is not NDARRAY:
        raise Refusal("it holds an array of a kind that is not read")
    return ArrayBuilder()


def _scalar(dtype: Any, content: Any) -> Any:
    return build_array(content, dtype, (1,), "C")[0]


def _encode(text: Any, encoding: Any) -> bytes:
    """Bytes in protocols 0 to 2: a text whose characters are the bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Refusal("it holds bytes in an encoding that is not read")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    return b""


def _ordered_dict(items: Any = ()) -> dict[str, Any]:
    if not all(isinstance(key, str) for key, _ in items):
        raise Refusal("a dictionary has a key that is no text")
    return dict(items)


def _path(*parts: Any) -> str:
    """A path: some files have one as the name of their motion."""
    if not all(isinstance(part, str) for part in parts):
        raise Refusal("a path is damaged")
    return "/".join(parts)


# What a pickle may name, and what is done in its place: never the function that is named.
GLOBALS: dict[str, Any] = {
    "numpy.ndarray": NDARRAY,
    "numpy.dtype": _make_dtype,
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": lambda *args: build_array(*args),
    "_codecs.encode": _encode,
    "__builtin__.bytes": _no_bytes,
    "collections.OrderedDict": _ordered_dict,
    **{
        f"{module}.{kind}Path": _path
        for module in ("pathlib", "pathlib._local")
        for kind in ("Posix", "PurePosix", "Windows", "PureWindows")
    },
    "joblib.numpy_pickle.NumpyArrayWrapper": WRAPPER,
}

BUILDERS = (ArrayBuilder, DtypeBuilder)


def finished(value: Any) -> Any:
    """Return the numpy object that a builder has built; anything else as it is."""
    return value.value if type(value) in BUILDERS else value


def size_of(shape: Any, dtype: Any) -> int:
    """Return how many bytes an array takes; Python's integers do not overflow."""
    if (
        not isinstance(dtype, np.dtype)
        or not isinstance(shape, tuple)
        or len(shape) > 8
        or not all(isinstance(n, int) and n >= 0 for n in shape)
    ):
        raise Refusal("an array's shape or type is damaged")
    return math.prod(shape) * dtype.itemsize


def build_array(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """Return an array over bytes (or, from old Pythons, a text whose characters are the bytes).

    Raises:
        Refusal: if the bytes are not as many as shape and type take.
    """
    if isinstance(shape, int):
        shape = (shape,)
    content = content.encode("latin-1") if isinstance(content, str) else content
    if not isinstance(content, bytes | bytearray):
        raise Refusal("an array holds objects, not numbers")
    if size_of(shape, dtype) != len(content):
        raise Refusal(f"an array of shape {shape} has {len(content)} bytes")
    flat = np.frombuffer(content, dtype)
    return flat.reshape(shape, order="F" if order == "F" else "C")
