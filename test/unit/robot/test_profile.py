"""Robot profiles: the numbers, their expansion and what a wrong file says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from g1_mimic.errors import G1MimicError
from g1_mimic.robot import G1_ACTION_SCALE, guide
from g1_mimic.robot.names import JOINT_NAMES
from g1_mimic.robot.profile import RobotProfile, load_profile

PUBLISHED = {
    # joints: stiffness, damping, action scale (rad), effort; as trackers for the G1 publish them
    r".*_hip_pitch|.*_hip_yaw|waist_yaw": (40.179238471, 2.557889765, 0.547546465, 88.0),
    r".*_hip_roll|.*_knee": (99.098427777, 6.308801854, 0.350661466, 139.0),
    r".*_ankle_.*|waist_roll|waist_pitch": (28.501246196, 1.814445687, 0.438577314, 50.0),
    r".*_shoulder_.*|.*_elbow|.*_wrist_roll": (14.250623098, 0.907222843, 0.438577314, 25.0),
    r".*_wrist_pitch|.*_wrist_yaw": (16.778327481, 1.068141502, 0.074500870, 5.0),
}
"""Independent of the YAML: typed in from the published gains."""

GUIDE = {
    # class: armature, stiffness, damping, torque limit, velocity limit. The guide gives the hip
    # rolls no speed: the hardware's.
    "5020": (0.003609725, 99.098427777, 6.308801853, 8.0, 4.363323),
    "7520_14": (0.010177520, 99.098427777, 6.308801853, 14.0, 4.363323),
    "7520_16": (0.010177520, 99.098427777, 6.308801853, 16.0, 4.363323),
    "left_hip_roll": (0.025101925, 99.098427777, 6.308801853, 139.0, 20.0),
    "right_hip_roll": (0.025101925, 99.098427777, 6.308801853, 139.0, 20.0),
}

GUIDE_MEMBERS = {
    "5020": r".*_(shoulder|elbow|wrist|ankle)_.*|waist_roll_.*|waist_pitch_.*",
    "7520_14": r".*_hip_pitch_.*|.*_hip_yaw_.*|waist_yaw_.*",
    "7520_16": r".*_knee_.*",
    "left_hip_roll": r"left_hip_roll_.*",
    "right_hip_roll": r"right_hip_roll_.*",
}


def test_hardware_gains_are_the_published_ones() -> None:
    """Stiffness, damping, action scale and effort equal the published table to its last digit."""
    profile = load_profile("g1_29dof")
    for i, name in enumerate(JOINT_NAMES):
        matches = [v for k, v in PUBLISHED.items() if re.fullmatch(k, name.removesuffix("_joint"))]
        assert len(matches) == 1, name
        ours = [
            profile.stiffness[i], profile.damping[i], profile.action_scale[i],
            profile.torque_limit[i],
        ]  # fmt: skip
        np.testing.assert_allclose(ours, matches[0], rtol=0, atol=1e-9, err_msg=name)


def test_hardware_gains_follow_from_the_armature() -> None:
    """Every loop is 10 Hz with damping ratio 2: stiffness I·ω², damping 2·2·I·ω."""
    profile = load_profile("g1_29dof")
    omega = 2 * np.pi * 10
    np.testing.assert_allclose(profile.stiffness, profile.armature * omega**2, rtol=1e-9)
    np.testing.assert_allclose(profile.damping, 4 * profile.armature * omega, rtol=1e-9)


def test_guide_profile_holds_the_guides_tables() -> None:
    """Each joint of g1_guide has its class's numbers, digit for digit."""
    profile = load_profile("g1_guide")
    assert profile.action_gain == 1.0
    scale = dict(zip(guide.GUIDE_CLASSES, G1_ACTION_SCALE, strict=True))
    for i, name in enumerate(JOINT_NAMES):
        kind = profile.actuator_class[i]
        assert re.fullmatch(GUIDE_MEMBERS[kind], name), (kind, name)
        numbers = (
            profile.armature[i], profile.stiffness[i], profile.damping[i],
            profile.torque_limit[i], profile.velocity_limit[i],
        )  # fmt: skip
        assert numbers == GUIDE[kind]
        assert profile.action_scale_nm[i] == scale[kind]
        assert profile.action_scale[i] == scale[kind] / profile.stiffness[i]


