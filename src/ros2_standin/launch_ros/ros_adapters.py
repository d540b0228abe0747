"""The launch's own ROS node, made when an action first needs it."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Any

import rclpy
from launch.event_handlers import OnShutdown
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from launch import LaunchContext


def get_ros_node(context: LaunchContext) -> Any:
    """Return the node of this launch, spun in a thread of its own until the launch ends."""
    if hasattr(context, "ros_node"):
        return context.ros_node
    ros_context = rclpy.Context()
    # The launch handles signals; rclpy's handlers would end this node too early.
    rclpy.init(args=[], context=ros_context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(f"launch_ros_{os.getpid()}", context=ros_context)
    executor = SingleThreadedExecutor(context=ros_context)
    executor.add_node(node)

    def spin() -> None:
        with suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()

    def stop(event: Any, context: LaunchContext) -> None:
        executor.shutdown()
        rclpy.shutdown(context=ros_context)
        thread.join()

    context.register_event_handler(OnShutdown(on_shutdown=stop), append=True)
    context.ros_node = node  # type: ignore[attr-defined]
    return node
