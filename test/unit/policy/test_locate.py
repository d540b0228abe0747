"""Which policy file a name means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from g1_mimic.errors import G1MimicError
from g1_mimic.policy.locate import default_policy, find_policy


def run(root: Path, name: str, time: int, files: tuple[str, ...]) -> Path:
    (root / name).mkdir()
    for file in files:
        (root / name / file).write_bytes(b"x")
        os.utime(root / name / file, (time, time))
    return root / name


def test_the_newest_run_with_a_policy_is_the_default(tmp_path: Path) -> None:
    """Runs without a policy, and other files of a run, are passed over."""
    run(tmp_path, "a", 1000, ("policy.onnx",))
    wanted = run(tmp_path, "b", 2000, ("policy.onnx", "policy_latest.onnx"))
    run(tmp_path, "c", 3000, ("policy_latest.onnx", "config.yaml"))
    assert default_policy(tmp_path) == wanted / "policy.onnx"


def test_a_run_folder_stands_for_its_policy(tmp_path: Path) -> None:
    """A folder means the policy in it; one without any is an error that says so."""
    folder = run(tmp_path, "a", 1000, ("policy.onnx",))
    assert find_policy(str(folder)) == folder / "policy.onnx"
    with pytest.raises(G1MimicError, match=r"has no policy\.onnx yet"):
        find_policy(str(run(tmp_path, "b", 1000, ())))
    with pytest.raises(G1MimicError, match="policy 'nothing' not found"):
        find_policy("nothing")


def test_without_runs_and_shipped_policies_the_user_is_told_to_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing to run is an error with the way out."""
    for name in ("models", "config"):
        (tmp_path / "share" / name).mkdir(parents=True)
    monkeypatch.setenv("G1_MIMIC_SHARE", str(tmp_path / "share"))
    with pytest.raises(G1MimicError, match="train"):
        default_policy(tmp_path / "runs")
    shipped = tmp_path / "share" / "models" / "policies" / "walk.onnx"
    shipped.parent.mkdir()
    shipped.write_bytes(b"x")
    assert default_policy(tmp_path / "runs") == shipped
