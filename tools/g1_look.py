"""The look of the G1 in MuJoCo primitives: light shells, dark joints, a black visor.

Sizes and places follow the bounding boxes of the robot's parts. Only the left side is written
down; the right side is its mirror image.
"""

from __future__ import annotations

from typing import Any

Part = dict[str, Any]
"""Attributes of one MJCF geom; lists are in the body's frame, m and rad."""

Vector = tuple[float, float, float]

MATERIALS: dict[str, Part] = {
    "shell": {"rgba": [0.84, 0.85, 0.87, 1], "specular": 0.5, "shininess": 0.55},
    "metal": {"rgba": [0.50, 0.52, 0.55, 1], "specular": 0.7, "shininess": 0.6},
    "dark": {"rgba": [0.13, 0.135, 0.15, 1], "specular": 0.4, "shininess": 0.4},
    "visor": {"rgba": [0.02, 0.022, 0.03, 1], "specular": 1, "shininess": 0.9},
    "light": {"rgba": [0.35, 0.75, 1.0, 1], "emission": 0.8},
}


def capsule(a: Vector, b: Vector, radius: float, material: str) -> Part:
    """A rod with round ends from ``a`` to ``b``."""
    return {"type": "capsule", "fromto": [*a, *b], "size": [radius], "material": material}


def cylinder(a: Vector, b: Vector, radius: float, material: str) -> Part:
    """A disc or rod with flat ends from ``a`` to ``b``: motors."""
    return {"type": "cylinder", "fromto": [*a, *b], "size": [radius], "material": material}


def ellipsoid(centre: Vector, radii: Vector, material: str, pitch: float = 0.0) -> Part:
    """An ellipsoid, tilted about the body's y axis."""
    return _solid("ellipsoid", centre, radii, material, pitch)


def box(centre: Vector, half: Vector, material: str, pitch: float = 0.0) -> Part:
    """A box, tilted about the body's y axis."""
    return _solid("box", centre, half, material, pitch)


def _solid(kind: str, centre: Vector, size: Vector, material: str, pitch: float) -> Part:
    euler = [0.0, pitch, 0.0] if pitch else None
    return {
        "type": kind, "pos": list(centre), "size": list(size), "euler": euler, "material": material
    }  # fmt: skip


def mirrored(part: Part) -> Part:
    """Reflect a part in the x-z plane; a tilt about y stays as it is."""
    part = dict(part)
    if "fromto" in part:
        ax, ay, az, bx, by, bz = part["fromto"]
        part["fromto"] = [ax, -ay, az, bx, -by, bz]
    else:
        x, y, z = part["pos"]
        part["pos"] = [x, -y, z]
    return part


TRUNK: dict[str, list[Part]] = {
    "pelvis": [
        ellipsoid((0.0, 0.0, -0.085), (0.062, 0.066, 0.072), "shell"),
        box((0.0, 0.0, -0.055), (0.045, 0.052, 0.045), "dark"),
        cylinder((0.0, -0.062, -0.1027), (0.0, 0.062, -0.1027), 0.046, "dark"),
    ],
    "waist_yaw_link": [
        cylinder((0.0, 0.0, -0.012), (0.0, 0.0, 0.02), 0.044, "metal"),
        cylinder((-0.004, -0.036, 0.036), (-0.004, 0.036, 0.036), 0.03, "dark"),
    ],
    "waist_roll_link": [cylinder((-0.02, 0.0, 0.0), (0.02, 0.0, 0.0), 0.022, "metal")],
    "torso_link": [
        # Belly, ribs, chest, back pack, collar.
        ellipsoid((0.004, 0.0, 0.05), (0.062, 0.074, 0.062), "dark"),
        ellipsoid((0.006, 0.0, 0.155), (0.068, 0.090, 0.110), "shell"),
        ellipsoid((0.007, 0.0, 0.205), (0.076, 0.105, 0.098), "shell"),
        capsule((-0.005, -0.062, 0.248), (-0.005, 0.062, 0.248), 0.052, "shell"),
        box((-0.045, 0.0, 0.17), (0.028, 0.066, 0.09), "dark"),
        ellipsoid((0.073, 0.0, 0.222), (0.010, 0.034, 0.011), "visor", -0.15),
        cylinder((0.0, 0.0, 0.28), (0.004, 0.0, 0.325), 0.036, "dark"),
        # Head: a light hood around a black visor.
        ellipsoid((0.0, 0.0, 0.395), (0.066, 0.071, 0.090), "shell"),
        ellipsoid((0.020, 0.0, 0.388), (0.057, 0.062, 0.077), "visor"),
        capsule((0.0, -0.070, 0.388), (0.0, 0.070, 0.388), 0.016, "metal"),
        capsule((0.0755, -0.012, 0.375), (0.0755, 0.012, 0.375), 0.0025, "light"),
    ],
}  # fmt: skip

