"""How every node's process starts and ends.

Only the standard library is imported here: signals are caught before the slow imports begin, so
that Ctrl-C at any moment ends a node without a traceback.
"""

from __future__ import annotations

import gc
import importlib
import signal
import sys
from types import FrameType
from typing import Any, Protocol

from g1_mimic.errors import BadValue, G1MimicError, missing_package

HEARTBEAT = 0.05
"""Period of the timer that lets Python see signals while the executor waits in C++, s."""


class RunnableNode(Protocol):
    """What `run_node` needs besides an rclpy node.

    ``finished`` is an rclpy Future: the node sets its exit status there when it has nothing left
    to do. ``close`` is called once before the node is destroyed, while it can still publish. What
    stands for several nodes has them in ``nodes``.
    """

    finished: Any

    def close(self) -> None:
        """Leave everything in order: send a last command, write files, stop threads."""


class _Process:
    """What a signal does: nothing but remember it, and finish the node once there is one."""

    def __init__(self) -> None:
        self.interrupted = False
        self._finished: Any = None

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        # A repeated signal changes nothing: closing (the damping command) must not be cut short.
        self.interrupted = True
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(0)

    def watch(self, finished: Any) -> None:
        """Finish ``finished`` at a signal, also at one that has come already."""
        self._finished = finished
        if self.interrupted and not finished.done():
            finished.set_result(0)


def run_node(factory: str, argv: list[str] | None = None) -> int:
    """Run the node that ``factory`` makes until it has finished or SIGINT or SIGTERM arrives.

    Args:
        factory: ``module:name`` of a callable without arguments that returns a `RunnableNode`.
        argv: command line with ROS arguments; None takes ``sys.argv``.

    Returns:
        0 after a signal, 2 for a problem that the user can act on (one line on stderr), else what
        the node put into ``finished``.
    """
    process = _Process()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, process.on_signal)
    try:
        import rclpy
        from rclpy.signals import SignalHandlerOptions

        module, _, name = factory.partition(":")
        create = getattr(importlib.import_module(module), name)
        if process.interrupted:
            return 0
        try:
            rclpy.init(args=argv, signal_handler_options=SignalHandlerOptions.NO)
        except RuntimeError as error:  # rclpy has no public name for this one
            problem = " ".join(str(error).split(", at /")[0].split())
            raise BadValue(f"ROS arguments: {problem}") from error
        try:
            node: Any = create()
            try:
                process.watch(node.finished)
                # What is there by now stays: no collection is to look through it in the midst of
                # answering states, which takes tens of milliseconds.
                gc.collect()
                gc.freeze()
                _spin(node)
            finally:
                node.close()
                node.destroy_node()
        finally:
            rclpy.try_shutdown()
        return int(node.finished.result())
    except G1MimicError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 2
    except ModuleNotFoundError as error:
        print(f"error: {missing_package(error)}", file=sys.stderr, flush=True)
        return 2
    finally:
        # While Python shuts down, its handlers are gone: a late signal would kill the process.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _spin(node: Any) -> None:
    """Run callbacks until the node has finished."""
    try:
        from rclpy.experimental.events_executor import EventsExecutor as Executor
    except ImportError:  # before Kilted
        from rclpy.executors import SingleThreadedExecutor as Executor
    from g1_mimic.nodes.shared.common import steady_timer

    nodes = getattr(node, "nodes", (node,))
    steady_timer(nodes[0], HEARTBEAT, lambda: None)
    executor = Executor()
    for each in nodes:
        executor.add_node(each)
    # EventsExecutor.spin() hangs; with any finite time-out it runs callbacks.
    executor.spin_until_future_complete(node.finished, timeout_sec=1e6)
    for each in nodes:
        executor.remove_node(each)
