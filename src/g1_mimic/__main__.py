"""`python -m g1_mimic` is `g1-mimic`."""

import sys

from g1_mimic.cli.main import main

sys.exit(main())
