"""How many times faster than real time a deployment is simulated, and what ROS takes of it.

Four ways of simulating the same: controller and robot in one process (`g1-mimic simulate`), the two
nodes of deploy_sim in lock-step, in one process (``composed:=true``) and in two, and, for what no
pair of processes with ordinary messages can beat, the nodes' messages echoed between two that do
nothing else. In real time, the drift is how much the simulated time
falls behind the clock. Where there is no rclpy, only the first is measured. The last line is
``ratio R``: the rate of the nodes in lock-step over that of the bare echo.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time

import yaml

from g1_mimic.simulation.closed_loop import ClosedLoop
from g1_mimic.simulation.settings import SimSettings

try:
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.serialization import deserialize_message
    from ros_echo import round_trip

    from g1_mimic.nodes.shared.common import STREAM_QOS
    from g1_mimic.nodes.shared.messages import stamp_to_ns
    from g1_mimic.nodes.shared.taps import Taps
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


def rate_of_nodes(policy: str, seconds: float, realtime_factor: float, composed: bool) -> float:
    """Return simulated seconds per wall second of both nodes, from what they tell each second.

    The time that processes take to start is not in it.
    """
    shared = {"policy": policy, "realtime_factor": realtime_factor, "duration": seconds + BEGUN}
    # On a busy machine it is the rate that is asked for, not whether the policy keeps up.
    patient = {"autostart": True, "odometry": True, "stand_time": 0.2, "state_timeout": 5.0}
    patient |= {"use_sim_time": True, "max_missed_inferences": 50}
    if not composed:
        patient["wait_for"] = "mujoco_sim"
    own: dict[str, dict[str, object]] = {"policy": shared | patient, "mujoco_sim": dict(shared)}
    if not composed:
        own["mujoco_sim"]["wait_for"] = "policy"
    told = Taps("_bench")
    told.add("diagnostics", DiagnosticArray, STREAM_QOS)
    options = ("--ros-args", "--log-level", "error", "--params-file")
    seen: list[tuple[float, float]] = []
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump({f"/{n}": {"ros__parameters": p} for n, p in own.items()}, file)
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "g1_mimic.nodes.executables", name, *options, file.name],
                stdout=subprocess.DEVNULL,
            )
            for name in (["composed"] if composed else own)
        ]
        try:
            while any(process.poll() is None for process in processes):
                time.sleep(0.05)
                for data, _ in told.take("diagnostics", 100):
                    seen += times(deserialize_message(data, DiagnosticArray))
        finally:
            for process in processes:
                process.kill()
                process.wait()
            told.close()
    if any(process.returncode for process in processes):
        raise SystemExit("a node failed")
    (began, first), (ended, last) = seen[0], seen[-1]
    return (last - first) / (ended - began)


def times(message: DiagnosticArray) -> list[tuple[float, float]]:
    """Return wall and simulated time, s, if a message tells them and time has begun."""
    wall = stamp_to_ns(message.header.stamp) * 1e-9
    values = {v.key: v.value for s in message.status for v in s.values}
    simulated = float(values.get("simulated_s", 0.0))
    return [(wall, simulated)] if simulated >= BEGUN else []


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
    composed = rate_of_nodes(args.policy, 5.0 * args.seconds, 0.0, composed=True)
    print(f"nodes, composed    {composed:6.1f} x real time", flush=True)
    lockstep = rate_of_nodes(args.policy, args.seconds, 0.0, composed=False)
    print(f"nodes in lock-step {lockstep:6.1f} x real time", flush=True)
    drift = 1.0 - rate_of_nodes(args.policy, args.seconds, 1.0, composed=False)
    print(f"drift in real time {100 * drift:6.2f} %")
    print(f"ratio {lockstep / floor:.3f}")
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
