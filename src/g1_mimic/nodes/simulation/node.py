"""Node ``mujoco_sim``: the robot in MuJoCo, seen through the robot's own topics.

In real time a timer advances the simulation; in lock-step (``realtime_factor`` 0) each state
waits for the target that carries its stamp, so that a run does not depend on the machine. The
robot hangs in a hoist until the first target of mode track.
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.task import Future
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Imu, JointState
from std_msgs.msg import Empty, Float64MultiArray

from g1_mimic.control.modes import Mode
from g1_mimic.control.state import JointCommand, MotorTarget, RobotState
from g1_mimic.errors import G1MimicError
from g1_mimic.nodes.shared.common import (
    ERROR,
    LATCHED_QOS,
    OK,
    SENDING_QOS,
    STREAM_QOS,
    WARN,
    Diagnostics,
    Reading,
    heard_by,
    is_heard,
    names_in,
    steady_timer,
    switch_service,
    trigger_service,
)
from g1_mimic.nodes.shared.messages import (
    PELVIS_FRAME,
    WORLD_FRAME,
    JointReader,
    read_gains,
    set_stamp,
)
from g1_mimic.nodes.shared.parameters import Parameters
from g1_mimic.nodes.shared.wire import (
    ImuWriter,
    JointData,
    JointStateReader,
    JointStateWriter,
    OdometryWriter,
)
from g1_mimic.simulation.fault_kinds import load_faults
from g1_mimic.simulation.injected_faults import FaultInjector
from g1_mimic.simulation.setup import SimSettings, make_simulator, open_viewer
from g1_mimic.simulation.simulator import STATE_PERIOD_NS

_STRIDE_PERIOD, _STATES_PER_STRIDE = 1e-4, 25
"""Composed: wall period, s, of strides of so many states; between them come services, timers and
emergency stops."""
_REPEAT = 0.1
"""Wall time after which a state without an answer is sent again, s."""
_PAUSED_REPEAT = 0.02
"""Wall period in which a paused simulation repeats its state, s."""
_MAX_CATCH_UP = 2
"""State periods that one timer call may advance: more would outrun the motors' watchdog."""
_MAX_SILENT = 500
"""State periods without a state that arrives that lock-step advances at a time."""
_LOSS_TOLD = 5.0
"""Wall time for which diagnostics warn of lost real time, s."""
_FEET_PERIOD_NS = 20_000_000
"""Simulated time between messages on foot_forces."""
_MAX_BACKLOG = 0.02
"""Wall time that the simulation may be late before it gives it up, s."""


