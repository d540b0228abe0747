"""Tables on the terminal."""

from __future__ import annotations

from typing import Any


def print_table(title: str, values: dict[str, Any]) -> None:
    """Print names and values; of long lists the first few."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, show_header=False)
    for name, value in values.items():
        if isinstance(value, list | tuple) and len(value) > 8:
            text = f"{len(value)} values: {', '.join(short(v) for v in value[:4])}, …"
        elif isinstance(value, list | tuple):
            text = ", ".join(short(v) for v in value)
        else:
            text = short(value)
        table.add_row(name, text)
    Console().print(table)


def short(value: Any) -> str:
    """Return a value in few characters: floats in four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
