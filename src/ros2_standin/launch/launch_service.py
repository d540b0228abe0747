"""The loop that runs a launch description and its processes to their end."""

from __future__ import annotations

import asyncio
import logging
import signal
import traceback
from collections.abc import Iterable

from . import logging as launch_logging
from ._core import Event, LaunchContext, as_list, visit
from .events import IncludeLaunchDescription, Shutdown
from .launch_description import LaunchDescription


class LaunchService:
    """Runs launch descriptions.

    Args:
        argv: the command line's launch arguments, for the context.
        noninteractive: no terminal sends Ctrl-C to the processes, so the service does.
        debug: log tracebacks.
    """

    def __init__(
        self,
        *,
        argv: Iterable[str] | None = None,
        noninteractive: bool = False,
        debug: bool = False,
    ) -> None:
        launch_logging.launch_config.level = logging.DEBUG if debug else logging.INFO
        self._logger = launch_logging.get_logger("launch")
        self.context = LaunchContext(argv=argv, noninteractive=noninteractive)
        self._return_code = 0
        self._interrupted = False

    def include_launch_description(self, launch_description: LaunchDescription) -> None:
        """Add a launch description to run."""
        self.emit_event(IncludeLaunchDescription(launch_description))

    def emit_event(self, event: Event) -> None:
        """Queue an event, from any thread."""
        loop = self.context.asyncio_loop
        if loop is None:
            self.context.emit_event_sync(event)
        else:
            loop.call_soon_threadsafe(self.context.emit_event_sync, event)

    def shutdown(self) -> None:
        """End the launch, from any thread."""
        self.emit_event(Shutdown(reason="LaunchService.shutdown() called"))

    def run(self, *, shutdown_when_idle: bool = True) -> int:
        """Run until nothing is left to do (or until shut down); return 0, or 1 after an error."""
        return asyncio.run(self._run(shutdown_when_idle))

    async def _run(self, shutdown_when_idle: bool) -> int:
        loop = asyncio.get_running_loop()
        self.context.asyncio_loop = loop
        loop.add_signal_handler(signal.SIGINT, self._on_sigint)
        for number in (signal.SIGTERM, signal.SIGQUIT):
            loop.add_signal_handler(number, self._on_terminate, number)
        config = launch_logging.launch_config
        self._logger.info(f"All log files can be found below {config.log_dir}")
        level = logging.getLevelName(config.level)
        self._logger.info(f"Default logging verbosity is set to {level}")
        queue = self.context._event_queue
        while True:
            if queue.empty() and not self.context._futures:
                if self.context.is_shutdown:
                    break
                if shutdown_when_idle:
                    self._shut_down("idle")
            item = await queue.get()
            try:
                if isinstance(item, BaseException):
                    raise item
                if item is not None:
                    self._process_event(item)
            except Exception as error:  # whatever a launch file's code raises
                self._logger.debug(traceback.format_exc())
                message = f"Caught exception in launch (see debug for traceback): {error}"
                self._logger.error(message)
                self._return_code = 1
                self._shut_down(message)
        self.context.asyncio_loop = None
        return self._return_code

    def _process_event(self, event: Event) -> None:
        if isinstance(event, Shutdown):
            self.context.is_shutdown = True
        self.context.push("locals")
        try:
            if isinstance(event, IncludeLaunchDescription):
                visit(event.launch_description, self.context)
        finally:
            self.context.pop("locals")
        for handler in tuple(self.context._event_handlers):
            if handler.matches(event):
                self.context.push("locals")
                try:
                    for entity in as_list(handler.handle(event, self.context)):
                        visit(entity, self.context)
                finally:
                    self.context.pop("locals")

    def _shut_down(self, reason: str, *, due_to_sigint: bool = False) -> None:
        if not self.context.is_shutdown:
            self.context.is_shutdown = True
            self.context.emit_event_sync(Shutdown(reason=reason, due_to_sigint=due_to_sigint))

    def _on_sigint(self) -> None:
        message = "user interrupted with ctrl-c (SIGINT)"
        if self._interrupted:
            self._logger.warning(f"{message} again, ignoring...")
            return
        self._interrupted = True
        self._logger.warning(message)
        self._shut_down("ctrl-c (SIGINT)", due_to_sigint=True)

    def _on_terminate(self, number: signal.Signals) -> None:
        # Unlike the real launch, which exits at once and leaves the processes behind.
        self._logger.error(f"received {number.name}, shutting down")
        self._return_code = 1
        self._shut_down(number.name)
