"""How many times faster than real time a deployment is simulated, and what ROS takes of it.

Three ways of simulating the same: controller and robot in one process (`g1-mimic simulate`), the
two nodes of deploy_sim in lock-step, and, for what no node can beat, the nodes' messages echoed
between two processes that do nothing else. In real time, the drift is how much the simulated time
falls behind the clock. Where there is no rclpy, only the first is measured. The last line is
``ratio R``: the rate of the nodes in lock-step over that of the bare echo.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from g1_mimic.nodes.closed_loop import ClosedLoop
from g1_mimic.nodes.sim_setup import SimSettings

try:
    import rclpy
    from rclpy.serialization import deserialize_message
    from ros_echo import round_trip
    from rosgraph_msgs.msg import Clock

    from g1_mimic.nodes.common import STREAM_QOS
    from g1_mimic.nodes.messages import stamp_to_ns
    from g1_mimic.nodes.taps import Taps
except ImportError:
    rclpy = None

STATES_PER_S = 500
BEGUN = 1.0
"""Simulated time from which on the rate is measured, s."""


def in_process(policy: str, seconds: float) -> tuple[float, float]:
    """Return simulated seconds per wall second and per second of CPU time."""
    loop = ClosedLoop(SimSettings(policy=policy))
    loop.track(0.5)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(round(seconds * STATES_PER_S)):
        loop.step()
    return seconds / (time.perf_counter() - wall), seconds / (time.process_time() - cpu)


def rate_of_nodes(policy: str, seconds: float, realtime_factor: float) -> float:
    """Return simulated seconds per wall second of both nodes, from their own clock.

    The time that processes take to start is not in it.
    """
    shared = [f"policy:={policy}", f"realtime_factor:={realtime_factor}"]
    shared.append(f"duration:={seconds + BEGUN}")
    # On a busy machine it is the rate that is asked for, not whether the policy keeps up.
    patient = ["autostart:=true", "odometry:=true", "stand_time:=0.2", "state_timeout:=5.0"]
    patient += ["use_sim_time:=true", "max_missed_inferences:=50", "wait_for:=mujoco_sim"]
    own = {"mujoco_sim": ["wait_for:=policy"], "policy": patient}
    clock = Taps("_bench")
    clock.add("clock", Clock, STREAM_QOS)
    processes = []
    for name, parameters in own.items():
        command = [sys.executable, "-m", f"g1_mimic.nodes.{name}", "--ros-args"]
        command += ["--log-level", "error"]
        for parameter in shared + parameters:
            command += ["-p", parameter]
        processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
    seen: list[tuple[float, float]] = []
    try:
        while any(process.poll() is None for process in processes):
            time.sleep(0.05)
            if (message := clock.newest("clock")) is not None:
                simulated = stamp_to_ns(deserialize_message(message, Clock).clock) * 1e-9
                if simulated >= BEGUN:
                    seen.append((time.perf_counter(), simulated))
    finally:
        for process in processes:
            process.kill()
            process.wait()
        clock.close()
    if any(process.returncode for process in processes):
        raise SystemExit("a node failed")
    (began, first), (ended, last) = seen[0], seen[-1]
    return (last - first) / (ended - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policy", default="stand")
    parser.add_argument("--seconds", type=float, default=20.0)
    args = parser.parse_args()

    wall, cpu = in_process(args.policy, args.seconds)
    print(f"one process        {wall:6.1f} x real time ({cpu:.1f} by CPU time)", flush=True)
    if rclpy is None:
        print("no rclpy: the nodes are not measured")
        return
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    rclpy.init()
    floor = 1.0 / STATES_PER_S / round_trip(round(args.seconds * STATES_PER_S / 4))
    print(f"bare echo          {floor:6.1f} x real time", flush=True)
    lockstep = rate_of_nodes(args.policy, args.seconds, 0.0)
    print(f"nodes in lock-step {lockstep:6.1f} x real time", flush=True)
    drift = 1.0 - rate_of_nodes(args.policy, args.seconds, 1.0)
    print(f"drift in real time {100 * drift:6.2f} %")
    print(f"ratio {lockstep / floor:.3f}")
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
