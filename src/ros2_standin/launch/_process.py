"""Processes: started, listened to, respawned, and ended without leaving any behind."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shlex
import signal
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from . import logging as launch_logging
from ._core import (
    Action,
    EventHandler,
    LaunchContext,
    LaunchDescriptionEntity,
    SomeSubstitutionsType,
    as_list,
    describe_substitutions,
    normalize_to_list_of_substitutions,
    perform_substitutions,
)
from .conditions import evaluate_condition_expression
from .event_handlers import OnProcessExit
from .events import Shutdown
from .events.process import (
    ProcessExited,
    ProcessIO,
    ProcessStarted,
    ProcessStderr,
    ProcessStdout,
    ShutdownProcess,
    SignalProcess,
)
from .substitutions import LaunchConfiguration

Text = SomeSubstitutionsType
DRAIN_SECONDS = 1.0  # how long to wait for the last output when a grandchild keeps the pipe open
_SIGTERM_TIMEOUT = LaunchConfiguration("sigterm_timeout", default=5)
_SIGKILL_TIMEOUT = LaunchConfiguration("sigkill_timeout", default=5)

_counter = itertools.count(1)


class ExecuteProcess(Action):
    """Runs a process.

    Args:
        cmd: the words of the command line.
        prefix: words in front of it (default: the launch configuration ``launch-prefix``).
        name: label of its output (default: the executable's file name); a number is added.
        cwd: folder to run in.
        env: whole environment (default: that of the launch).
        additional_env: added to the environment.
        shell: give the command line to a shell.
        sigterm_timeout: seconds from SIGINT to SIGTERM when ending.
        sigkill_timeout: seconds from then to SIGKILL.
        emulate_tty: let it write to a pseudo-terminal, so that it writes line by line.
        output: where its output goes, see :mod:`launch.logging`.
        output_format: format of a line, with ``line`` and ``this`` (the action).
        log_cmd: log the command line.
        on_exit: entities to visit when it ends, or a function of event and context.
        respawn: start it again when it ends by itself.
        respawn_delay: seconds to wait before that.
        respawn_max_retries: how often at most; negative: without end.
    """

    def __init__(
        self,
        *,
        cmd: Iterable[Text],
        prefix: Text | None = None,
        name: Text | None = None,
        cwd: Text | None = None,
        env: dict[Any, Any] | None = None,
        additional_env: dict[Any, Any] | None = None,
        shell: bool = False,
        sigterm_timeout: Any = _SIGTERM_TIMEOUT,
        sigkill_timeout: Any = _SIGKILL_TIMEOUT,
        emulate_tty: bool = False,
        output: Text | dict[str, Any] = "log",
        output_format: str = "[{this.final_name}] {line}",
        log_cmd: bool = False,
        on_exit: Any = None,
        respawn: bool | Text = False,
        respawn_delay: float | None = None,
        respawn_max_retries: int = -1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cmd = [normalize_to_list_of_substitutions(word) for word in cmd]
        self.cwd = cwd
        self.env = env
        self.shell = shell
        self.final_name = ""
        self.process_details: dict[str, Any] | None = None
        self.return_code: int | None = None
        self._prefix = prefix
        self._name = name
        self._additional_env = additional_env or {}
        self._timeouts = [_text(sigterm_timeout), _text(sigkill_timeout)]
        self._emulate_tty = emulate_tty
        self._output = os.environ.get("OVERRIDE_LAUNCH_PROCESS_OUTPUT", output)
        self._output_format = output_format
        self._log_cmd = log_cmd
        self._on_exit = on_exit
        self._respawn = respawn
        self._respawn_delay = respawn_delay or 0.0
        self._retries_left = respawn_max_retries
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._keep: list[asyncio.Future[Any]] = []

    @property
    def process_description(self) -> ExecuteProcess:
        """Itself: where ``output_format`` of the real launch looks for ``final_name``."""
        return self

    def describe(self) -> str:
        words = ", ".join(describe_substitutions(word) for word in self.cmd)
        return f"ExecuteProcess(cmd=[{words}], cwd={self.cwd}, env={self.env}, shell={self.shell})"

    def get_sub_entities(self) -> list[LaunchDescriptionEntity]:
        return [] if callable(self._on_exit) else as_list(self._on_exit)

    def get_asyncio_future(self) -> asyncio.Future[Any] | None:
        return self._task

    def execute(self, context: LaunchContext) -> None:
        if self._task is not None:
            raise RuntimeError(f"'{self.final_name}' executed more than once: {self.describe()}")
        details = self._prepare(context)
        if context.is_shutdown:
            return
        assert context.asyncio_loop is not None
        self._logger = launch_logging.get_logger(self.final_name)
        output = self._output
        if not isinstance(output, dict):
            output = perform_substitutions(context, output)
        self._loggers = launch_logging.get_output_loggers(self.final_name, output)
        self._seconds = [float(perform_substitutions(context, t)) for t in self._timeouts]
        self._respawns = _bool(context, self._respawn)
        self._tty = _bool(
            context, context.launch_configurations.get("emulate_tty", self._emulate_tty)
        )
        self._stopping = asyncio.Event()
        self._started = asyncio.Event()
        requests = (Shutdown, ShutdownProcess, SignalProcess)
        context.register_event_handler(
            EventHandler(
                matcher=lambda event: isinstance(event, requests), entities=self._on_request
            )
        )
        if self._on_exit is not None:
            context.register_event_handler(
                OnProcessExit(target_action=self, on_exit=self._on_exit)
            )
        self._task = context.asyncio_loop.create_task(self._run(context, details))
        context.add_completion_future(self._task)

    def _prepare(self, context: LaunchContext) -> dict[str, Any]:
        """Work out the command line, the name, the folder and the environment."""
        cmd = [perform_substitutions(context, word) for word in self.cmd]
        prefix = self._prefix
        if prefix is None:
            pattern = context.launch_configurations.get("launch-prefix-filter", "")
            applies = re.match(pattern, os.path.basename(cmd[0])) is not None
            prefix = context.launch_configurations.get("launch-prefix", "") if applies else ""
        cmd = shlex.split(perform_substitutions(context, prefix)) + cmd
        name = os.path.basename(cmd[0])
        if self._name is not None:
            name = perform_substitutions(context, self._name)
        self.final_name = f"{name}-{next(_counter)}"
        env: dict[Any, Any] = dict(context.environment) if self.env is None else self.env
        return {
            "action": self,
            "name": self.final_name,
            "cmd": cmd,
            "cwd": None if self.cwd is None else perform_substitutions(context, self.cwd),
            "env": {
                perform_substitutions(context, key): perform_substitutions(context, value)
                for key, value in {**env, **self._additional_env}.items()
            },
        }

    async def _run(self, context: LaunchContext, details: dict[str, Any]) -> None:
        """Run the process, again and again where it is to be respawned."""
        try:
            while not self._stopping.is_set():
                if not await self._run_once(context, details):
                    return
                if context.is_shutdown or not self._respawns or self._retries_left == 0:
                    return
                self._retries_left -= 1
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), self._respawn_delay)
        finally:
            self._started.set()
            if self._process is not None and self._process.returncode is None:
                self._process.kill()

    async def _run_once(self, context: LaunchContext, details: dict[str, Any]) -> bool:
        """Run the process until it ends; return whether it could be started at all."""
        cmd = details["cmd"]
        shown = " ".join(word for word in cmd if word.strip())
        if self._log_cmd:
            self._logger.info(f"process details: cmd='{shown}', cwd='{details['cwd']}'")
        self._started.clear()
        ends = [os.openpty() if self._tty else os.pipe() for _ in self._loggers]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(["/bin/sh", "-c", shown] if self.shell else cmd),
                stdin=asyncio.subprocess.PIPE,
                stdout=ends[0][1],
                stderr=ends[1][1],
                cwd=details["cwd"],
                env=details["env"],
            )
        except OSError as error:
            self._logger.error(f"exception occurred while executing process: {error}")
            for read_end, _ in ends:
                os.close(read_end)
            return False
        finally:
            for _, write_end in ends:
                os.close(write_end)
        pid = self._process.pid
        details = {**details, "pid": pid}
        self.process_details = details
        self._logger.info(f"process started with pid [{pid}]")
        self._started.set()
        context.emit_event_sync(ProcessStarted(**details))
        readers = [
            asyncio.ensure_future(self._read(context, read_end, logger, event_class, details))
            for (read_end, _), logger, event_class in zip(
                ends, self._loggers, (ProcessStdout, ProcessStderr), strict=True
            )
        ]
        self.return_code = code = await self._process.wait()
        _, still_open = await asyncio.wait(readers, timeout=DRAIN_SECONDS)
        self._keep += still_open  # a grandchild may write on until the launch ends
        if code == 0:
            self._logger.info(f"process has finished cleanly [pid {pid}]")
        else:
            self._logger.error(f"process has died [pid {pid}, exit code {code}, cmd '{shown}'].")
        context.emit_event_sync(ProcessExited(returncode=code, **details))
        return True

    async def _read(
        self,
        context: LaunchContext,
        read_end: int,
        logger: Any,
        event_class: type[ProcessIO],
        details: dict[str, Any],
    ) -> None:
        """Log what the process writes, line by line, and emit it as events if anyone listens."""
        stream = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(stream)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: protocol, os.fdopen(read_end, "rb", buffering=0)
        )
        rest = b""
        try:
            while data := await stream.read(65536):
                event = event_class(text=data, **details)
                if context.would_handle_event(event):
                    context.emit_event_sync(event)
                *lines, rest = (rest + data).replace(b"\r\n", b"\n").split(b"\n")
                for line in lines:
                    self._log_line(logger, line)
        except OSError:
            pass  # how the end of a pseudo-terminal shows
        finally:
            if rest:
                self._log_line(logger, rest)
            transport.close()

    def _log_line(self, logger: Any, line: bytes) -> None:
        logger.info(self._output_format.format(line=line.decode(errors="replace"), this=self))

    def _on_request(self, event: Any, context: LaunchContext) -> None:
        if isinstance(event, Shutdown):
            # On a terminal, Ctrl-C has reached the process already.
            self._stop(send_sigint=not event.due_to_sigint or context.noninteractive)
        elif event.process_matcher(self):
            if isinstance(event, SignalProcess):
                self._signal(event.signal)
            else:
                self._stop(send_sigint=True)

    def _stop(self, *, send_sigint: bool) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            self._keep.append(asyncio.ensure_future(self._end(send_sigint)))

    async def _end(self, send_sigint: bool) -> None:
        """Ask the process to end, ever more firmly."""
        assert self._task is not None
        await self._started.wait()
        if send_sigint:
            self._signal(signal.SIGINT)
        total = 0.0
        last = signal.SIGINT
        for seconds, number in zip(
            self._seconds, (signal.SIGTERM, signal.SIGKILL), strict=True
        ):
            done, _ = await asyncio.wait([self._task], timeout=seconds)
            if done:
                return
            total += seconds
            self._logger.error(
                f"process[{self.final_name}] failed to terminate '{total:g}' seconds after "
                f"receiving '{last.name}', escalating to '{number.name}'"
            )
            self._signal(number)
            last = number

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._logger.info(f"sending signal '{number.name}' to process[{self.final_name}]")
        with suppress(ProcessLookupError):
            self._process.send_signal(number)


ExecuteLocal = ExecuteProcess


def _text(value: Any) -> Text:
    return str(value) if isinstance(value, (int, float)) else value


def _bool(context: LaunchContext, value: bool | Text) -> bool:
    return value if isinstance(value, bool) else evaluate_condition_expression(context, value)
