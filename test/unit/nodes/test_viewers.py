"""The configurations of rqt and RViz that the package has, read as these programs read them."""

from __future__ import annotations

import ast
import json
import struct
from pathlib import Path
from typing import Any

import pytest
import yaml

CONFIG = Path(__file__).resolve().parents[3] / "config"


def values(group: dict[str, Any]) -> dict[str, Any]:
    """The settings of a group, by rqt's two encodings: a literal, or bytes as hex digits."""
    result = {}
    for key, value in group["keys"].items():
        text = value[value["type"]]
        if value["type"] == "repr(QByteArray.hex)":
            digits = ast.literal_eval(text.removeprefix("QtCore.QByteArray(").removesuffix(")"))
            result[key] = bytes.fromhex(digits.decode())
        else:
            assert value["type"] == "repr"
            result[key] = ast.literal_eval(text)
    return result


@pytest.mark.parametrize(
    ("name", "plugins", "topics"),
    [
        ("train", {"rqt_plot/Plot", "rqt_reconfigure/Param", "rqt_service_caller/ServiceCaller",
                   "rqt_console/Console"},
         {"/train/return/data", "/train/eval/survival/data", "/train/eval/score/data"}),
        ("deploy", {"rqt_plot/Plot", "rqt_reconfigure/Param", "rqt_service_caller/ServiceCaller",
                    "rqt_console/Console", "rqt_publisher/Publisher", "rqt_graph/RosGraph"},
         {"/policy/tracking_error/joint_pos/data", "/policy/inference_ms/data"}),
    ],
)  # fmt: skip
def test_perspectives_open_the_panels(name: str, plugins: set[str], topics: set[str]) -> None:
    """Every panel is running, has its settings, and has a place in the window's layout."""
    tree = json.loads((CONFIG / "rqt" / f"{name}.perspective").read_text(encoding="utf-8"))
    manager, window = (tree["groups"][group] for group in ("pluginmanager", "mainwindow"))
    running = values(manager)["running-plugins"]
    assert set(running) == plugins
    identities = {f"{p.replace('/', '__')}__{n}" for p, numbers in running.items() for n in numbers}
    assert {f"plugin__{identity}" for identity in identities} == set(manager["groups"])
    state = values(window)["state"]  # dock names are in it as Qt writes strings: UTF-16
    for identity in identities:
        assert state.count(f"{identity}__".encode("utf-16-be")) == 1, identity
    plotted: set[str] = set()
    for panel, group in manager["groups"].items():
        settings = values(group["groups"]["plugin"]) if "plugin" in group["groups"] else {}
        shown = settings.get("topics", [])
        plotted |= {shown} if isinstance(shown, str) else set(shown)
        if "Plot" in panel:  # seconds that are seen; rqt's own default is a single one
            assert settings["x_limits"][1] - settings["x_limits"][0] >= 30.0
    assert plotted == topics


@pytest.mark.parametrize("name", ["train", "deploy"])
def test_perspectives_have_their_size_on_any_screen(name: str) -> None:
    """Qt ignores a geometry from a screen of much another width; zero is a width not known."""
    tree = json.loads((CONFIG / "rqt" / f"{name}.perspective").read_text(encoding="utf-8"))
    geometry = values(tree["groups"]["mainwindow"])["geometry"]
    magic, major, _, *normal = struct.unpack(">IHH16x4i", geometry[:40])
    left, top, right, bottom = normal
    assert (magic, major) == (0x1D9D0CB, 3)
    assert (right - left, bottom - top) == (1600 - 1, 950 - 1)
    assert struct.unpack(">i", geometry[46:50]) == (0,)


def test_rviz_shows_the_robot() -> None:
    """The fixed frame is the odometry's, and markers, description, tf and a grid are there."""
    content = yaml.safe_load((CONFIG / "rviz" / "g1_mimic.rviz").read_text(encoding="utf-8"))
    manager = content["Visualization Manager"]
    assert manager["Global Options"]["Fixed Frame"] == "odom"
    displays = {d["Class"].removeprefix("rviz_default_plugins/"): d for d in manager["Displays"]}
    assert {"Grid", "MarkerArray", "RobotModel", "TF"} <= set(displays)
    assert displays["MarkerArray"]["Topic"]["Value"] == "/robot_markers"
    assert displays["RobotModel"]["Description Topic"]["Value"] == "/robot_description"
    assert displays["RobotModel"]["Description Topic"]["Durability Policy"] == "Transient Local"
