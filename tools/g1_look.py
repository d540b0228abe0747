"""The look of the G1, in MuJoCo primitives."""

from __future__ import annotations

MATERIALS: dict[str, dict] = {
    "shell": {"rgba": [0.85, 0.85, 0.87, 1], "specular": 0.5, "shininess": 0.4},
    "dark": {"rgba": [0.12, 0.12, 0.13, 1], "specular": 0.4, "shininess": 0.4},
}
LOOK: dict[str, list[dict]] = {}
