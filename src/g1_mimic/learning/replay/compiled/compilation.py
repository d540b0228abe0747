"""Having numba compile plain loops over numpy arrays, and keep the machine code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def compiled(*signatures: str) -> Callable[[Function], Function]:
    """Have numba compile a function for the ``signatures`` at once, and keep the machine code.

    So no later call can fail for want of it. Without a signature it is compiled as a part of those
    that call it; they must be in the same file, whose changes make numba compile anew.

    The machine code is in a file beside the function's own, else in the user's cache folder. Where
    neither can be written, or what is there is damaged, the process compiles for itself (some
    seconds).
    """

    def compile_now(function: Any) -> Any:
        if not signatures:
            return njit(**OPTIONS)(function)
        try:
            return njit(list(signatures), cache=True, **OPTIONS)(function)
        except Exception:  # numba raises whatever a damaged file or a full disk leads to
            return njit(list(signatures), **OPTIONS)(function)

    return compile_now
