"""Events of processes."""

from __future__ import annotations

import signal
from typing import Any

from .._core import Event
from .matchers import ProcessMatcher


class RunningProcessEvent(Event):
    """Something that a process did."""

    name = "launch.events.process.RunningProcessEvent"

    def __init__(
        self,
        *,
        action: Any,
        name: str,
        cmd: list[str],
        cwd: str | None,
        env: dict[str, str] | None,
        pid: int,
    ) -> None:
        self.action = action
        self.process_name = name
        self.cmd = cmd
        self.cwd = cwd
        self.env = env
        self.pid = pid


class ProcessStarted(RunningProcessEvent):
    """A process has started."""

    name = "launch.events.process.ProcessStarted"


class ProcessExited(RunningProcessEvent):
    """A process has ended; ``returncode`` is negative if a signal ended it."""

    name = "launch.events.process.ProcessExited"

    def __init__(self, *, returncode: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.returncode = returncode


class ProcessIO(RunningProcessEvent):
    """A process has written ``text`` (bytes)."""

    name = "launch.events.process.ProcessIO"
    from_stdin = from_stdout = from_stderr = False

    def __init__(self, *, text: bytes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.text = text


class ProcessStdout(ProcessIO):
    """A process has written to its standard output."""

    name = "launch.events.process.ProcessStdout"
    from_stdout = True


class ProcessStderr(ProcessIO):
    """A process has written to its standard error."""

    name = "launch.events.process.ProcessStderr"
    from_stderr = True


class ProcessTargetedEvent(Event):
    """A request to the processes that ``process_matcher`` picks."""

    name = "launch.events.process.ProcessTargetedEvent"

    def __init__(self, *, process_matcher: ProcessMatcher) -> None:
        self.process_matcher = process_matcher


class ShutdownProcess(ProcessTargetedEvent):
    """The process is to end: SIGINT, and SIGTERM and SIGKILL if that does not help."""

    name = "launch.events.process.ShutdownProcess"


class SignalProcess(ProcessTargetedEvent):
    """The process is to receive a signal, given by number or by name."""

    name = "launch.events.process.SignalProcess"

    def __init__(self, *, signal_number: int | str, process_matcher: ProcessMatcher) -> None:
        super().__init__(process_matcher=process_matcher)
        self.signal = (
            signal.Signals[signal_number]
            if isinstance(signal_number, str)
            else signal.Signals(signal_number)
        )
        self.signal_name = self.signal.name
