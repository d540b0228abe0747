"""``python -m ros2cli_standin`` is the ``ros2`` command."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
