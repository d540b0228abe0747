"""The pages name what is there: files, headings; and the README is a front page."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(path for top in ("docs", "models", "benchmarks") for path in (ROOT / top).rglob("*.md")),
    ]
)

_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]*)(?:#([^)\s]*))?\)")
_PATH = re.compile(
    r"(?<![\w/.~-])(?:src|test|docs|config|launch|tools|benchmarks|models)/[\w./-]*\w"
)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as MkDocs and the hosts of repositories make them."""
    text = _CODE.sub("", page.read_text(encoding="utf-8"))
    return {
        re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }


def test_links_lead_somewhere():
    """Every relative link is to a file that is there, every anchor to a heading in it."""
    wrong = set()
    for page in PAGES:
        for target, anchor in _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8"))):
            file = page.parent / target if target else page
            # Headings within a table that is made while the pages are built are MkDocs' to check.
            made = file.suffix == ".md" and "<!-- table:" in file.read_text(encoding="utf-8")
            if not file.exists() or (anchor and not made and anchor not in anchors(file)):
                wrong.add(f"{page.relative_to(ROOT)}: {target}#{anchor}")
    assert not wrong


def test_named_files_are_there():
    """Every path that begins with a folder of ours exists, in text, examples and docstrings."""
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    for top in ("src", "tools", "benchmarks", "launch", "config"):
        for path in (ROOT / top).rglob("*"):
            if path.suffix in (".py", ".yaml"):
                texts[path] = path.read_text(encoding="utf-8")
    missing = {
        f"{file.relative_to(ROOT)}: {name}"
        for file, text in texts.items()
        for name in _PATH.findall(text)
        if file.suffix == ".md" or name.endswith((".py", ".md"))
        if not (ROOT / name).exists() and not (file.parent / name).exists()
    }
    assert not missing


def test_docstrings_name_what_is_there():
    """A name in backticks that begins with a room, such as `envs.task.Task`, leads into it."""
    package = ROOT / "src" / "g1_mimic"
    rooms = "|".join(path.name for path in package.iterdir() if (path / "__init__.py").exists())
    names = re.compile(rf"`(?:g1_mimic\.)?((?:{rooms})\.\w+)\.[\w.]+`")
    missing = set()
    for path in [*package.rglob("*.py"), *PAGES]:
        for name in names.findall(path.read_text(encoding="utf-8")):
            place = package / name.replace(".", "/")
            if not (place.is_dir() or place.with_suffix(".py").exists()):
                missing.add(f"{path.relative_to(ROOT)}: {name}")
    assert not missing


def test_readme_is_short():
    """What is longer belongs on a page of its own."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 250
