"""The guide's code for the buffer, run as it is printed."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from g1_mimic.learning.experience_buffer import ExperienceBuffer, PrioritizedExperienceBuffer

GUIDE = Path(__file__).resolve().parents[4] / "shared" / "GUIDE.md"
needs_guide = pytest.mark.skipif(not GUIDE.is_file(), reason="the guide is not there")


def guide_code(section: str) -> str:
    """Return a section's code with this package's name, on the device that is there."""
    text = GUIDE.read_text(encoding="utf-8")
    match = re.search(rf"^### {re.escape(section)} .*?```python\n(.*?)```", text, re.M | re.S)
    assert match, section
    code = match.group(1).replace("mimickit.", "g1_mimic.")
    return code if torch.cuda.is_available() else code.replace("'cuda'", "'cpu'")


@needs_guide
def test_sections_3_1_to_3_3() -> None:
    """Make the buffer, add experience, sample, update: the printed lines in their order."""
    scope: dict[str, Any] = {
        "states": torch.randn(32, 154),
        "actions": torch.randn(32, 29),
        "rewards": torch.randn(32),
        "next_states": torch.randn(32, 154),
        "dones": torch.zeros(32, dtype=torch.bool),
        "calculate_errors": lambda batch: batch["r"] - 2.0,
    }
    exec(guide_code("3.1"), scope)
    buffer = scope["buffer"]
    assert isinstance(buffer, PrioritizedExperienceBuffer)
    assert buffer.get_capacity() == 32_000
    exec(guide_code("3.2"), scope)
    assert buffer.get_sample_count() == 32
    exec(guide_code("3.3"), scope)
    batch = scope["batch"]
    assert set(batch) == {"s", "a", "r", "s_", "d", "indices", "weights"}
    assert batch["s"].shape == (32, 154) and batch["d"].dtype == torch.bool
    index = batch["indices"].cpu()
    expected = ((scope["rewards"][index] - 2.0).abs() + 1e-6) ** 0.6
    torch.testing.assert_close(buffer.get_priorities().cpu()[index], expected)


class TwentyStepEnv:
    """Episodes of 20 steps; the state counts them."""

    def reset(self) -> Any:
        self.time = 0
        return torch.zeros(3).numpy()

    def step(self, action: Any) -> tuple[Any, float, bool, dict[str, Any]]:
        self.time += 1
        return torch.full((3,), float(self.time)).numpy(), 0.5, self.time == 20, {}


@needs_guide
@pytest.mark.parametrize("kind", [ExperienceBuffer, PrioritizedExperienceBuffer])
def test_section_6_1(kind: Any) -> None:
    """The training loop for one environment runs as printed, with either buffer."""
    seen: list[dict[str, torch.Tensor]] = []

    def learn(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append(batch)
        return batch["r"] - batch["s"][:, 0]

    scope: dict[str, Any] = {
        "PrioritizedExperienceBuffer": PrioritizedExperienceBuffer,
        "num_episodes": 3,
        "batch_size": 16,
        "env": TwentyStepEnv(),
        "agent": SimpleNamespace(select_action=lambda state: torch.zeros(29), learn=learn),
        "buffer": kind(buffer_len=40, batch_size=1),
    }
    exec(guide_code("6.1"), scope)
    buffer = scope["buffer"]
    assert buffer.get_total_samples() == 60 and buffer.is_full()
    assert len(seen) == 60 - 16
    for batch in seen:
        assert torch.equal(batch["s_"], batch["s"] + 1.0)  # each transition is of one piece
        assert torch.equal(batch["d"], batch["s_"][:, 0] == 20.0)
    if isinstance(buffer, PrioritizedExperienceBuffer):
        assert buffer.beta == pytest.approx(0.4 + 0.001 * 44)
        hard = buffer.get_priorities()[buffer.get_data_flat("s")[:, 0] > 15]
        easy = buffer.get_priorities()[buffer.get_data_flat("s")[:, 0] < 2]
        assert hard.mean() > easy.mean()
