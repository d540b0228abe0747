"""What MkDocs adds to the pages under docs/: tables from the code, and files from elsewhere.

A line ``<!-- table: NAME -->`` in a page becomes the table of that name, made from the code that
runs: what it says cannot grow stale. The files of `BROUGHT_IN` lie where readers of the sources
look for them and are pages all the same. Links are written as they work in the sources; to a file
that is no page, the built page keeps the words alone.
"""

from __future__ import annotations

import argparse
import importlib
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]

BROUGHT_IN = {
    "README.md": "index.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "QUALITY_DECLARATION.md": "project/quality_declaration.md",
    "SECURITY.md": "project/security.md",
    "models/motions/README.md": "shipped/motions.md",
    "models/policies/README.md": "shipped/policies.md",
    "benchmarks/results/README.md": "measured/index.md",
} | {
    path.relative_to(ROOT).as_posix(): f"measured/{path.relative_to(ROOT / 'benchmarks/results')}"
    for path in sorted((ROOT / "benchmarks" / "results").rglob("*"))
    if path.suffix in (".md", ".png") and path.name != "README.md"
}
"""Files outside docs/ by their place among the pages."""

HIGHLIGHTING = "highlighting.css"


# What MkDocs calls ------------------------------------------------------------------------------


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Bring in the files from elsewhere, and the colours of code."""
    from pygments.formatters import HtmlFormatter

    for source, target in BROUGHT_IN.items():
        files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    colours = HtmlFormatter(style="default").get_style_defs(".highlight")
    files.append(File.generated(config, HIGHLIGHTING, content=colours))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put in the tables, and lead links to where the pages are."""
    place = page.file.src_uri
    sources = {target: source for source, target in BROUGHT_IN.items()}
    folder = posixpath.dirname(sources.get(place, f"docs/{place}"))

    def led(match: re.Match[str]) -> str:
        words, target, anchor = match.groups()
        source = posixpath.normpath(posixpath.join(folder, target))
        known = BROUGHT_IN.get(source, source.removeprefix("docs/"))
        if files.get_file_from_path(known) is not None:
            return f"{words}({posixpath.relpath(known, posixpath.dirname(place) or '.')}{anchor})"
        return words[1:-1] if (ROOT / source).exists() and not words.startswith("!") else match[0]

    markdown = _LINK.sub(led, markdown)
    return _TABLE.sub(lambda match: _table(match[1], place), markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Refuse a page that would ask another host for anything when it is opened."""
    tags = r"<(?:script|img|iframe|link(?! rel=.canonical))\b[^>]*\"((?:https?:)?//[^\"]*)"
    if asked := re.search(tags, output):
        raise PluginError(f"{page.file.src_uri} asks another host for {asked[1]}")
    return output


_LINK = re.compile(r"(!?\[[^\]]*\])\((?![a-z]+:|#)([^)#\s]+)((?:#[^)\s]*)?)\)")
_TABLE = re.compile(r"^<!-- table: (.+) -->$", re.MULTILINE)


def _table(name: str, place: str) -> str:
    try:
        make = TABLES[name]
    except KeyError:
        raise PluginError(
            f"{place}: there is no table '{name}', only {', '.join(TABLES)}"
        ) from None
    return make()


# Tables -----------------------------------------------------------------------------------------


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table; bars within cells are escaped."""

    def line(cells: Iterable[str]) -> str:
        return (
            "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
        )

    head = list(header)
    return "\n".join([line(head), "|" + "---|" * len(head), *map(line, rows)])


def settings(where: str) -> Callable[[], str]:
    """Return what makes the table of the settings class ``module:name``."""

    def make() -> str:
        from g1_mimic.settings import settings_rows

        rows = (
            (
                f"`{row.key}`",
                row.values,
                f"`{row.default}`" if row.default else "(must be given)",
                row.description + " *(live)*" * row.live,
            )
            for row in settings_rows(_load(where))
        )
        return markdown_table(("setting", "values", "default", "meaning"), rows)

    return make


def reward(where: str) -> Callable[[], str]:
    """Return what makes the table of the terms of a set of rewards."""

    def make() -> str:
        from g1_mimic.envs.rewards import reward_terms_table

        rows = ((f"`{name}`", *told) for name, *told in reward_terms_table(_load(where)))
        return markdown_table(("term", "weight", "`_std`", "of what"), rows)

    return make


def replay_strategies() -> str:
    """Return the table of the ways to choose the transitions that are learned from."""
    from g1_mimic.learning.replay_strategies import strategies_table

    rows = (
        (f"`{name}`", *told, f"`{keys}`" if keys else "")
        for name, *told, keys in strategies_table()
    )
    return markdown_table(("`sampling`", "transitions are drawn", "when", "source", "keys"), rows)


def start_strategies() -> str:
    """Return the table of the ways to choose where in the clip episodes start."""
    from g1_mimic.envs.starts import strategies_table

    rows = ((f"`{name}`", *told) for name, *told in strategies_table())
    return markdown_table(("`phase.strategy`", "episodes start", "when", "source"), rows)


def randomisation() -> str:
    """Return the table of what may differ from robot to robot, with the ranges of the presets."""
    from g1_mimic.envs.randomisation import PRESETS, randomisation_table

    rows = ((f"`{key}`", *told) for key, *told in randomisation_table())
    return markdown_table(("key", "what", "default", *(f"`{name}`" for name in PRESETS)), rows)


def motion_formats() -> str:
    """Return the table of the files that clips are read from, and written to."""
    from g1_mimic.motion.files import motion_formats_table

    rows = (
        (f"`{name}`", title, suffix or "(a folder)", "yes" * written)
        for name, title, suffix, written in motion_formats_table()
    )
    return markdown_table(("`--format`", "what", "suffix", "written, too"), rows)


def policy_families() -> str:
    """Return the table of whose policy files are read."""
    from g1_mimic.policy.readers import families_table

    rows = (
        (row.name, row.about, ", ".join(f"`{name}`" for name in row.outputs))
        for row in families_table()
    )
    return markdown_table(("family", "what its files are like", "outputs"), rows)


def fault_kinds() -> str:
    """Return the table of what breaks on purpose."""
    from g1_mimic.simulation.fault_kinds import fault_kinds_table

    rows = (
        (
            f"`{row.kind}`",
            row.description,
            "; ".join(
                f"`{p.key}` ({p.values}): {p.description}".rstrip(".") for p in row.parameters
            ),
        )
        for row in fault_kinds_table()
    )
    return markdown_table(("kind", "what", "beside `at` and `duration`"), rows)


def launch(file: str) -> Callable[[], str]:
    """Return what makes the table of a launch file's arguments."""

    def make() -> str:
        from launch.launch_description_sources import get_launch_description_from_python_launch_file

        path = ROOT / "launch" / file
        arguments = get_launch_description_from_python_launch_file(str(path)).get_launch_arguments()
        rows = ((f"`{argument.name}`", argument.description) for argument in arguments)
        return markdown_table(("argument", "meaning"), rows)

    return make


def commands() -> str:
    """Return what ``--help`` says of each command of ``g1-mimic``."""
    from g1_mimic.cli.main import build_parser

    os.environ["COLUMNS"] = "100"
    return "\n\n".join(_commands(build_parser(), "g1-mimic"))


def _commands(parser: argparse.ArgumentParser, name: str) -> Iterator[str]:
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not groups:
        yield f"## {name}\n\n```text\n{parser.format_help()}```"
    for group in groups:
        for word, command in group.choices.items():
            yield from _commands(command, f"{name} {word}")


def _load(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)


TABLES: dict[str, Callable[[], str]] = {
    "commands": commands,
    "fault_kinds": fault_kinds,
    "motion_formats": motion_formats,
    "policy_families": policy_families,
    "randomisation": randomisation,
    "replay strategies": replay_strategies,
    "start strategies": start_strategies,
    "reward tracking": reward("g1_mimic.envs.rewards:TrackingReward"),
    "reward deepmimic": reward("g1_mimic.envs.rewards:DeepMimicReward"),
    "train.launch.py": launch("train.launch.py"),
    "deploy_sim.launch.py": launch("deploy_sim.launch.py"),
    "trainer": settings("g1_mimic.learning.config:TrainConfig"),
    "mujoco_sim": settings("g1_mimic.simulation.settings:SimSettings"),
    "policy": settings("g1_mimic.nodes.deployment.settings:PolicyNodeSettings"),
    "recorder": settings("g1_mimic.nodes.recorder_node:RecorderSettings"),
    "monitor": settings("g1_mimic.nodes.monitor.node:MonitorSettings"),
    "task": settings("g1_mimic.envs.task:TaskConfig"),
    "actuator": settings("g1_mimic.robot.profile:ActuatorSettings"),
}
"""By the names that pages ask for."""
