"""Films and contact sheets: a policy in simulation beside its reference, or a motion clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from g1_mimic.errors import BadValue
from g1_mimic.evaluation.policy_env import batched_act, make_policy_env
from g1_mimic.motion.files import load_motion
from g1_mimic.motion.trajectory import CONTROL_RATE
from g1_mimic.policy.locate import find_policy
from g1_mimic.policy.runtime import OnnxPolicy


def film_policy(
    policy: OnnxPolicy, seconds: float, seed: int, motion: str = ""
) -> tuple[np.ndarray, np.ndarray]:
    """Run one episode from a clip's start; return qpos of robot and reference [T, 36].

    Args:
        policy: the policy.
        seconds: longest episode.
        seed: of the environment.
        motion: name of a clip that the policy carries; empty for its first.

    Raises:
        G1MimicError: if the policy carries no such clip.
    """
    env = make_policy_env(policy, "", 1, {"episode_length_s": seconds})
    act = batched_act(policy, env.reference)
    firsts = {span.name: span.first for span in env.reference.spans}
    try:
        if motion and motion not in firsts:
            raise BadValue(f"the policy has no clip '{motion}'; it carries {', '.join(firsts)}")
        env.reset(seed)
        env.reset_to(np.array([0]), np.array([firsts.get(motion, 0)]), noise=0.0)
        observations = env.observe()
        robot, reference = [env.physics.qpos[0].copy()], [env.reference.qpos[env.frame[0]]]
        for _ in range(round(seconds * CONTROL_RATE)):
            result = env.step(act(observations.policy, env.frame))
            if result.terminated[0] or result.truncated[0]:
                break
            observations = result.observations
            robot.append(env.physics.qpos[0].copy())
            reference.append(env.reference.qpos[env.frame[0]])
    finally:
        env.close()
    return np.array(robot), np.array(reference)


def render_source(
    source: str, output: Path, seconds: float, seed: int, action_scale: str = "", motion: str = ""
) -> str:
    """Draw a policy or a clip into ``output`` (.mp4 or .png); return a line for the user.

    Raises:
        G1MimicError: if the source is neither, a clip is chosen that it does not carry, or nothing
            can be drawn on this machine.
    """
    from g1_mimic.robot.render import check_picture_path, render_motion

    check_picture_path(output)
    reference = None
    if Path(source).is_dir() or source.endswith(".onnx"):
        policy = OnnxPolicy.load(find_policy(source), action_scale)
        qpos, reference = film_policy(policy, seconds, seed, motion)
    elif motion:
        raise BadValue(f"{source} is a clip itself: --motion chooses one that a policy carries")
    else:
        qpos = load_motion(source).qpos()[: round(seconds * CONTROL_RATE)]
    render_motion(output, qpos, fps=CONTROL_RATE, reference_qpos=reference)
    return f"{output}: {len(qpos) / CONTROL_RATE:.1f} s"
