"""Settings of a training run: one YAML for the command line and the trainer node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from g1_mimic.envs.config import EnvConfig
from g1_mimic.envs.starts import StartsConfig
from g1_mimic.files import find_file
from g1_mimic.learning.replay_strategies import REPLAY_STRATEGIES
from g1_mimic.motion.library import choices_text, parse_choices
from g1_mimic.robot.names import DEFAULT_ROBOT
from g1_mimic.settings import LIVE, OneOf, Settings, merge, read_mapping, ros_parameters, validate

TRAINER_NODE = "trainer"
"""Name of the node, and of its section in a ROS 2 parameter file."""


class ReplayConfig(Settings):
    """Experience replay; the parameters of prioritisation are the guide's."""

    capacity: int = Field(131072, gt=0)
    """Transitions kept, rounded down to whole vector steps."""
    batch_size: int = Field(256, gt=0)
    """Transitions of one gradient step."""
    alpha: float = Field(0.6, ge=0, le=1)
    """Priority exponent of per and per_critic: 0 is uniform."""
    beta: float = Field(0.4, ge=0, le=1)
    """Importance weight exponent of per and per_critic at the start."""
    beta_increment: float = Field(0.0001, ge=0, le=1)
    """Growth of beta with each sampled batch, up to 1."""
    epsilon: float = Field(1e-6, gt=0, le=1)
    """Added to every priority."""
    lap_alpha: float = Field(0.4, ge=0, le=1)
    """Priority exponent of lap; the paper's."""
    lap_threshold: float = Field(1.0, gt=0)
    """lap: TD errors below this are all alike. In rewards before env.reward.scale; the paper's."""
    uniform_share: float = Field(0.5, ge=0, lt=1)
    """per_critic: share of the critic's batch that is drawn uniformly."""
    half_life: float = Field(0.5, gt=0)
    """recency: age at which a transition is half as likely as a new one, over the capacity."""


class LearnerConfig(Settings):
    """Hyperparameters of the learner."""

    algorithm: Literal["sac", "td3"] = "sac"
    """sac explores by the entropy of its actor, td3 by noise on a deterministic one."""
    actor_hidden: tuple[int, ...] = Field((128, 64), min_length=1)
    """Width of each hidden layer of the actor."""
    critic_hidden: tuple[int, ...] = Field((128, 64), min_length=1)
    """Width of each hidden layer of a critic."""
    critics: int = Field(2, ge=1, le=10)
    """Number of critics; their values are averaged."""
    learning_rate: float = Field(1e-3, gt=0, le=0.1, json_schema_extra=LIVE)
    """Step size of actor, critics and entropy weight."""
    final_learning_rate: float = Field(1.0, gt=0, le=1)
    """Fraction of the learning rate that is left at the end of the run; it falls linearly."""
    weight_decay: float = Field(1e-3, ge=0)
    """AdamW's, of actor and critics."""
    grad_clip: float = Field(10.0, gt=0)
    """Largest norm of a gradient."""
    gamma: float = Field(0.97, ge=0, lt=1)
    """Discount per control step."""
    n_step: int = Field(3, ge=1)
    """Control steps whose rewards a target sums up."""
    target_rate: float = Field(0.05, gt=0, le=1)
    """Polyak rate of the target critics."""
    atoms: int = Field(101, ge=2)
    """Values over which a critic spreads its distribution, from value_min to value_max."""
    value_min: float = -1.0
    """Least return that a critic can tell, in scaled rewards."""
    value_max: float = 10.0
    """Largest return that a critic can tell, in scaled rewards."""
    initial_alpha: float = Field(0.001, gt=0)
    """SAC only: weight of the entropy at the start."""
    target_entropy: float = -1.0
    """SAC only: target entropy per action dimension."""
    actor_every: int = Field(2, ge=1)
    """Critic updates per actor update."""
    actor_average: float = Field(0.998, ge=0, lt=1)
    """Decay of the averaged actor, per actor update."""
    exploration_noise: float = Field(0.1, ge=0)
    """TD3 only: standard deviation of the exploration noise, in units of the action bound."""
    target_noise: float = Field(0.1, ge=0)
    """TD3 only: standard deviation of the target policy's noise (clipped at 2.5 of it)."""


