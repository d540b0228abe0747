#!/usr/bin/env python3
"""Write config/rqt/train.perspective and deploy.perspective: which rqt panels are open, and where.

Usage: QT_QPA_PLATFORM=offscreen generate_rqt_perspectives.py [FOLDER]    (needs PyQt5)

A perspective is what rqt exports: a tree of keys and groups, the layout as Qt's window state.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from PyQt5.QtCore import QByteArray, Qt
from PyQt5.QtWidgets import QApplication, QDockWidget, QMainWindow, QSplitter, QWidget

from g1_mimic.files import atomic_write_text

_SIZE = (1600, 950)


@dataclass(frozen=True)
class Panel:
    """A plugin of rqt.

    Attributes:
        plugin: package and class, as in the package's plugin.xml.
        widget: object name of its widget, which names the dock.
        number: of the instance.
        settings: of the instance.
    """

    plugin: str
    widget: str
    number: int = 1
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """Name of the instance in settings and docks."""
        return f"{self.plugin.replace('/', '__')}__{self.number}"

    @property
    def dock(self) -> str:
        """Object name of its dock."""
        return f"{self.identity}__{self.widget}"


def plot(number: int, *topics: str, seconds: float, top: float) -> Panel:
    """Return a plot of some fields of topics; a single one is kept as a string.

    Args:
        number: of the instance.
        topics: what it shows.
        seconds: how much of the past it shows.
        top: of the y axis to begin with; it grows with what is shown.
    """
    settings = {
        "autoscroll": True,
        "topics": topics[0] if len(topics) == 1 else list(topics),
        "x_limits": [0.0, seconds],
        "y_limits": [0.0, top],
    }
    return Panel("rqt_plot/Plot", "DataPlotWidget", number, settings)


def publishers(**topics: str) -> Panel:
    """Return a publisher of messages, by topic and type, none of them sent by itself."""
    messages = [
        {"topic_name": f"/{name}", "type_name": kind, "rate": 1.0, "enabled": False,
         "expressions": {}}
        for name, kind in topics.items()
    ]  # fmt: skip
    settings: dict[str, object] = {"publishers": repr(messages)}
    return Panel("rqt_publisher/Publisher", "PublisherWidget", settings=settings)


def services(name: str) -> Panel:
    """Return a service caller with a service chosen."""
    settings: dict[str, object] = {"current_service_name": name}
    return Panel("rqt_service_caller/ServiceCaller", "ServiceCallerWidget", settings=settings)


def reconfigure(*nodes: str) -> Panel:
    """Return the parameters of some nodes; a node that does not run is left out."""
    settings: dict[str, object] = {"selected_nodes": list(nodes)}
    return Panel("rqt_reconfigure/Param", "_plugincontainer_top_widget", settings=settings)


def console() -> Panel:
    """Return the log with its filters folded away, which would take most of the room."""
    splitter = QSplitter(Qt.Vertical)
    for _ in range(2):
        splitter.addWidget(QWidget())
    splitter.setSizes([1, 0])
    settings: dict[str, object] = {"table_splitter": splitter.saveState()}
    return Panel("rqt_console/Console", "ConsoleWidget", settings=settings)


GRAPH = Panel(
    "rqt_graph/RosGraph", "RosGraphUi", settings={"graph_type_combo_box_index": 1}
)  # nodes and the topics between them


def perspectives() -> dict[str, list[list[list[Panel]]]]:
    """Return what is open: columns of rows of panels; panels of one row are tabs.

    The panels' least sizes add up to a window for which a screen of 1366 x 768 has room. The robot
    monitor is not among them: it takes rqt's node for itself (rclpy.spin_once in a timer), and then
    all other panels get one message per second.
    """
    return {
        "train": [
            [
                [plot(1, "/train/return/data", seconds=300.0, top=1.0)],
                [plot(2, "/train/eval/survival/data", "/train/eval/score/data",
                      seconds=300.0, top=1.0)],
                [console(), services("/trainer/save_checkpoint")],
            ],
            [[reconfigure("/trainer")]],
        ],
        "deploy": [
            [
                [plot(1, "/policy/tracking_error/joint_pos/data", seconds=30.0, top=0.1)],
                [plot(2, "/policy/inference_ms/data", seconds=30.0, top=0.5)],
                [console(), services("/policy/stop"), publishers(e_stop="std_msgs/msg/Empty")],
            ],
            [[GRAPH], [reconfigure("/policy", "/mujoco_sim")]],
        ],
    }  # fmt: skip


def _dock(window: QMainWindow, panel: Panel) -> QDockWidget:
    dock = QDockWidget(window)
    dock.setObjectName(panel.dock)
    dock.setWidget(QWidget())
    return dock


def _for_any_screen(geometry: QByteArray) -> QByteArray:
    """Return the geometry without the width of the screen on which the window was.

    Qt ignores a geometry from a screen that is a quarter wider or narrower than its own, and Qt's
    offscreen one has 800 pixels. Zero is "not known", as in the files of Qt's older versions.
    """
    # Magic number, version, two rectangles, the screen's number, two flags; then the width.
    return geometry.replace(4 + 4 + 2 * 16 + 4 + 2, 4, bytes(4))


def layout(columns: list[list[list[Panel]]]) -> tuple[QByteArray, QByteArray]:
    """Return geometry and state of a main window with the panels as docks."""
    window = QMainWindow()
    window.setObjectName("MainWindow")
    window.setDockNestingEnabled(True)
    window.resize(*_SIZE)
    docks = [[[_dock(window, panel) for panel in row] for row in column] for column in columns]
    # In this order: what is split off a tab becomes another tab.
    window.addDockWidget(Qt.BottomDockWidgetArea, docks[0][0][0])
    for left, right in pairwise(docks):
        window.splitDockWidget(left[0][0], right[0][0], Qt.Horizontal)
    for column in docks:
        for above, below in pairwise(column):
            window.splitDockWidget(above[0], below[0], Qt.Vertical)
    for first, *others in chain.from_iterable(docks):
        for other in others:
            window.tabifyDockWidget(first, other)
        first.raise_()
    tops = [column[0][0] for column in docks]
    window.resizeDocks(tops, [_SIZE[0] // len(tops)] * len(tops), Qt.Horizontal)
    for column in docks:
        rows = [row[0] for row in column]
        window.resizeDocks(rows, [_SIZE[1] // len(rows)] * len(rows), Qt.Vertical)
    window.show()
    QApplication.processEvents()
    return _for_any_screen(window.saveGeometry()), window.saveState()


def _value(value: object) -> dict[str, str]:
    """Return a setting as rqt's export writes it."""
    if isinstance(value, QByteArray):
        return {
            "repr(QByteArray.hex)": f"QtCore.QByteArray({bytes(value.toHex())!r})",
            "type": "repr(QByteArray.hex)",
        }
    return {"repr": repr(value), "type": "repr"}


