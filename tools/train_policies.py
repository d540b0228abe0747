"""Train, examine and describe the policies that ship with the package.

python tools/train_policies.py [NAME …]

For each: the commands of `POLICIES`, in runs/NAME (a finished run is not repeated); the policy into
models/policies; its evaluation page into docs/policies; its figures, and those of a minute of
deployment, into models/policies/results.json. Then the table of models/policies/README.md and the
picture docs/policies.png, of all that are there, and docs/pushed.png.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from g1_mimic.comparison.curves import read_curves
from g1_mimic.control.modes import Mode
from g1_mimic.evaluation.conditions import conditions
from g1_mimic.evaluation.page import write_page
from g1_mimic.evaluation.suite import Options, assess
from g1_mimic.files import atomic_write_text
from g1_mimic.policy.runtime import OnnxPolicy
from g1_mimic.robot.render import contact_sheet, render_smooth, write_png
from g1_mimic.simulation.closed_loop import ClosedLoop
from g1_mimic.simulation.settings import SimSettings

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "models" / "policies"
RESULTS = SHIPPED / "results.json"
SUITE = ("nominal", "randomised", "pushes", "delay", "second_robot")
DEPLOYED_S = 60.0
PUSH = 0.6
"""m/s, of the picture."""
COLUMNS = 10
SIZE = 130, 170


@dataclass(frozen=True)
class Stage:
    """A part of a training."""

    steps: int
    """Environment steps at its end, since the beginning."""
    settings: tuple[str, ...] = ()
    """What it changes: KEY=VALUE."""


@dataclass(frozen=True)
class Recipe:
    """How a policy is trained: one stage after the other."""

    stages: tuple[Stage, ...]
    motion: str = ""
    """The clip, if it is not called as the policy."""
    options: tuple[str, ...] = ()
    """Words of the first command."""
    begins_with: str = ""
    """The run whose networks the first stage begins with."""

    def commands(self, name: str) -> list[list[str]]:
        """Return the commands that train the policy ``name``, each as a list of words."""
        run = f"runs/{name}"
        begin = ["--motion", self.motion or name, "--run-dir", run, *self.options]
        if self.begins_with:
            begin += ["--warm-start", f"runs/{self.begins_with}"]
        commands = []
        for number, stage in enumerate(self.stages):
            words = ["g1-mimic", "train", *(["--resume", "--run-dir", run] if number else begin)]
            words += ["--total-env-steps", str(stage.steps)]
            commands.append(words + [word for item in stage.settings for word in ("--set", item)])
        return commands


ROBUST = ("--config", "train_robust")


def robust(*steps: int, orientations: float = 2.0) -> Recipe:
    """A clip, to what a walk under pushes has learned about balance.

    Pushed robots take to a posture that is good for nothing but the next push, the more so where
    the clip stays in place: the reward is sterner on orientations than BeyondMimic's.
    """
    posture = (
        f"env.reward.tracking.body_ori={orientations:g}",
        "env.reward.tracking.body_ori_std=0.3",
    )
    begin, *more = steps
    stages = (Stage(begin, posture), *map(Stage, more))
    return Recipe(stages, options=ROBUST, begins_with="base")


POLICIES = {
    "stand": robust(400_000, orientations=3.0),
    "squat": robust(500_000, 800_000, orientations=4.0),
    "wave": robust(500_000, orientations=4.0),
    "march": robust(800_000),
    "walk": robust(800_000),
    "walk_slow": robust(800_000),
    "turn": robust(800_000),
    "dance": robust(1_200_000),
    # Its ankles move the pressure under its feet by less than 5 cm: no pushes, but the friction of
    # motors and gears, which takes a tenth of their torque.
    "stand_guide": Recipe(
        (
            Stage(500_000, ("evaluation.interval_env_steps=50000",)),
            Stage(
                1_000_000,
                (
                    "env.randomisation.preset=mild",
                    "env.randomisation.push_velocity=[0,0,0,0,0,0]",
                    "env.randomisation.joint_friction=[0,1.2]",
                ),
            ),
        ),
        motion="stand_still",
        options=("--robot", "g1_guide", "--config", "train_hard"),
    ),
}
"""What ships."""

RUNS = POLICIES | {
    "base": Recipe(
        (
            Stage(1_000_000, ("learner.final_learning_rate=1.0",)),
            Stage(4_000_000, ("learner.final_learning_rate=0.1",)),
        ),
        motion="walk",
        options=ROBUST,
    )
}
"""And what others begin with."""


@dataclass(frozen=True)
class Result:
    """What the table tells of a policy."""

    minutes: float
    """Computing time of the training, over all cores."""
    nominal: float
    mild: float
    beyondmimic: float
    second_robot: float
    push: float | None
    """m/s, with which half of the episodes fail."""
    delay: float
    """ms of delay with which nine of ten episodes succeed."""
    joint_error: float
    """rad, in the minute of deployment."""
    survived: float
    """s of that minute."""


def train(name: str) -> Path:
    """Run what is left of the commands and return the run's folder."""
    run, recipe = ROOT / "runs" / name, RUNS[name]
    if recipe.begins_with:
        train(recipe.begins_with)
    for number, command in enumerate(recipe.commands(name)):
        mark = run.with_name(f"{name}_done_{number}")
        if not mark.exists():
            run.parent.mkdir(exist_ok=True)
            subprocess.run(command, check=True, cwd=ROOT)
            mark.touch()
    return run


