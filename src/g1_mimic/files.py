"""Where files are found, and how they are written: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from g1_mimic.errors import G1MimicError, MissingFile, WriteError


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it when the block succeeds.

    The content is synced before the rename, so that after a crash ``path`` holds either the old
    or the new content. If the block raises, ``path`` is untouched and the temporary file is gone.

    Raises:
        WriteError: if the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix is kept: writers such as numpy and imageio choose the format by it.
        descriptor, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem}.", suffix=f".tmp{path.suffix}"
        )
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror}") from error
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        # mkstemp makes private files; what a user asked for should have ordinary permissions.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    except G1MimicError:
        raise  # of the block: not of this file
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def share_dir() -> Path:
    """Return the folder that holds ``config``, ``models`` and ``launch`` of the package.

    It is ``$G1_MIMIC_SHARE`` if that is set, else inside the installed package, else the checkout
    that the package is imported from (or linked to), so that changes there count at once.

    Raises:
        G1MimicError: if it is not there.
    """
    package = Path(__file__)
    candidates = [package.with_name("share"), package.resolve().parents[2]]
    remedy = "reinstall it"
    if explicit := os.environ.get("G1_MIMIC_SHARE"):
        candidates, remedy = [Path(explicit)], "set G1_MIMIC_SHARE to another one, or unset it"
    for candidate in candidates:
        if (candidate / "models").is_dir() and (candidate / "config").is_dir():
            return candidate
    searched = " and ".join(str(candidate) for candidate in candidates)
    raise MissingFile(f"the package's data folder is missing (not in {searched}); {remedy}")


def find_file(
    name: str | os.PathLike[str],
    *,
    subdirs: Iterable[str] = (),
    suffixes: Iterable[str] = (),
    beside: Path | None = None,
    what: str = "file",
) -> Path:
    """Find a file that a user named by path or by short name.

    Tried in this order: the path as it stands (absolute, relative to ``beside``, to the working
    directory, to the package share), then by file name alone in the package's own ``subdirs``
    (e.g. ``models/motions``), each also with every suffix in ``suffixes`` appended. So ``walk``,
    ``walk.json`` and ``data/motions/walk.json`` all find the package's walk.

    Raises:
        G1MimicError: if nothing matches; the message lists what the package offers.
    """
    raw = Path(os.path.expanduser(os.fspath(name)))
    share = share_dir()
    endings = ("", *suffixes)
    roots = [root for root in (beside, Path.cwd(), share) if root is not None]
    candidates = [root / raw for root in roots]  # an absolute path replaces the root
    candidates += [share / subdir / raw.name for subdir in subdirs]
    for candidate in candidates:
        for ending in endings:
            path = candidate.with_name(candidate.name + ending) if ending else candidate
            if os.path.isfile(path):  # unlike is_file it has no exception for what cannot be
                return path
    offered = sorted({p.stem for s in subdirs for e in suffixes for p in (share / s).glob(f"*{e}")})
    hint = f"; the package offers: {', '.join(offered)}" if offered else ""
    raise MissingFile(f"{what} '{name}' not found{hint}")
