"""Whole-body poses from planted feet, a centre of mass and a pelvis: inverse kinematics with mink.

The robot has 6 + 29 degrees of freedom. Waist and arms are given; both feet (12), the pelvis's
orientation (3) and height (1) and the centre of mass over the floor (2) fix the remaining 18. Every
pose is therefore unique near its neighbours, and smooth targets give smooth joints: no
regularisation drags the result, and a looped motion closes by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import mink
import numpy as np

from g1_mimic.errors import BadValue
from g1_mimic.robot.model import build_model, home_qpos
from g1_mimic.robot.names import BODY_NAMES, JOINT_NAMES
from g1_mimic.robot.profile import RobotProfile
from g1_mimic.robot.skeleton import FOOT_BODY_NAMES

UPPER_JOINTS = np.arange(12, len(JOINT_NAMES))
"""Indices of the joints that are given: waist and arms."""

_MAX_ITERATIONS = 40
_CONVERGED = 1e-9
"""rad and m: a step this small ends the iteration."""
_TOLERANCE = 1e-5
"""m and rad: what may be left of the errors."""


@dataclass(frozen=True)
class PoseTargets:
    """What T poses must fulfil; world frame, SI."""

    foot_pos: np.ndarray
    """[T, 2, 3] m: the ankle roll links, left first."""
    foot_quat: np.ndarray
    """[T, 2, 4]."""
    com: np.ndarray
    """[T, 2] m: centre of mass over the floor."""
    pelvis_height: np.ndarray
    """[T] m."""
    pelvis_quat: np.ndarray
    """[T, 4]."""
    upper: np.ndarray
    """[T, 17] rad: waist and arms."""


class PoseSolver:
    """Finds poses that fulfil targets to 1e-5 within the soft joint limits."""

    def __init__(self, profile: RobotProfile) -> None:
        model = build_model(profile, scene=False)
        joints = [model.joint(name).id for name in JOINT_NAMES]
        model.jnt_range[joints] = np.stack(profile.soft_limits(), axis=1)
        self._configuration = mink.Configuration(model)
        self._limits = [mink.ConfigurationLimit(model, gain=1.0)]
        self._home = home_qpos(profile)
        self._feet = [mink.FrameTask(name, "body", 1.0, 1.0) for name in FOOT_BODY_NAMES]
        self._pelvis = mink.FrameTask(BODY_NAMES[0], "body", 0.0, 1.0)
        self._height = _RootHeight()
        self._com = mink.ComTask([1.0, 1.0, 0.0])
        cost = np.zeros(model.nv)
        cost[6 + UPPER_JOINTS] = 1.0
        self._upper = mink.PostureTask(model, cost)
        self._tasks = [*self._feet, self._pelvis, self._height, self._com, self._upper]

    def solve(self, targets: PoseTargets, start: np.ndarray | None = None) -> np.ndarray:
        """Return the poses ``qpos`` [T, 36] that fulfil the targets.

        Args:
            targets: what to fulfil.
            start: [T, 36] poses to start from; by default every pose starts from the one before.

        Raises:
            G1MimicError: naming the first frame that cannot be reached within the soft limits.
        """
        count = len(targets.com)
        result = np.empty((count, len(self._home)))
        pose = self._home.copy()
        pose[:2] = targets.com[0]
        for frame in range(count):
            pose = self._solve_frame(targets, frame, pose if start is None else start[frame])
            result[frame] = pose
        return result

    def _solve_frame(self, targets: PoseTargets, frame: int, start: np.ndarray) -> np.ndarray:
        for side, task in enumerate(self._feet):
            task.set_target(_pose(targets.foot_quat[frame, side], targets.foot_pos[frame, side]))
        self._pelvis.set_target(_pose(targets.pelvis_quat[frame], np.zeros(3)))
        self._height.target = float(targets.pelvis_height[frame])
        self._com.set_target(np.array([*targets.com[frame], 0.0]))
        posture = self._home.copy()
        posture[7 + UPPER_JOINTS] = targets.upper[frame]
        self._upper.set_target(posture)
        self._configuration.update(start)
        for _ in range(_MAX_ITERATIONS):
            step = mink.solve_ik(
                self._configuration, self._tasks, 1.0, "daqp", damping=1e-12, limits=self._limits
            )
            self._configuration.integrate_inplace(step, 1.0)
            if abs(step).max() < _CONVERGED:
                break
        left = max(
            abs(task.compute_error(self._configuration) * (task.cost > 0.0)).max()
            for task in self._tasks
        )
        if left > _TOLERANCE:
            raise BadValue(
                f"frame {frame} of the motion cannot be reached within the soft joint limits "
                f"({left:.1g} m or rad are missing); ask for a lower speed, shorter steps or a "
                "smaller motion"
            )
        return np.asarray(self._configuration.q.copy())


class _RootHeight(mink.Task):
    """Height of the root in the world.

    A frame task weighs the axes of the frame itself, so that a leaning pelvis would trade height
    for way.
    """

    def __init__(self) -> None:
        super().__init__(cost=np.ones(1))
        self.target = 0.0

    def compute_error(self, configuration: mink.Configuration) -> np.ndarray:
        """Return the error [1] m."""
        return np.array([configuration.q[2] - self.target])

    def compute_jacobian(self, configuration: mink.Configuration) -> np.ndarray:
        """Return the Jacobian [1, 35]: a free joint's third velocity is the root's, upwards."""
        jacobian = np.zeros((1, configuration.nv))
        jacobian[0, 2] = 1.0
        return jacobian


def _pose(quat: np.ndarray, pos: np.ndarray) -> mink.SE3:
    return mink.SE3(np.concatenate([quat, pos]))
