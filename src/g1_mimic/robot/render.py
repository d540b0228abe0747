"""Pictures and films of the robot, rendered offscreen."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import mujoco
import numpy as np

from g1_mimic.errors import BadState, BadValue
from g1_mimic.files import atomic_write
from g1_mimic.robot.model import build_model
from g1_mimic.robot.profile import RobotProfile, load_profile

GHOST_RGBA = (0.25, 0.55, 0.95, 0.35)
"""Colour of the reference that is drawn through the robot."""

NO_OPENGL = (
    "no offscreen OpenGL on this machine ({reason}); install EGL (Debian, Ubuntu: "
    "apt install libegl1 libgl1-mesa-dri) or set MUJOCO_GL=osmesa"
)

FILM_RATE = 25.0
"""Pictures per second of a film, about."""

LONGEST_FILM = 60.0
"""s: all pictures of a film are held in memory, a megabyte each."""


SHEET_COLOURS = 128
"""Of a contact sheet: more cannot be told apart."""


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
        raise BadValue(
            f"reference_qpos has {len(reference)} frames but qpos has {len(qpos)}; "
            "give one reference pose per frame"
        )
    width, height = size
    model = build_model(profile or load_profile())
    data, ghost = mujoco.MjData(model), mujoco.MjData(model)
    camera = mujoco.MjvCamera()
    camera.azimuth, camera.elevation, camera.distance = azimuth, elevation, distance
    frames = np.empty((len(qpos), height, width, 3), np.uint8)
    with _Offscreen(model, width, height) as offscreen:
        for t, pose in enumerate(qpos):
            data.qpos[:] = pose
            mujoco.mj_forward(model, data)
            # A fixed height: the camera does not bob with the gait.
            camera.lookat[:] = pose[0], pose[1], 0.68
            offscreen.set_scene(data, camera)
            if reference is not None:
                ghost.qpos[:] = reference[t]
                mujoco.mj_forward(model, ghost)
                offscreen.add_ghost(ghost)
            offscreen.draw(frames[t])
    return frames


def render_smooth(qpos: np.ndarray, size: tuple[int, int], **view: Any) -> np.ndarray:
    """Return small pictures [T, H, W, 3] uint8 with smooth edges: means of four pixels each.

    Args:
        qpos: [T, 36] as for `render_frames`.
        size: width and height of the pictures, pixels.
        view: what else `render_frames` takes.
    """
    width, height = size
    large = render_frames(qpos, size=(2 * width, 2 * height), **view).astype(np.float32)
    small = large.reshape(len(qpos), height, 2, width, 2, 3).mean(axis=(2, 4))
    return small.round().astype(np.uint8)


def write_png(path: str | os.PathLike[str], frame: np.ndarray, colours: int = 0) -> None:
    """Write one picture [H, W, 3] uint8, whole or not at all.

    Args:
        path: the file.
        frame: the picture.
        colours: at most so many, 2 to 256, for a fraction of the size; 0 keeps all.

    Raises:
        G1MimicError: if the file cannot be written.
    """
    from PIL import Image

    picture = Image.fromarray(frame)
    if colours:
        picture = picture.quantize(colours, dither=Image.Dither.NONE)
    with atomic_write(_with_suffix(path, ".png")) as temporary:
        picture.save(temporary, format="png", optimize=True)


def write_video(path: str | os.PathLike[str], frames: np.ndarray, fps: float) -> None:
    """Write a film of ``frames`` [T, H, W, 3] uint8 as .mp4 (H.264) or .gif.

    Raises:
        G1MimicError: if the ending is another one or the file cannot be written.
    """
    import imageio

    path = Path(path)
    if path.suffix not in (".mp4", ".gif"):
        raise BadValue(f"cannot write a film to {path}; its name must end in .mp4 or .gif")
    # Most players refuse H.264 with an odd width or height.
    frames = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    with atomic_write(path) as temporary:
        if path.suffix == ".gif":
            imageio.mimwrite(temporary, list(frames), duration=1000.0 / fps, loop=0)
        else:
            imageio.mimwrite(
                temporary, list(frames), fps=fps, codec="libx264", quality=8, macro_block_size=2
            )


def check_picture_path(path: str | os.PathLike[str]) -> Path:
    """Return ``path`` if `render_motion` can write it.

    Raises:
        G1MimicError: if its ending is another one.
    """
    path = Path(path)
    if path.suffix.lower() not in (".png", ".mp4", ".gif"):
        raise BadValue(f"{path}: pictures end in .png, films in .mp4 or .gif")
    return path


def render_motion(
    path: str | os.PathLike[str],
    qpos: np.ndarray,
    fps: float,
    *,
    reference_qpos: np.ndarray | None = None,
    poses: int = 12,
    azimuth: float = 140.0,
) -> None:
    """Draw a motion: a .png is a contact sheet of moments, .mp4 and .gif are films.

    Args:
        path: the file to write.
        qpos: [T, 36] as for `render_frames`.
        fps: frames of ``qpos`` per second.
        reference_qpos: [T, 36] poses drawn as a ghost.
        poses: moments on a contact sheet, evenly spread.
        azimuth: camera's bearing, degrees.

    Raises:
        G1MimicError: if the ending is another one, a film is too long, or nothing can be drawn.
    """
    path = check_picture_path(path)
    sheet = path.suffix.lower() == ".png"
    if not sheet and len(qpos) / fps > LONGEST_FILM:
        raise BadValue(
            f"{len(qpos) / fps:.0f} s are too long for a film (at most {LONGEST_FILM:.0f} s); "
            "take a part of it"
        )
    stride = max(1, round(fps / FILM_RATE))
    count = len(qpos)
    chosen = np.unique(np.linspace(0, count - 1, poses).astype(int)) if sheet else np.s_[::stride]
    pictures = render_frames(
        qpos[chosen],
        reference_qpos=None if reference_qpos is None else reference_qpos[chosen],
        size=(320, 360) if sheet else (640, 480),
        azimuth=azimuth,
    )
    if sheet:
        write_png(path, contact_sheet(pictures), SHEET_COLOURS)
    else:
        write_video(path, pictures, fps / stride)


def contact_sheet(pictures: np.ndarray, columns: int = 6) -> np.ndarray:
    """Return pictures [T, H, W, 3] side by side, ``columns`` to a row, as one [H', W', 3]."""
    count, height, width, channels = pictures.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    blank = np.full((rows * columns - count, height, width, channels), 255, pictures.dtype)
    grid = np.concatenate([pictures, blank]).reshape(rows, columns, height, width, channels)
    return np.asarray(grid.swapaxes(1, 2).reshape(rows * height, columns * width, channels))


def _poses(qpos: np.ndarray, what: str) -> np.ndarray:
    qpos = np.asarray(qpos, dtype=np.float64)
    if qpos.ndim != 2 or qpos.shape[1] != 36 or len(qpos) == 0:
        raise BadValue(f"{what} must have the shape [frames, 36], got {list(qpos.shape)}")
    if not np.isfinite(qpos).all():
        frame = int(np.flatnonzero(~np.isfinite(qpos).all(axis=1))[0])
        raise BadValue(f"{what} is not finite in frame {frame}")
    return qpos


def _with_suffix(path: str | os.PathLike[str], suffix: str) -> Path:
    path = Path(path)
    if path.suffix != suffix:
        raise BadValue(f"cannot write a picture to {path}; its name must end in {suffix}")
    return path


class _Offscreen:
    """An offscreen buffer and the scene drawn into it.

    ``mujoco.Renderer`` would do, but its OpenGL back end is fixed when mujoco is first imported:
    to a windowing one, unless the environment says otherwise, and to an import that fails if it
    says EGL and there is none. Here the back end is chosen when a picture is wanted.
    """

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        self._model = model
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        self._rect = mujoco.MjrRect(0, 0, width, height)
        self._scene = mujoco.MjvScene(model, maxgeom=1000)
        self._option, self._no_drag = mujoco.MjvOption(), mujoco.MjvPerturb()
        self._gl = _open_gl(width, height)
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)

    def __enter__(self) -> _Offscreen:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._context.free()
        self._gl.free()

    def set_scene(self, data: mujoco.MjData, camera: mujoco.MjvCamera) -> None:
        """Start a picture of the model in the state ``data``."""
        mujoco.mjv_updateScene(
            self._model, data, self._option, self._no_drag, camera,
            mujoco.mjtCatBit.mjCAT_ALL.value, self._scene,
        )  # fmt: skip

    def add_ghost(self, data: mujoco.MjData) -> None:
        """Add the robot in the state ``data``, translucent."""
        first = self._scene.ngeom
        mujoco.mjv_addGeoms(
            self._model, data, self._option, self._no_drag,
            mujoco.mjtCatBit.mjCAT_DYNAMIC.value, self._scene,
        )  # fmt: skip
        for geom in self._scene.geoms[first : self._scene.ngeom]:
            geom.rgba[:] = GHOST_RGBA
            geom.matid = -1

    def draw(self, out: np.ndarray) -> None:
        """Draw the scene into ``out`` uint8 [height, width, 3]."""
        mujoco.mjr_render(self._rect, self._scene, self._context)
        mujoco.mjr_readPixels(out, None, self._rect, self._context)
        out[:] = out[::-1].copy()  # OpenGL's first row is the lowest


def _open_gl(width: int, height: int) -> Any:
    """Open an OpenGL context and make it current: ``$MUJOCO_GL``, else EGL on Linux.

    Raises:
        G1MimicError: if there is none.
    """
    default = {"linux": "egl", "darwin": "cgl"}.get(sys.platform, "glfw")
    backend = os.environ.get("MUJOCO_GL", "").lower() or default
    try:
        context = importlib.import_module(f"mujoco.{backend}").GLContext(width, height)
        context.make_current()
    except Exception as error:
        # The loaders raise whatever came up: AttributeError, ImportError, OSError, RuntimeError.
        detail = " ".join(str(error).split())[:100] or type(error).__name__
        raise BadState(NO_OPENGL.format(reason=f"{backend}: {detail}")) from error
    return context
