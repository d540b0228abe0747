"""What a parameter file may hold is checked before ROS reads it."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")

from g1_mimic.nodes.launching import nested_list


@pytest.mark.parametrize(
    ("parameters", "key"),
    [
        ({"motion": "walk", "env": {"feet": "spheres"}, "x": [1, 2], "y": ["a:2", "b"]}, ""),
        ({"motion": [{"motion": "walk", "weight": 2}, "stand"]}, "motion"),
        ({"a": 1, "env": {"deep": {"list": [[1], [2]]}}}, "env.deep.list"),
    ],
)
def test_lists_that_ros_cannot_hold_are_found(parameters: dict[str, object], key: str) -> None:
    """The first key with a mapping or list inside a list, by its whole name."""
    assert nested_list(parameters) == key
