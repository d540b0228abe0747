"""What an error that nobody foresaw does in the callbacks of a node that drives a robot."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from g1_mimic.errors import G1MimicError, in_one_line
from g1_mimic.nodes.shared.common import ERROR, Reading

AnswerT = TypeVar("AnswerT")


class Guards:
    """Makes callbacks whose errors are faults: without them the executor would end the process.

    Args:
        fail: latches a fault with a reason.
    """

    def __init__(self, fail: Callable[[str], None]) -> None:
        self._fail = fail

    def event(self, callback: Callable[..., None]) -> Callable[..., None]:
        """Return the callback of a message or a timer: any error is a fault."""

        @wraps(callback)  # rclpy looks at the signature to see what to call back with
        def guarded(*args: Any) -> None:
            try:
                callback(*args)
            except Exception as error:
                self._fail(in_one_line(error))

        return guarded

    def request(self, action: Callable[..., AnswerT]) -> Callable[..., AnswerT]:
        """Return what serves a request: a G1MimicError refuses it, any other is a fault too."""

        def guarded(*args: Any) -> AnswerT:
            try:
                return action(*args)
            except G1MimicError:
                raise
            except Exception as error:
                self._fail(in_one_line(error))
                raise G1MimicError(in_one_line(error)) from error

        return guarded

    def reading(self, read: Callable[[], Reading]) -> Callable[[], Reading]:
        """Return what reads a status: one that cannot be read is a fault, and an error itself."""

        def guarded() -> Reading:
            try:
                return read()
            except Exception as error:
                self._fail(in_one_line(error))
                return ERROR, in_one_line(error), {}

        return guarded
