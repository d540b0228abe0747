"""The policy node in which a method raises as soon as a file exists, as one with a mistake would.

Environment: BROKEN_METHOD, BROKEN_SINCE.
"""

from __future__ import annotations

import os
import sys
from functools import wraps
from pathlib import Path
from typing import Any

from g1_mimic.nodes.entry import run_node


def create() -> Any:
    from g1_mimic.nodes.deployment.driver import Driver
    from g1_mimic.nodes.deployment.node import PolicyNode

    owner, name = os.environ["BROKEN_METHOD"].split(".")
    since, kind = Path(os.environ["BROKEN_SINCE"]), {"Driver": Driver, "PolicyNode": PolicyNode}
    method = getattr(kind[owner], name)

    @wraps(method)
    def broken(self: Any, *args: Any) -> Any:
        if since.exists():
            raise ValueError("a mistake\nin two lines")
        return method(self, *args)

    setattr(kind[owner], name, broken)
    return PolicyNode()


if __name__ == "__main__":
    sys.exit(run_node("__main__:create"))
