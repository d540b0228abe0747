"""Where the messages of a launch and the output of its processes go: screen, log files or both.

The files lie in ``$ROS_LOG_DIR`` (else ``$ROS_HOME/log``, else ``~/.ros/log``) in a folder of
their own for each launch, which the link ``latest`` names.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from datetime import datetime
from pathlib import Path

SOURCES = ("stdout", "stderr")
OUTPUTS: dict[str, dict[str, set[str]]] = {
    "screen": {"both": {"screen"}},
    "log": {"both": {"log"}, "stderr": {"screen"}},
    "both": {"both": {"log", "screen"}},
    "own_log": {"both": {"own_log"}, "stdout": {"own_log"}, "stderr": {"own_log"}},
    "full": {"both": {"screen", "log", "own_log"}, "stdout": {"own_log"}, "stderr": {"own_log"}},
}


class _Screen(logging.Handler):
    """Writes to whatever sys.stdout is, and stays silent once nobody reads it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), flush=True)
        except UnicodeEncodeError:
            text = self.format(record).encode(sys.stdout.encoding, "replace")
            print(text.decode(sys.stdout.encoding), flush=True)
        except (BrokenPipeError, ValueError):
            pass


class LaunchConfig:
    """The log folder and level of this process' launch."""

    def __init__(self) -> None:
        self.level = logging.INFO
        self._log_dir: str | None = None

    @property
    def log_dir(self) -> str:
        """The folder of this launch's log files, made on first use."""
        if self._log_dir is None:
            base = os.environ.get("ROS_LOG_DIR") or os.path.join(
                os.environ.get("ROS_HOME") or "~/.ros", "log"
            )
            stamp = datetime.now().strftime("%Y-%m-%d-%H-%M-%S-%f")
            folder = Path(base).expanduser() / f"{stamp}-{socket.gethostname()}-{os.getpid()}"
            folder.mkdir(parents=True)
            self._log_dir = str(folder)
            _link_latest(folder)
        return self._log_dir

    @log_dir.setter
    def log_dir(self, folder: str) -> None:
        if not os.path.isdir(folder):
            raise ValueError(f"{folder} is not a directory")
        self._log_dir = folder


launch_config = LaunchConfig()


def _link_latest(folder: Path) -> None:
    latest = folder.parent / "latest"
    if latest.exists() and not latest.is_symlink():
        return
    link = folder.parent / f".latest-{os.getpid()}"
    try:
        link.symlink_to(folder)
        link.replace(latest)
    except OSError as error:
        print(f"cannot link the latest log folder: {error}", file=sys.stderr)


def _file_handler(name: str) -> logging.Handler:
    return logging.FileHandler(os.path.join(launch_config.log_dir, name), "a", "utf-8", delay=True)


def _with_format(handler: logging.Handler, text: str) -> logging.Handler:
    handler.setFormatter(logging.Formatter(text, style="{"))
    return handler


def _logger(name: str, handlers: list[logging.Handler]) -> logging.Logger:
    # Loggers of our own rather than logging.getLogger: a process named like a Python
    # package must not catch that package's messages.
    logger = logging.Logger(name, launch_config.level)
    for handler in handlers:
        logger.addHandler(handler)
    return logger


_loggers: dict[str, logging.Logger] = {}


def get_logger(name: str = "launch") -> logging.Logger:
    """Return the logger ``name``, which writes to the screen and to launch.log."""
    if name not in _loggers:
        text = "[{levelname}] [{name}]: {message}"
        _loggers[name] = _logger(
            name,
            [
                _with_format(_Screen(), text),
                _with_format(_file_handler("launch.log"), "{created:.7f} " + text),
            ],
        )
    _loggers[name].setLevel(launch_config.level)
    return _loggers[name]


def get_output_loggers(
    process_name: str, output: str | dict[str, str | set[str]]
) -> tuple[logging.Logger, logging.Logger]:
    """Return the loggers for what a process writes to its standard output and error.

    Args:
        process_name: names the process' own log files.
        output: 'screen', 'log', 'both', 'own_log', 'full', or sets of destinations by source.

    Raises:
        ValueError: an unknown source or destination.
    """
    if isinstance(output, str) and output not in OUTPUTS:
        raise ValueError(
            f"{output} is not a valid standard output config, "
            f"expected one of {', '.join(OUTPUTS)}"
        )
    table = OUTPUTS[output] if isinstance(output, str) else output
    destinations = {
        source: {where} if isinstance(where, str) else set(where) for source, where in table.items()
    }
    unknown = set(destinations) - {"both", *SOURCES}
    unknown |= set().union(*destinations.values()) - {"screen", "log", "own_log"}
    if unknown:
        raise ValueError(f"not a valid output source or destination: {', '.join(sorted(unknown))}")
    both = destinations.get("both", set())
    loggers = []
    for source in SOURCES:
        own = destinations.get(source, set())
        handlers = []
        if "screen" in both | own:
            handlers.append(_with_format(_Screen(), "{message}"))
        if "log" in both | own:
            handlers.append(_with_format(_file_handler("launch.log"), "{created:.7f} {message}"))
        if "own_log" in own:
            handlers.append(
                _with_format(_file_handler(f"{process_name}-{source}.log"), "{message}")
            )
        if "own_log" in both:
            handlers.append(_with_format(_file_handler(f"{process_name}.log"), "{message}"))
        loggers.append(_logger(f"{process_name}-{source}", handlers))
    return loggers[0], loggers[1]
