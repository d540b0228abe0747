"""Files are written whole or not at all, and found by path or by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from g1_mimic.errors import G1MimicError
from g1_mimic.files import atomic_write, find_file, share_dir


def test_failed_write_leaves_the_old_content(tmp_path: Path) -> None:
    """An exception in the middle of writing keeps the old file and leaves no other."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_write_replaces_at_once(tmp_path: Path) -> None:
    """After the block the new content is there, with ordinary permissions."""
    path = tmp_path / "sub" / "a.npz"
    with atomic_write(path) as temporary:
        assert temporary.suffix == ".npz"
        assert not path.exists()
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o044 == 0o044


def test_unwritable_folder_is_named(tmp_path: Path) -> None:
    """A folder that cannot be made is one line."""
    (tmp_path / "file").write_text("")
    with pytest.raises(G1MimicError, match="cannot write"), atomic_write(tmp_path / "file" / "a"):
        pass


def test_short_names_find_the_packages_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bare name, a name with suffix and the guide's path all find the package's profile."""
    monkeypatch.chdir(tmp_path)
    expected = share_dir() / "config" / "robots" / "g1_guide.yaml"
    for name in ("g1_guide", "g1_guide.yaml", "some/where/g1_guide.yaml"):
        found = find_file(name, subdirs=("config/robots",), suffixes=(".yaml",))
        assert found.resolve() == expected.resolve()


def test_own_file_wins_over_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the working directory is taken before the package's of the same name."""
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "g1_guide.yaml"
    mine.write_text("")
    found = find_file("g1_guide.yaml", subdirs=("config/robots",), suffixes=(".yaml",))
    assert found.samefile(mine)


def test_missing_file_lists_what_there_is() -> None:
    """The error names what was asked for and what the package offers."""
    with pytest.raises(G1MimicError, match=r"robot 'g2' not found.*g1_29dof"):
        find_file("g2", subdirs=("config/robots",), suffixes=(".yaml",), what="robot")


def test_named_data_folder_is_the_one_or_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where G1_MIMIC_SHARE points nowhere, no other folder is taken in its place."""
    monkeypatch.setenv("G1_MIMIC_SHARE", str(tmp_path))
    with pytest.raises(G1MimicError, match=f"{tmp_path}.*G1_MIMIC_SHARE"):
        share_dir()