class CheckpointConfig(Settings):
    """When and how many checkpoints are kept."""

    interval_s: float = Field(30.0, gt=0, le=86400.0, json_schema_extra=LIVE)
    """Wall time between two, s; each holds the whole replay."""
    keep: int = Field(2, ge=1)
    """How many of the newest are kept, beside the best."""


class EvaluationConfig(Settings):
    """Evaluation during training: no adaptive sampling, start frames spread over the clips."""

    interval_env_steps: int = Field(25_000, gt=0)
    """Environment steps between two."""
    episodes: int = Field(32, gt=0)
    """Episodes of one; at least one for each clip."""


_SAMPLING = "Which transitions are learned from: " + "; ".join(
    f"{name}: {strategy.drawn}" for name, strategy in REPLAY_STRATEGIES.items()
)


class TrainConfig(Settings):
    """Everything that a training run depends on."""

    task: str = ""
    """Task JSON (the guide's format); what it says overrides motion, robot, reward and sampling."""
    motion: str = "stand"
    """Clip to imitate: a name that ships (stand, walk, …), a file, or a folder of clips; several
    with weights: walk:2,stand:1."""
    robot: str = DEFAULT_ROBOT
    """Robot profile: g1_29dof, g1_guide or a file."""
    num_envs: int = Field(64, gt=0)
    """Robots simulated side by side."""
    total_env_steps: int = Field(300_000, gt=0, json_schema_extra=LIVE)
    """Control steps (20 ms each) over all robots."""
    warmup_env_steps: int = Field(5_000, ge=0)
    """Environment steps before the first update."""
    updates_per_step: int = Field(4, ge=1, le=64, json_schema_extra=LIVE)
    """Gradient steps per vector step of all environments."""
    sampling: Annotated[str, OneOf(REPLAY_STRATEGIES)] = Field("lap", description=_SAMPLING)
    mirror: bool = False
    """Learn from every other sample as a mirror shows it: left and right are alike."""
    seed: int = Field(0, ge=0)
    """Seed of everything random in the run."""
    device: str = "auto"
    """Device of the learner: auto, cpu, cuda or cuda:N."""
    run_dir: str = ""
    """Folder of the run; empty: a new one under runs_root."""
    runs_root: str = "runs"
    """Folder under which runs get folders of their own."""
    warm_start: str = ""
    """Run folder (its best policy) or checkpoint whose networks this run begins with; empty: new
    ones."""
    resume: bool = False
    """Continue the run in run_dir (empty: the newest under runs_root) with its own settings; only
    what is given here changes them."""
    log_interval_s: float = Field(5.0, gt=0, le=3600.0, json_schema_extra=LIVE)
    """Wall time between two sets of metrics, s."""
    env: EnvConfig = EnvConfig()
    phase: StartsConfig = StartsConfig(strategy="failure_bins")
    replay: ReplayConfig = ReplayConfig()
    learner: LearnerConfig = LearnerConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @field_validator("motion", mode="before")
    @classmethod
    def _one_text(cls, value: Any) -> str:
        text = choices_text(value)
        parse_choices(text)
        return text

    @model_validator(mode="after")
    def _sizes_fit(self) -> TrainConfig:
        if self.replay.capacity < self.num_envs * (self.learner.n_step + 1):
            raise ValueError("replay.capacity holds fewer than n_step + 1 vector steps")
        if not self.learner.value_min < self.learner.value_max:
            raise ValueError("learner.value_min must be below learner.value_max")
        return self


def load_train_config(
    path: str | Path | None = None, overrides: dict[str, Any] | None = None
) -> TrainConfig:
    """Read ``path`` (default: the package's config/train.yaml) and apply ``overrides``.

    The file may be a plain mapping or a ROS 2 parameter file.

    Raises:
        G1MimicError: one line naming the file and the key that is wrong.
    """
    file = find_file(
        path or "config/train.yaml", subdirs=("config",), suffixes=(".yaml",), what="parameter file"
    )
    data = ros_parameters(read_mapping(file), TRAINER_NODE, file)
    validate(TrainConfig, data, file)  # so that errors of the file are told from the overrides'
    return validate(TrainConfig, merge(data, overrides or {}), "arguments")