LEFT: dict[str, list[Part]] = {
    "hip_pitch_link": [
        cylinder((0.0, 0.006, 0.0), (0.0, 0.030, 0.0), 0.050, "metal"),
        cylinder((0.0, 0.030, -0.012), (0.0, 0.074, -0.012), 0.047, "dark"),
        cylinder((-0.045, 0.052, -0.0305), (0.035, 0.052, -0.0305), 0.044, "dark"),
    ],
    "hip_roll_link": [
        cylinder((0.036, 0.0, 0.0), (0.058, 0.0, 0.0), 0.046, "metal"),
        ellipsoid((0.030, 0.0, -0.062), (0.052, 0.050, 0.086), "shell"),
        cylinder((0.025, 0.0, -0.125), (0.025, 0.0, -0.095), 0.052, "dark"),
    ],
    "hip_yaw_link": [
        ellipsoid((-0.022, 0.0, -0.055), (0.056, 0.058, 0.085), "shell", 0.41),
        capsule((-0.030, 0.001, -0.075), (-0.062, 0.002, -0.142), 0.046, "shell"),
    ],
    "knee_link": [
        cylinder((0.0, -0.046, 0.0), (0.0, 0.046, 0.0), 0.046, "dark"),
        cylinder((0.0, -0.051, 0.0), (0.0, 0.051, 0.0), 0.032, "metal"),
        ellipsoid((0.020, 0.0, -0.082), (0.043, 0.046, 0.098), "shell"),
        capsule((0.012, 0.0, -0.12), (0.010, 0.0, -0.235), 0.029, "shell"),
        capsule((-0.018, 0.022, -0.10), (-0.016, 0.018, -0.275), 0.009, "metal"),
        capsule((-0.018, -0.022, -0.10), (-0.016, -0.018, -0.275), 0.009, "metal"),
        capsule((0.008, 0.0, -0.24), (0.0, 0.0, -0.292), 0.022, "dark"),
    ],
    "ankle_pitch_link": [
        cylinder((0.0, -0.028, 0.0), (0.0, 0.028, 0.0), 0.016, "metal"),
        cylinder((-0.022, 0.0, -0.0176), (0.022, 0.0, -0.0176), 0.012, "metal"),
    ],
    "ankle_roll_link": [
        box((0.030, 0.0, -0.0295), (0.082, 0.030, 0.0055), "dark"),
        cylinder((0.095, 0.0, -0.035), (0.095, 0.0, -0.024), 0.038, "dark"),
        cylinder((-0.035, 0.0, -0.035), (-0.035, 0.0, -0.024), 0.030, "dark"),
        ellipsoid((0.060, 0.0, -0.024), (0.072, 0.034, 0.024), "shell"),
        ellipsoid((-0.022, 0.0, -0.020), (0.042, 0.029, 0.024), "shell"),
        capsule((0.0, 0.0, -0.016), (0.045, 0.0, -0.016), 0.018, "dark"),
    ],
    "shoulder_pitch_link": [
        cylinder((0.0, -0.004, 0.0), (0.0, 0.040, -0.006), 0.042, "dark"),
        cylinder((0.0, 0.036, -0.008), (0.0, 0.062, -0.012), 0.036, "metal"),
    ],
    "shoulder_roll_link": [
        cylinder((-0.034, 0.0, 0.0), (0.034, 0.0, 0.0), 0.036, "dark"),
        ellipsoid((0.0, 0.008, -0.022), (0.042, 0.043, 0.062), "shell"),
        cylinder((0.0, 0.006, -0.096), (0.0, 0.006, -0.070), 0.034, "dark"),
    ],
    "shoulder_yaw_link": [
        ellipsoid((0.002, 0.0, -0.025), (0.036, 0.037, 0.055), "shell"),
        capsule((0.004, 0.0, -0.03), (0.012, 0.0, -0.065), 0.029, "shell"),
        cylinder((0.0158, -0.034, -0.0805), (0.0158, 0.034, -0.0805), 0.031, "dark"),
    ],
    "elbow_link": [
        cylinder((0.0, -0.037, 0.0), (0.0, 0.037, 0.0), 0.020, "metal"),
        ellipsoid((0.045, 0.001, -0.008), (0.062, 0.034, 0.034), "shell"),
        cylinder((0.086, 0.0019, -0.010), (0.101, 0.0019, -0.010), 0.030, "dark"),
    ],
    "wrist_roll_link": [
        capsule((0.010, 0.0, 0.0), (0.030, 0.0, 0.0), 0.025, "shell"),
        cylinder((0.038, -0.030, 0.0), (0.038, 0.030, 0.0), 0.021, "dark"),
    ],
    "wrist_pitch_link": [
        capsule((0.012, 0.0, 0.0), (0.034, 0.0, 0.0), 0.025, "shell"),
        cylinder((0.046, 0.0, -0.029), (0.046, 0.0, 0.029), 0.021, "dark"),
    ],
    "wrist_yaw_link": [
        capsule((0.010, 0.0, 0.0), (0.040, 0.0, 0.0), 0.022, "metal"),
        # Rubber hand: palm, four fingers in one, thumb.
        ellipsoid((0.082, 0.0, 0.0), (0.046, 0.018, 0.036), "dark"),
        capsule((0.105, -0.004, 0.018), (0.150, -0.014, 0.014), 0.0105, "dark"),
        capsule((0.108, -0.004, 0.000), (0.156, -0.015, -0.001), 0.0105, "dark"),
        capsule((0.105, -0.004, -0.018), (0.148, -0.014, -0.016), 0.0105, "dark"),
        capsule((0.070, -0.010, 0.030), (0.104, -0.026, 0.044), 0.0105, "dark"),
    ],
}  # fmt: skip

LOOK: dict[str, list[Part]] = TRUNK | {
    f"{side}_{name}": parts if side == "left" else [mirrored(part) for part in parts]
    for side in ("left", "right")
    for name, parts in LEFT.items()
}
