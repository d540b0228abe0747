"""What commands' options are made of; those that are settings come from the settings' fields.

Nothing is imported here that takes time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from g1_mimic.settings import Settings


class Command(argparse.ArgumentParser):
    """The parser of one command, which looks up its options only when it is used.

    So the settings of one command cost the others no time.

    Args:
        fill: adds the options and sets ``run``, a function from the namespace to the exit status,
            which raises ``G1MimicError`` for what the user can mend.
        settings: of ``ArgumentParser``.
    """

    def __init__(self, *, fill: Callable[[Command], None] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self._fill_in = fill
        self._listing = ""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse the arguments behind the command."""
        self._filled()
        return super().parse_known_args(args, namespace)

    def format_help(self) -> str:
        """Return what ``--help`` prints."""
        self._filled()
        return super().format_help() + self._listing

    def _filled(self) -> None:
        if self._fill_in is not None:
            fill, self._fill_in = self._fill_in, None
            fill(self)

    def add_settings(self, model: type[Settings], *keys: str) -> None:
        """Add an option for each of some settings: its type, choices, default and help are theirs.

        An option that is not given is None. What it may be, the settings check themselves.

        Args:
            model: class of the settings.
            keys: the settings; of a dotted one the last word is the option's name.
        """
        from g1_mimic.settings import settings_rows

        rows = {row.key: row for row in settings_rows(model)}
        for row in map(rows.__getitem__, keys):
            flag = f"--{row.key.rpartition('.')[2].replace('_', '-')}"
            text = row.description.removesuffix(".").replace("%", "%%")
            if row.default.strip("'"):
                text += f" (default: {row.default})"
            if row.kind is bool:
                self.add_argument(flag, action="store_true", default=None, help=text)
            else:
                kind = row.kind if row.kind in (int, float) else str
                shown = f"{{{','.join(row.choices)}}}" if row.choices else None
                self.add_argument(flag, type=kind, metavar=shown, help=text)

    def add_set(self, model: type[Settings], about: str) -> None:
        """Add ``--set KEY=VALUE``, any number of times, and list the keys below all options.

        They come as the list ``settings`` of texts for `settings.parse_assignments`.
        """
        from g1_mimic.settings import settings_rows

        self.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help=about
        )
        lines = []
        for row in settings_rows(model):
            values = "" if row.values.split()[0] in ("text", "list") else f"  ({row.values})"
            lines.append(f"  {row.key}={row.default}{values}")
        self._listing += "\n".join(["\nkeys of --set, by default:", *lines, ""])


def add_output(parser: argparse.ArgumentParser, about: str, **settings: Any) -> None:
    """Add ``-o``, the file that a command writes."""
    parser.add_argument("-o", "--output", required=True, help=about, **settings)


def given(args: argparse.Namespace, *keys: str) -> dict[str, Any]:
    """Return those of the options of ``add_settings`` that were given, nested by their keys."""
    from g1_mimic.settings import nest

    values = {key: getattr(args, key.rpartition(".")[2]) for key in keys}
    return nest({key: value for key, value in values.items() if value is not None})