def test_guide_tables_are_the_documents(shared_data: Path) -> None:
    """The tables above and the action scale equal the text of the guide's sections 4.1 to 4.3."""
    text = (shared_data.parent / "GUIDE.md").read_text(encoding="utf-8")
    names = {"左髋滚转": "left_hip_roll", "右髋滚转": "right_hip_roll"}
    parts = re.split(r"^### ", text, flags=re.MULTILINE)
    section = {part[:3]: part for part in parts}

    def rows(key: str) -> dict[str, list[float]]:
        cells = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in section[key].splitlines()
            if line.startswith("|")
        ][2:]
        return {names.get(row[0], row[0]): [float(x) for x in row[1:]] for row in cells}

    joints = rows("4.1")
    assert tuple(joints) == guide.GUIDE_CLASSES
    speeds = {kind: row[0] for kind, row in rows("4.2").items()}
    for kind, numbers in joints.items():
        assert (*numbers, speeds.get(kind, 20.0)) == GUIDE[kind]
    array = section["4.3"].split("np.array([")[1].split("])")[0]
    scale = [float(line.split(",")[0]) for line in array.splitlines() if line.strip()]
    assert scale == G1_ACTION_SCALE.tolist()


def test_default_poses_are_inside_the_soft_limits() -> None:
    """The default pose is one that the limiter lets through."""
    for name in ("g1_29dof", "g1_guide"):
        profile = load_profile(name)
        lower, upper = profile.soft_limits()
        assert (lower <= profile.default_position).all()
        assert (profile.default_position <= upper).all()


def test_soft_limits_are_a_fraction_about_the_middle() -> None:
    """The soft range has 0.9 of the width and the same middle."""
    profile = load_profile("g1_29dof")
    lower, upper = profile.soft_limits()
    width = profile.position_upper - profile.position_lower
    np.testing.assert_allclose(upper - lower, 0.9 * width)
    np.testing.assert_allclose(upper + lower, profile.position_upper + profile.position_lower)


def test_arrays_cannot_be_changed() -> None:
    """A profile is shared by many parts; writing into it raises."""
    with pytest.raises(ValueError, match="read-only"):
        load_profile("g1_29dof").stiffness[0] = 1.0


def test_control_block_sets_gains_and_keeps_the_torque_scale() -> None:
    """with_control changes gains and the hash; the action stays the same torque."""
    profile = load_profile("g1_29dof")
    other = profile.with_control(stiffness=99.098427777, damping=6.308801853)
    assert (other.stiffness == 99.098427777).all()
    assert (other.damping == 6.308801853).all()
    np.testing.assert_allclose(
        other.action_scale * other.stiffness, profile.action_scale * profile.stiffness
    )
    assert other.hash != profile.hash
    assert profile.with_control().hash == profile.hash


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), [1.0, 2.0], "stiff"])
def test_control_block_refuses_gains_that_are_none(value: Any) -> None:
    """A gain must be positive, finite and one number or 29."""
    with pytest.raises(G1MimicError, match="control: stiffness"):
        load_profile("g1_29dof").with_control(stiffness=value)


def raw(name: str = "g1_29dof") -> dict[str, Any]:
    """Return a shipped profile as the mapping in its file."""
    root = Path(__file__).resolve().parents[3]
    return yaml.safe_load((root / "config" / "robots" / f"{name}.yaml").read_text())


def load(data: dict[str, Any], folder: Path) -> RobotProfile:
    """Write ``data`` as a profile and load it."""
    path = folder / "robot.yaml"
    path.write_text(yaml.safe_dump(data))
    return load_profile(path)


def test_pattern_can_override_its_class(tmp_path: Path) -> None:
    """A number written at a pattern wins over the class, for the joints of that pattern only."""
    data = raw()
    data["joints"]["*_ankle_pitch_joint"]["torque_limit"] = 35.0
    profile, shipped = load(data, tmp_path), load_profile("g1_29dof")
    changed = np.flatnonzero(profile.torque_limit != shipped.torque_limit)
    assert changed.tolist() == [4, 10]
    assert profile.torque_limit[4] == 35.0


def test_a_deployed_robot_keeps_to_the_lower_published_torques(tmp_path: Path) -> None:
    """35 N·m at ankles, waist roll and pitch; elsewhere, and where none is given, training's."""
    profile = load_profile("g1_29dof")
    lower = np.array([bool(re.match(r".*ankle|waist_[rp]", name)) for name in JOINT_NAMES])
    assert (profile.deploy_torque_limit[lower] == 35.0).all()
    assert (profile.torque_limit[lower] == 50.0).all()
    assert (profile.deploy_torque_limit == profile.torque_limit)[~lower].all()
    data = raw()
    del data["actuators"]["5020_pair"]["deploy_torque_limit"]
    other = load(data, tmp_path)
    assert (other.deploy_torque_limit == other.torque_limit).all()
    assert other.hash == profile.hash  # what a policy learned is the same


