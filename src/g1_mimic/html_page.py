"""One self-contained HTML page of text, tables and figures: nothing else needs to be beside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1b1e23; background: #fff;
       max-width: 1180px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; margin: 0 0 .3em; } h2 { font-size: 1.15em; margin: 1.8em 0 .5em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .18em .8em .18em 0; text-align: left; border-bottom: 1px solid #e4e6ea; }
th { font-weight: 600; color: #555c66; } td.number, th.number { text-align: right; }
img, video { max-width: 100%; height: auto; }
"""


def html_page(title: str, *parts: str) -> str:
    """Return a page with ``parts`` (HTML) under its title (text)."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style></head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def html_heading(text: str) -> str:
    """Return a heading below the title."""
    return f"<h2>{escape(text)}</h2>"


def html_text(text: str) -> str:
    """Return a paragraph."""
    return f"<p>{escape(text)}</p>"


def html_table(rows: Iterable[Sequence[object]], header: Sequence[str] = ()) -> str:
    """Return a table; numbers (given as numbers) are rounded to 4 digits and stand at the right.

    Args:
        rows: the cells.
        header: names of the columns; empty: none.
    """
    lines = ["<table>"]
    listed = [list(row) for row in rows]
    if header:
        numbers = [isinstance(cell, int | float) for cell in listed[0]] if listed else []
        cells = [_cell("th", name, n) for name, n in zip(header, numbers, strict=False)]
        lines.append(f"<tr>{''.join(cells or [_cell('th', name, False) for name in header])}</tr>")
    for row in listed:
        cells = [_cell("td", cell, isinstance(cell, int | float)) for cell in row]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</table>"])


def _cell(tag: str, value: object, number: bool) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    attribute = ' class="number"' if number else ""
    return f"<{tag}{attribute}>{escape(text)}</{tag}>"


def html_figure(figure: Figure, description: str) -> str:
    """Return a figure as a picture inside the page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return html_picture(buffer.getvalue(), description)


def html_picture(png: bytes, description: str) -> str:
    """Return a picture inside the page."""
    data = base64.b64encode(png).decode()
    return f'<img alt="{escape(description)}" src="data:image/png;base64,{data}">'


def html_film(mp4: bytes, description: str) -> str:
    """Return a film inside the page, which plays by itself over and over."""
    data = base64.b64encode(mp4).decode()
    return (
        f'<video title="{escape(description)}" autoplay loop muted controls '
        f'src="data:video/mp4;base64,{data}"></video>'
    )
