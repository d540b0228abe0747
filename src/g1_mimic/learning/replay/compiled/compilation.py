"""Having numba compile plain loops over numpy arrays, and keep the machine code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit
from numba.core.dispatcher import Dispatcher

Function = TypeVar("Function", bound=Callable[..., Any])

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def compiled(function: Function) -> Function:
    """Have numba compile ``function`` at its first call and keep the machine code in a file.

    The file is beside the function's own, else in the user's cache folder. Where neither can be
    written, every process compiles anew (about a second).
    """
    try:
        return njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # numba found no folder
        return njit(**OPTIONS)(function)


def load(kernels: dict[str, Any], call_all: Callable[[], None]) -> None:
    """Load or compile kernels, so that no later call can fail for want of machine code.

    Args:
        kernels: the namespace of their module.
        call_all: calls each of them with arguments of the types that it will get.
    """
    try:
        call_all()
    except Exception:
        # numba raises whatever a damaged file in its cache, or a full disk, leads to. Do without.
        for name, kernel in list(kernels.items()):
            if isinstance(kernel, Dispatcher):
                kernels[name] = njit(**OPTIONS)(kernel.py_func)
        call_all()
