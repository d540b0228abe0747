"""What the node ``mujoco_sim`` publishes besides diagnostics."""

from __future__ import annotations

from nav_msgs.msg import Odometry
from rclpy.duration import Duration
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Imu, JointState
from std_msgs.msg import Float64MultiArray

from g1_mimic.control.state import RobotState
from g1_mimic.nodes.shared.common import SENDING_QOS, STREAM_QOS, heard_by, is_heard, names_in
from g1_mimic.nodes.shared.messages import PELVIS_FRAME, WORLD_FRAME, set_stamp
from g1_mimic.nodes.shared.wire import ImuWriter, JointStateWriter, OdometryWriter
from g1_mimic.simulation.simulator import Simulator

_FEET_PERIOD_NS = 20_000_000
"""Simulated time between messages on foot_forces."""


class SimOutput:
    """Publishers of the robot's sensors and of the simulated time.

    Args:
        node: publishes.
        sim: whose sensors they are.
    """

    def __init__(self, node: Node, sim: Simulator) -> None:
        self._node, self._sim = node, sim
        self._joints, self._imu = JointStateWriter(), ImuWriter(PELVIS_FRAME)
        self._odom = OdometryWriter(WORLD_FRAME, PELVIS_FRAME)
        self._clock = Clock()
        self._feet_out = node.create_publisher(Float64MultiArray, "foot_forces", SENDING_QOS)
        # Old times are of no use to who falls behind.
        self._clock_out = node.create_publisher(Clock, "clock", STREAM_QOS)
        self._odom_out = node.create_publisher(Odometry, "odom", SENDING_QOS)
        self._imu_out = node.create_publisher(Imu, "imu", SENDING_QOS)
        # The last one: who hears it hears the others (`heard_by`).
        self._joints_out = node.create_publisher(JointState, "joint_states", SENDING_QOS)

    def heard_by(self, names: str) -> bool:
        """True if these nodes, comma-separated, are there to get every state."""
        return heard_by(self._node, self._joints_out, names_in(names))

    def tell_time(self) -> None:
        """Publish the simulated time."""
        set_stamp(self._clock.clock, self._sim.time_ns)
        self._clock_out.publish(self._clock)

    def tell_state(self, state: RobotState) -> None:
        """Publish a state that arrives, with what is not in it: torques and acceleration."""
        if is_heard(self._odom_out):
            odom = self._odom
            assert state.base_pos is not None and state.base_lin_vel is not None
            odom.turn(state.base_quat)
            odom.position[:] = state.base_pos
            odom.linear_velocity[:] = state.base_lin_vel
            odom.angular_velocity[:] = state.base_ang_vel
            self._odom_out.publish(odom.stamped(state.stamp))
        if is_heard(self._imu_out):
            imu = self._imu
            imu.turn(state.base_quat)
            imu.angular_velocity[:] = state.base_ang_vel
            imu.linear_acceleration[:] = self._sim.acceleration()
            self._imu_out.publish(imu.stamped(state.stamp))
        if is_heard(self._joints_out):
            joints = self._joints
            joints.position[:] = state.joint_pos
            joints.velocity[:] = state.joint_vel
            joints.effort[:] = self._sim.joint_torque()
            self._joints_out.publish(joints.stamped(state.stamp))

    def tell_feet(self) -> None:
        """Publish the forces on the feet when they are due."""
        if self._sim.time_ns % _FEET_PERIOD_NS == 0 and is_heard(self._feet_out):
            self._feet_out.publish(Float64MultiArray(data=self._sim.foot_forces()))

    def close(self) -> None:
        """Make sure that the last state has arrived."""
        self._joints_out.wait_for_all_acked(Duration(seconds=1.0))