class MujocoSim(Node):
    """The ROS rim of `Simulator`.

    Args:
        composed: the policy node is in this process (`nodes.composition`): it gets states through
            ``hand_over`` and gives targets to `take`, instead of by topics. In lock-step only.

    Attributes:
        hand_over: takes a state and the simulated time, ns, where both nodes are in one process.

    Raises:
        G1MimicError: for bad parameters, policy or profile, or a viewer without a display.
    """

    def __init__(self, *, composed: bool = False) -> None:
        super().__init__("mujoco_sim", automatically_declare_parameters_from_overrides=True)
        self.finished: Any = Future()
        self._params = Parameters(self, SimSettings)
        settings = self._params.settings
        self._sim = make_simulator(settings)
        self._faults = FaultInjector(load_faults(settings.faults))
        self._lockstep = settings.realtime_factor == 0.0
        if composed and not self._lockstep:
            raise G1MimicError("both nodes in one process run in lock-step: realtime_factor:=0.0")
        self._composed = composed
        self.hand_over: Callable[[RobotState, int], None] | None = None
        self._due = False
        """The newest state was answered, and time may go on."""
        self._begun = False
        self._paused = False
        self._answered = False
        self._end_ns: int | None = None
        self._may_release = False
        self._lost, self._lost_at = 0.0, -math.inf
        self._problem = ""
        self._gains: dict[str, tuple[Any, Any]] = {}
        self._newest_gains: tuple[Any, Any] | None = None
        self._unpaired: JointData | None = None
        self._decoder, self._reader = JointStateReader(), JointReader("joint_targets")

        self._joints, self._imu = JointStateWriter(), ImuWriter(PELVIS_FRAME)
        self._odom = OdometryWriter(WORLD_FRAME, PELVIS_FRAME)
        self._clock_message = Clock()
        self._feet_out = self.create_publisher(Float64MultiArray, "foot_forces", SENDING_QOS)
        # Old times are of no use to who falls behind.
        self._clock_out = self.create_publisher(Clock, "clock", STREAM_QOS)
        self._odom_out = self.create_publisher(Odometry, "odom", SENDING_QOS)
        self._imu_out = self.create_publisher(Imu, "imu", SENDING_QOS)
        # The last one: who hears it hears the others (`heard_by`).
        self._joints_out = self.create_publisher(JointState, "joint_states", SENDING_QOS)
        if composed:
            steady_timer(self, _STRIDE_PERIOD, self._stride)
        else:
            self.create_subscription(
                JointState, "joint_targets", self._on_bytes, STREAM_QOS, raw=True
            )
            self.create_subscription(Float64MultiArray, "joint_gains", self._on_gains, LATCHED_QOS)
        self.create_subscription(Empty, "e_stop", lambda _: self._e_stop(), STREAM_QOS)
        trigger_service(self, "~/reset", self._reset)
        trigger_service(self, "~/push", self._push)
        switch_service(self, "~/pause", self._pause)
        self._diagnostics = Diagnostics(self, self._status, {"timing": self._timing_status})

        self._viewer = open_viewer(self._sim) if settings.viewer else None
        if self._viewer is not None:
            steady_timer(self, 1 / 60, self._viewer.sync)
        self._silent = False
        """The last step led to no state that arrives."""
        self._newest = self._sim.state()
        self._sent_at = self._answered_at = self._started_at = time.monotonic()
        if self._lockstep:
            steady_timer(self, _REPEAT, self._repeat)
            self.get_logger().info("lock-step: each state waits for its target")
        else:
            period = STATE_PERIOD_NS * 1e-9 / settings.realtime_factor
            steady_timer(self, max(period, 1e-3), self._on_timer)
        if self._has_begun() and not composed:  # there the policy node is not there yet
            self._tell(self._newest)

    def close(self) -> None:
        """Make sure that the last state has arrived, and close the viewer."""
        self._joints_out.wait_for_all_acked(Duration(seconds=1.0))
        if self._viewer is not None:
            self._viewer.close()

    # Time ---------------------------------------------------------------------------------------

    def _has_begun(self) -> bool:
        """True as soon as all that should hear every state are there."""
        if not self._begun:
            listeners = names_in(self._params.settings.wait_for)
            self._begun = heard_by(self, self._joints_out, listeners)
            self._started_at = time.monotonic()
        return self._begun

    def _on_timer(self) -> None:
        """Real time: advance by as many periods as are due."""
        if not self._has_begun():
            return
        now = time.monotonic()
        if self._paused:
            if now - self._sent_at >= _PAUSED_REPEAT:
                self._tell(self._newest)
            return
        period = STATE_PERIOD_NS * 1e-9 / self._params.settings.realtime_factor
        due = int((now - self._started_at) / period)
        steps = min(due, _MAX_CATCH_UP)
        for _ in range(steps):
            self._advance()
        self._started_at += steps * period
        late = now - self._started_at
        if late > _MAX_BACKLOG:
            self._lost += late
            self._lost_at = now
            self._started_at = now

    def _repeat(self) -> None:
        """Lock-step: send the state again, in case nobody was there yet, and watch the answers."""
        if not self._has_begun():
            return
        now = time.monotonic()
        if self._answered and not self._paused:
            waited = now - self._answered_at
            if waited > self._params.settings.answer_timeout:
                self.get_logger().error(
                    f"no target for the state at {self._sim.time_ns * 1e-9:.3f} s within "
                    f"{waited:.1f} s: is the policy node running and active?"
                )
                self._finish(1)
                return
        if self._silent:
            self._advance()
        elif now - self._sent_at >= _REPEAT:
            self._tell(self._newest)

    def _stride(self) -> None:
        """Composed: advance as long as states are answered, but not for long: others wait."""
        before = self._sim.time_ns
        for _ in range(_STATES_PER_STRIDE):
            if not self._due or self._paused:
                break
            self._due = False
            self._advance()
        if self._sim.time_ns > before:
            self._clock_out.publish(self._now_message())

    def _advance(self) -> None:
        """Simulate one state period and publish the states that arrive."""
        if self.finished.done():
            return
        self._step()
        if self._lockstep:  # nobody answers a state that does not arrive
            for _ in range(_MAX_SILENT):
                if not self._silent or self._ended():
                    break
                self._step()
        if self._ended():
            self._finish(0)

    def _ended(self) -> bool:
        return self._end_ns is not None and self._sim.time_ns >= self._end_ns

    def _step(self) -> None:
        self._faults.act_on(self._sim)
        self._sim.step()
        arrived = [] if self._sim.lost else self._faults.deliver(self._sim.state())
        self._silent = not arrived
        if arrived:
            self._tell(*arrived)
        else:
            self._clock_out.publish(self._now_message())
        if self._sim.time_ns % _FEET_PERIOD_NS == 0 and is_heard(self._feet_out):
            self._feet_out.publish(Float64MultiArray(data=self._sim.foot_forces()))

    def _finish(self, status: int) -> None:
        if not self.finished.done():
            self.finished.set_result(status)

    # Out ----------------------------------------------------------------------------------------

    def _now_message(self) -> Clock:
        """Return the present simulated time."""
        set_stamp(self._clock_message.clock, self._sim.time_ns)
        return self._clock_message

    def _tell(self, *states: RobotState) -> None:
        """Publish the states that arrive, and give them to the policy node of this process."""
        self._newest = states[-1]
        for state in states:
            self._publish(state)
        self._sent_at = time.monotonic()
        if self.hand_over is not None:
            for state in states:
                self.hand_over(state, self._sim.time_ns)

    def _publish(self, state: RobotState) -> None:
        if not self._composed:  # there once per stride: the policy node is given the time
            self._clock_out.publish(self._now_message())
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

    # In -----------------------------------------------------------------------------------------

    def _on_gains(self, message: Float64MultiArray) -> None:
        try:
            label, stiffness, damping = read_gains(message)
        except G1MimicError as error:
            self._complain(str(error))
            return
        self._newest_gains = self._gains[label] = (stiffness, damping)
        if self._unpaired is not None:
            message_before, self._unpaired = self._unpaired, None
            self._on_target(message_before)

    def _on_bytes(self, data: bytes) -> None:
        try:
            message = self._decoder.read(data)
        except (struct.error, ValueError) as error:
            self._complain(f"joint_targets: a message that is no JointState: {error}")
            return
        self._on_target(message)

    def _on_target(self, message: JointData) -> None:
        """Hand a target to the motors, together with the gains of its mode."""
        stamp, mode = message.stamp, message.frame_id
        if self._lockstep and stamp != self._newest.stamp:
            return  # the answer to a repeated state, again
        gains = self._gains.get(mode) if mode else self._newest_gains
        if gains is None:
            self._unpaired = message
            return
        try:
            target = MotorTarget(
                position=self._reader.read(message, "position"),
                velocity=self._reader.read(message, "velocity", default=0.0),
                effort=self._reader.read(message, "effort", default=0.0),
                stiffness=gains[0],
                damping=gains[1],
            )
        except G1MimicError as error:
            self._complain(str(error))
            return
        if self._use(target, mode, stamp) and self._lockstep and not self._paused:
            self._advance()

    def take(self, command: JointCommand) -> None:
        """Composed: hand a command of the policy node to the motors."""
        if command.stamp != self._newest.stamp:
            return
        # Time goes on in `_stride`: from here each state would be answered within the last one.
        self._due = self._use(command, command.mode.value, command.stamp) or self._due

    def _use(self, target: MotorTarget, mode: str, stamp: int) -> bool:
        """Give a target to the motors; False if they may not get it."""
        if problem := self._sim.set_target(target):
            self._complain(f"joint_targets: {problem}")
            return False
        self._answered, self._answered_at = True, time.monotonic()
        self._hoist(mode, stamp)
        return True

    def _hoist(self, mode: str, stamp: int) -> None:
        """Release the hoist when tracking begins: not for a target from before a reset."""
        if mode != Mode.TRACK.value:
            self._may_release = True
        elif self._may_release and self._sim.hoisted:
            self._sim.release()
            self._faults.begin(stamp)
            duration = self._params.settings.duration
            if duration > 0.0 and self._end_ns is None:
                self._end_ns = stamp + round(duration * 1e9)

    def _complain(self, problem: str) -> None:
        """Say once what is wrong with the targets; the watchdog does the rest."""
        if problem != self._problem:
            self._problem = problem
            self.get_logger().error(f"{problem}; ignored, the motors damp")

    # Services -----------------------------------------------------------------------------------

    def _e_stop(self) -> None:
        self._sim.e_stop()
        self.get_logger().error("emergency stop: damping until ~/reset")
        self._diagnostics.publish_on_change()

    def _reset(self) -> str:
        self._sim.reset()
        self._may_release = False
        self._problem = ""
        if not self._lockstep and not self._paused:
            self._advance()  # the new pose is out before the caller knows of it
        return "the robot is back at its start, in the hoist"

    def _push(self) -> str:
        settings = self._params.settings
        self._sim.push(settings.push_speed, settings.push_direction)
        return f"pushed by {settings.push_speed:g} m/s"

    def _pause(self, pause: bool) -> str:
        self._paused = pause
        self._answered_at = self._started_at = time.monotonic()
        if not pause and self._lockstep:
            self._tell(self._newest)  # the policy node answers a repeated state again
        return "paused" if pause else "running"

    def _status(self) -> Reading:
        """Tell what the robot does."""
        sim = self._sim
        figures: dict[str, object] = {
            "watchdog_trips": sim.watchdog_trips,
            "rejected_targets": sim.rejected,
            "hoisted": sim.hoisted,
            "paused": self._paused,
        }
        if sim.stopped:
            return ERROR, "emergency stop", figures
        if sim.damped:
            reason = self._problem or "no fresh target"
            return WARN, f"damping: {reason}", figures
        return OK, "in the hoist" if sim.hoisted else "running", figures

    def _timing_status(self) -> Reading:
        """Tell whether simulated time keeps up with the wall clock's."""
        figures: dict[str, object] = {
            "simulated_s": self._sim.time_ns * 1e-9,
            "realtime_factor": self._params.settings.realtime_factor,
            "lost_real_time_s": self._lost,
        }
        if time.monotonic() - self._lost_at < _LOSS_TOLD:
            return WARN, f"too slow: lost {self._lost:.2f} s of real time so far", figures
        return OK, "in lock-step" if self._lockstep else "in real time", figures
