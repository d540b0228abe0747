"""Options that several commands have; nothing is imported here that takes time."""

from __future__ import annotations

import argparse


def add_settings_option(parser: argparse.ArgumentParser, about: str) -> None:
    """Let a command take ``--set KEY=VALUE`` any number of times.

    They come as the list ``settings`` of texts for `settings.parse_assignments`.
    """
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help=about
    )