def deploy(
    policy: Path, seconds: float = DEPLOYED_S, push: float = 0.0
) -> tuple[np.ndarray, float, float]:
    """Let the deployed controller track for a while.

    Args:
        policy: the file.
        seconds: how long.
        push: m/s forward, after a second.

    Returns:
        qpos [T, 36] at 50 Hz, the time without a fall (s), the mean joint error (rad).
    """
    loop = ClosedLoop(SimSettings(policy=str(policy)))
    qpos: list[np.ndarray] = []
    while len(qpos) < seconds * 50 and not loop.controller.mode_state.fault:
        for _ in range(10):
            loop.step()
        if loop.controller.mode is Mode.TRACK:
            qpos.append(loop.sim.data.qpos.copy())
            if push and len(qpos) == 50:
                loop.sim.push(push, 0.0)
    figures = loop.report.figures()
    return np.array(qpos), figures["survived_s"], figures["joint_error_mean_rad"]


def examine(name: str, path: Path, minutes: float) -> Result:
    """Write the policy's page and return its figures."""
    policy = OnnxPolicy.load(path)
    options = Options()
    found = assess(policy, name, conditions(SUITE), options, lambda line: print(line, flush=True))
    write_page(ROOT / "docs" / "policies" / f"{name}.html", [found], [policy], film=False)
    success = {o.condition.title: o.evaluation.success_rate for o in found.outcomes}
    delays, survived = found.curve("delay")
    well = [delay for delay, share in zip(delays, survived, strict=True) if share >= 0.9]
    _, seconds, error = deploy(path)
    return Result(
        minutes=minutes,
        nominal=found.nominal.success_rate,
        mild=success["randomised: mild"],
        beyondmimic=success["randomised: beyondmimic"],
        second_robot=success["second robot"],
        push=found.half_failure_push,
        delay=1e3 * max(well, default=0.0),
        joint_error=error,
        survived=seconds,
    )


def minutes_of(run: Path) -> float:
    """Return the computing time that a run has trained, over all cores, min."""
    seconds = read_curves(run).scalars["train/cpu_s"][1]
    return float(seconds[-1]) / 60.0


def table(results: dict[str, Result]) -> str:
    """Return the table of the README."""
    lines = [
        "| policy | computing (min) | no fall: nominal | `mild` | `beyondmimic` | second robot "
        "| half fall at pushes of (m/s) | delay borne (ms) | deployed: s, joint error (rad) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, r in results.items():
        push = "beyond all tried" if r.push is None else f"{r.push:.2f}"
        shares = [f"{x:.0%}" for x in (r.nominal, r.mild, r.beyondmimic, r.second_robot)]
        cells = [f"[`{name}`](../../docs/policies/{name}.html)"]
        cells += [f"{r.minutes:.0f}", *shares, push]
        cells += [f"{r.delay:.0f}", f"{r.survived:.0f}, {r.joint_error:.3f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def describe(results: dict[str, Result]) -> None:
    """Write table, commands and picture of all policies."""
    readme = SHIPPED / "README.md"
    runs = [*dict.fromkeys(POLICIES[name].begins_with for name in results), *results]
    commands = [" ".join(words) for name in runs if name for words in RUNS[name].commands(name)]
    head, _, rest = readme.read_text(encoding="utf-8").partition("<!-- results -->\n")
    tail = rest.partition("<!-- end -->\n")[2]
    body = f"{table(results)}\n\n```bash\n" + "\n".join(commands) + "\n```\n"
    atomic_write_text(readme, f"{head}<!-- results -->\n{body}<!-- end -->\n{tail}")
    rows = []
    for name in results:
        qpos, _, _ = deploy(SHIPPED / f"{name}.onnx")
        # Of one lap at most: moments that differ.
        moments = np.linspace(0.0, min(len(qpos) - 1, 500.0), COLUMNS)
        rows.append(render_smooth(qpos[moments.astype(int)], SIZE, azimuth=150.0, distance=2.1))
    sheet = contact_sheet(np.concatenate(rows), columns=COLUMNS)
    write_png(ROOT / "docs" / "policies.png", sheet, 64)
    qpos, _, _ = deploy(SHIPPED / "wave.onnx", seconds=2.6, push=PUSH)
    moments = np.linspace(48, len(qpos) - 1, COLUMNS).astype(int)
    frames = render_smooth(qpos[moments], SIZE, azimuth=90.0, distance=2.1)
    write_png(ROOT / "docs" / "pushed.png", contact_sheet(frames, columns=COLUMNS), 64)


def main() -> None:
    """Do what is left to do for the policies named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(POLICIES))
    names = parser.parse_args().names or list(POLICIES)
    if unknown := set(names) - set(POLICIES):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there is {', '.join(POLICIES)}")
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name in names:
        run, policy = train(name), SHIPPED / f"{name}.onnx"
        shutil.copy(run / "policy.onnx", policy)
        kept[name] = asdict(examine(name, policy, minutes_of(run)))
        atomic_write_text(RESULTS, json.dumps(kept, indent=1) + "\n")
    describe({name: Result(**kept[name]) for name in POLICIES if name in kept})


if __name__ == "__main__":
    main()