def test_hash_follows_the_content_not_the_name(tmp_path: Path) -> None:
    """A renamed copy has the same hash; a changed last digit another one."""
    data = raw()
    data["name"] = "copy"
    assert load(data, tmp_path).hash == load_profile("g1_29dof").hash
    data["actuators"]["4010"]["damping"] = 1.068141503
    assert load(data, tmp_path).hash != load_profile("g1_29dof").hash


def edit(*path: str, value: Any) -> Any:
    """Return an edit that sets one entry (or removes it, with ``value=None``)."""

    def apply(data: dict[str, Any]) -> None:
        for key in path[:-1]:
            data = data[key]
        if value is None:
            del data[path[-1]]
        else:
            data[path[-1]] = value

    return apply


KNEE = {"actuator": "7520_22", "range": [0.0, 1.0]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (edit("actuators", "5020", "stifness", value=1.0), ["stifness", "mean 'stiffness'"]),
        (edit("action_gian", value=1.0), ["action_gian", "did you mean 'action_gain'"]),
        (edit("actuators", "5020", "damping", value=-1.0), ["5020.damping", "greater than 0"]),
        (edit("actuators", "5020", "stiffness", value=0.0), ["5020.stiffness", "greater than 0"]),
        (edit("actuators", "5020", "armature", value=float("nan")), ["5020.armature"]),
        (edit("actuators", "5020", "armature", value="soft"), ["5020.armature", "number"]),
        (edit("joints", "*_knee_joint", value=None), ["left_knee_joint", "no pattern"]),
        (edit("joints", "left_knee_joint", value=KNEE), ["left_knee_joint", "'*_knee_joint'"]),
        (edit("joints", "left_knie_joint", value=KNEE), ["left_knie_joint", "'left_knee_joint'?"]),
        (
            edit("joints", "*_knee_joint", "actuator", value="7520_23"),
            ["left_knee_joint", "7520_23", "did you mean '7520_22'"],
        ),
        (edit("joints", "*_knee_joint", "actuator", value=752022), ["752022", "quotes"]),
        (edit("joints", "*_knee_joint", "range", value=[1.0, 0.5]), ["left_knee_joint", "below"]),
        (edit("joints", "*_knee_joint", "default", value=3.0), ["left_knee_joint", "outside"]),
        (edit("joints", "*_knee_joint", "defualt", value=0.5), ["*_knee_joint", "mean 'default'"]),
        (
            edit("actuators", "5020", "saturation_torque", value=20.0),
            ["joint 'left_shoulder_pitch_joint'", "torque_limit 25 above saturation_torque 20"],
        ),
        (
            edit("actuators", "5020", "no_load_speed", value=30.0),
            ["velocity_limit 37 above no_load_speed 30"],
        ),
        (
            edit("actuators", "5020", "deploy_torque_limit", value=26.0),
            ["deploy_torque_limit 26 above torque_limit 25"],
        ),
        (edit("pelvis_height", value=None), ["pelvis_height", "required"]),
        (edit("soft_limit_factor", value=1.5), ["soft_limit_factor"]),
    ],
)
def test_wrong_file_is_one_line_that_names_the_place(
    change: Any, words: list[str], tmp_path: Path
) -> None:
    """Each mistake ends in a one-line error with the file, the key or joint, and the remedy."""
    data = raw()
    change(data)
    with pytest.raises(G1MimicError) as caught:
        load(data, tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    for word in ["robot.yaml", *words]:
        assert word in message


def test_class_name_without_quotes_is_explained(tmp_path: Path) -> None:
    """YAML reads 7520_22 as 752022; the error says to write quotes."""
    text = yaml.safe_dump(raw()).replace("  '4010':", "  4010:")
    path = tmp_path / "robot.yaml"
    path.write_text(text)
    with pytest.raises(G1MimicError, match="quotes"):
        load_profile(path)


def test_unknown_profile_lists_what_there_is() -> None:
    """A misspelled profile name is answered with the package's profiles."""
    with pytest.raises(G1MimicError, match=r"g1_29dof, g1_guide"):
        load_profile("g1_30dof")
