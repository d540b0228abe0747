"""What tests share that add one more entry to a table, and look for it in all places.

Settings are read from a table when their module is imported. A test that adds to one does so in an
interpreter of its own, before anything else is imported, as the entry would stand in the source.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest


def in_a_fresh_interpreter(check: Callable[[], None]) -> None:
    """Run ``check``, which must import all that it uses, in a Python that has imported nothing."""
    path = [str(Path(__file__).parent), *sys.path]
    code = f"import sys\nsys.path[:] = {path!r}\n{textwrap.dedent(inspect.getsource(check))}\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{check.__name__}()"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def shown_everywhere(key: str, default: str, description: str) -> None:
    """Check that a setting of a training run is told in all places: in a fresh interpreter.

    Those are the check of YAML files (which suggests it), the table of all settings, ``--help`` and
    the descriptions of a node's parameters.
    """
    from g1_mimic.errors import G1MimicError
    from g1_mimic.learning.config import TrainConfig
    from g1_mimic.settings import merge, parse_assignments, settings_rows, validate

    wrong = merge({}, parse_assignments([f"{key}_={default}"]))
    with pytest.raises(G1MimicError, match=f"did you mean '{key.rpartition('.')[2]}'"):
        validate(TrainConfig, wrong, "x.yaml")
    (row,) = (row for row in settings_rows(TrainConfig) if row.key == key)
    assert (row.default, row.description) == (default, description)
    assert f"{key}={default}" in help_of("train")
    if rclpy_is_there():
        from g1_mimic.nodes.shared.parameters import descriptors

        assert descriptors(TrainConfig)[key].description == description


def help_of(*command: str) -> str:
    """Return what ``--help`` of a command says, each piece of white space one blank."""
    from g1_mimic.cli.main import main

    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        main([*command, "--help"])
    return " ".join(out.getvalue().split())


def rclpy_is_there() -> bool:
    """Whether ROS's messages can be imported here."""
    try:
        import rcl_interfaces.msg  # noqa: F401
    except ImportError:
        return False
    return True