def _group(keys: dict[str, Any], groups: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"keys": {key: _value(value) for key, value in keys.items()}, "groups": groups or {}}


def perspective(columns: list[list[list[Panel]]]) -> dict[str, Any]:
    """Return the contents of a perspective file."""
    panels = [panel for column in columns for row in column for panel in row]
    running: dict[str, list[int]] = {}
    for panel in panels:
        running.setdefault(panel.plugin, []).append(panel.number)
    plugins = {
        f"plugin__{panel.identity}": _group(
            {}, {"plugin": _group(panel.settings)} if panel.settings else {}
        )
        for panel in panels
    }
    geometry, state = layout(columns)
    return _group(
        {},
        {
            "mainwindow": _group({"geometry": geometry, "state": state}),
            "pluginmanager": _group({"running-plugins": running}, plugins),
        },
    )


def main(arguments: list[str]) -> int:
    """Write the files."""
    if len(arguments) > 1:
        print("usage: generate_rqt_perspectives.py [FOLDER]", file=sys.stderr)
        return 2
    default = Path(__file__).resolve().parents[1] / "config" / "rqt"
    folder = Path(arguments[0]) if arguments else default
    folder.mkdir(parents=True, exist_ok=True)
    application = QApplication([])
    for name, columns in perspectives().items():
        text = json.dumps(perspective(columns), indent=2) + "\n"
        atomic_write_text(folder / f"{name}.perspective", text)
    del application
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
