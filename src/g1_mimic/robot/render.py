"""Pictures and films of the robot, rendered offscreen."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# MuJoCo chooses its OpenGL back end when it is imported. Where there is no display only EGL or
# OSMesa can draw, and EGL needs no display where there is one.
if "mujoco" not in sys.modules and sys.platform.startswith("linux"):
    os.environ.setdefault("MUJOCO_GL", "egl")

import mujoco
import numpy as np

from g1_mimic.errors import G1MimicError
from g1_mimic.files import atomic_write
from g1_mimic.robot.model import build_model
from g1_mimic.robot.profile import RobotProfile, load_profile

GHOST_RGBA = (0.25, 0.55, 0.95, 0.35)
"""Colour of the reference that is drawn through the robot."""

NO_OPENGL = (
    "no offscreen OpenGL on this machine ({reason}); install EGL (Debian, Ubuntu: "
    "apt install libegl1 libgl1-mesa-dri) or set MUJOCO_GL=osmesa"
)


def render_frames(
    qpos: np.ndarray,
    *,
    reference_qpos: np.ndarray | None = None,
    profile: RobotProfile | None = None,
    size: tuple[int, int] = (960, 540),
    azimuth: float = 140.0,
    elevation: float = -12.0,
    distance: float = 2.6,
) -> np.ndarray:
    """Draw the robot in each pose, seen by a camera that follows the pelvis over the floor.

    Args:
        qpos: [T, 36] pelvis position (m), pelvis quaternion w x y z, joint angles (rad).
        reference_qpos: [T, 36] poses drawn as a blue ghost in the same pictures.
        profile: the robot; its look does not depend on it. Default: ``g1_29dof``.
        size: width and height, pixels.
        azimuth: camera's bearing, degrees: 180 looks at the robot's front, 90 at its right side.
        elevation: camera's pitch, degrees.
        distance: from the camera to the point it looks at, m.

    Returns:
        uint8 [T, height, width, 3].

    Raises:
        G1MimicError: if shapes do not fit, a pose is not finite, or there is no OpenGL.
    """
    qpos = _poses(qpos, "qpos")
    reference = None if reference_qpos is None else _poses(reference_qpos, "reference_qpos")
    if reference is not None and len(reference) != len(qpos):
        raise G1MimicError(
            f"reference_qpos has {len(reference)} frames but qpos has {len(qpos)}; "
            "give one reference pose per frame"
        )
    width, height = size
    model = build_model(profile or load_profile("g1_29dof"))
    model.vis.global_.offwidth, model.vis.global_.offheight = width, height
    data, ghost = mujoco.MjData(model), mujoco.MjData(model)
    camera = mujoco.MjvCamera()
    camera.azimuth, camera.elevation, camera.distance = azimuth, elevation, distance
    frames = np.empty((len(qpos), height, width, 3), np.uint8)
    with _renderer(model, width, height) as renderer:
        for t, pose in enumerate(qpos):
            data.qpos[:] = pose
            mujoco.mj_forward(model, data)
            # A fixed height: the camera does not bob with the gait.
            camera.lookat[:] = pose[0], pose[1], 0.68
            renderer.update_scene(data, camera)
            if reference is not None:
                ghost.qpos[:] = reference[t]
                mujoco.mj_forward(model, ghost)
                _add_ghost(renderer.scene, model, ghost)
            renderer.render(out=frames[t])
    return frames


def write_png(path: str | os.PathLike[str], frame: np.ndarray) -> None:
    """Write one picture [H, W, 3] uint8, whole or not at all.

    Raises:
        G1MimicError: if the file cannot be written.
    """
    import imageio.v3 as iio

    with atomic_write(_with_suffix(path, ".png")) as temporary:
        iio.imwrite(temporary, frame, extension=".png")


def write_video(path: str | os.PathLike[str], frames: np.ndarray, fps: float) -> None:
    """Write a film of ``frames`` [T, H, W, 3] uint8 as .mp4 (H.264) or .gif.

    Raises:
        G1MimicError: if the ending is another one or the file cannot be written.
    """
    import imageio

    path = Path(path)
    if path.suffix not in (".mp4", ".gif"):
        raise G1MimicError(f"cannot write a film to {path}; its name must end in .mp4 or .gif")
    # Most players refuse H.264 with an odd width or height.
    frames = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    with atomic_write(path) as temporary:
        if path.suffix == ".gif":
            imageio.mimwrite(temporary, list(frames), duration=1000.0 / fps, loop=0)
        else:
            imageio.mimwrite(
                temporary, list(frames), fps=fps, codec="libx264", quality=8, macro_block_size=2
            )


def _poses(qpos: np.ndarray, what: str) -> np.ndarray:
    qpos = np.asarray(qpos, dtype=np.float64)
    if qpos.ndim != 2 or qpos.shape[1] != 36 or len(qpos) == 0:
        raise G1MimicError(f"{what} must have the shape [frames, 36], got {list(qpos.shape)}")
    if not np.isfinite(qpos).all():
        frame = int(np.flatnonzero(~np.isfinite(qpos).all(axis=1))[0])
        raise G1MimicError(f"{what} is not finite in frame {frame}")
    return qpos


def _with_suffix(path: str | os.PathLike[str], suffix: str) -> Path:
    path = Path(path)
    if path.suffix != suffix:
        raise G1MimicError(f"cannot write a picture to {path}; its name must end in {suffix}")
    return path


@contextlib.contextmanager
def _renderer(model: mujoco.MjModel, width: int, height: int) -> Iterator[mujoco.Renderer]:
    """Open a renderer; say in one line why if there is none."""
    try:
        renderer = mujoco.Renderer(model, height, width, max_geom=2000)
    except Exception as error:
        # MuJoCo and PyOpenGL raise whatever their loader raised: AttributeError, ImportError, ….
        detail = " ".join(str(error).split())[:120] or type(error).__name__
        raise G1MimicError(NO_OPENGL.format(reason=detail)) from error
    with contextlib.closing(renderer):
        yield renderer


def _add_ghost(scene: mujoco.MjvScene, model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Add the moving geoms of ``data`` to ``scene``, translucent."""
    first = scene.ngeom
    mujoco.mjv_addGeoms(
        model, data, mujoco.MjvOption(), mujoco.MjvPerturb(), mujoco.mjtCatBit.mjCAT_DYNAMIC, scene
    )
    for geom in scene.geoms[first : scene.ngeom]:
        geom.rgba[:] = GHOST_RGBA
        geom.matid = -1
