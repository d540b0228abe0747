"""Networks and learner against closed forms and slow references."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from g1_mimic.learning.learner import Learner, LearnerConfig
from g1_mimic.learning.networks import Actor, CriticEnsemble, RunningNormalizer


def test_normalizer_equals_the_statistics_of_all_data() -> None:
    """Mean and deviation over uneven batches equal those of the whole, also far from zero."""
    rng = np.random.default_rng(0)
    data = rng.normal([1000.0, -3.0, 0.0], [0.5, 2.0, 1.0], (1000, 3))
    normalizer = RunningNormalizer(3)
    for part in np.split(data, [10, 11, 400]):
        normalizer.update(torch.from_numpy(part).float())
    np.testing.assert_allclose(normalizer.mean, data.mean(0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(1 / normalizer.inv_std, data.std(0), rtol=1e-3)


def test_normalizer_leaves_constants_alone_and_clips() -> None:
    """An input that never changes is not blown up; outliers are clipped at ±10."""
    normalizer = RunningNormalizer(2)
    normalizer.update(torch.tensor([[5.0, -1.0], [5.0, 1.0]]))
    out = normalizer(torch.tensor([[5.1, 1000.0]]))
    assert out[0, 0] == pytest.approx(0.1, abs=1e-5)
    assert out[0, 1] == 10.0


def test_log_probability_integrates_to_one() -> None:
    """The density of a squashed Gaussian is that of the change of variables."""
    torch.manual_seed(0)
    actor = Actor(3, 1, (8,), bound=2.0)
    torch.nn.init.constant_(actor.mean.bias, 0.3)
    torch.nn.init.constant_(actor.log_std.bias, 2.0)
    obs = torch.randn(1, 3).expand(200_000, 3)
    action, log_prob = actor.sample(obs)
    y = (action[:, 0] / actor.bound).double()
    counts, edges = np.histogram(y.detach().numpy(), bins=40, range=(-1, 1))
    density = counts / counts.sum() / np.diff(edges)
    centre = 0.5 * (edges[:-1] + edges[1:])
    order = torch.argsort(y)
    expected = np.interp(centre, y[order].detach().numpy(), log_prob[order].exp().detach().numpy())
    busy = (density > 0.3) & (np.abs(centre) < 0.9)  # at ±1 the density has a pole
    assert busy.sum() > 5
    np.testing.assert_allclose(density[busy], expected[busy], rtol=0.1)
    assert (actor(obs[:1]).abs() <= 2.0).all()


def test_projection_keeps_mass_and_mean() -> None:
    """Projected distributions sum to one, and their mean is r + γ·mean where nothing is cut."""
    critic = CriticEnsemble(2, 1, (8,), 1.0, atoms=101, value_range=(-1.0, 10.0))
    torch.manual_seed(0)
    probabilities = torch.softmax(torch.randn(64, 101) * 3, -1)
    reward, discount = torch.rand(64) * 0.1, torch.full((64,), 0.9)
    target = critic.project(probabilities, reward, discount)
    torch.testing.assert_close(target.sum(1), torch.ones(64))
    mean = (target * critic.support).sum(1)
    expected = reward + discount * (probabilities * critic.support).sum(1)
    torch.testing.assert_close(mean, expected, atol=1e-4, rtol=1e-4)


def test_projection_of_an_ended_episode_is_its_reward() -> None:
    """With discount 0 all mass is at the reward, and beyond the range at the range's end."""
    critic = CriticEnsemble(2, 1, (8,), 1.0, atoms=111, value_range=(-1.0, 10.0))
    uniform = torch.full((3, 111), 1 / 111)
    target = critic.project(uniform, torch.tensor([0.0, -5.0, 50.0]), torch.zeros(3))
    mean = (target * critic.support).sum(1)
    torch.testing.assert_close(mean, torch.tensor([0.0, -1.0, 10.0]), atol=1e-4, rtol=0)
    assert (target > 1e-3).sum(1).max() <= 2


def test_twin_critics_are_independent() -> None:
    """The ensemble computes two separate networks: each equals its own plain computation."""
    torch.manual_seed(0)
    critic = CriticEnsemble(4, 2, (8, 6), 1.0, atoms=5, value_range=(0.0, 1.0))
    obs, action = torch.randn(7, 4), torch.rand(7, 2)
    logits = critic(obs, action)
    x = torch.cat([obs, action], -1)
    for member in range(2):
        h = x
        for layer in critic.layers:
            if hasattr(layer, "weight") and layer.weight.shape[1] != 1:
                h = h @ layer.weight[member] + layer.bias[member]
            elif hasattr(layer, "weight"):
                h = torch.nn.functional.layer_norm(h, h.shape[-1:])
                h = h * layer.weight[member] + layer.bias[member]
            else:
                h = layer(h)
        torch.testing.assert_close(logits[member], h)
    assert not torch.allclose(logits[0], logits[1])


def bandit_batch(n: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """One-step episodes whose reward is highest at action = (0.5, −0.5)."""
    obs = torch.randn(n, 3, generator=generator)
    action = torch.rand(n, 2, generator=generator) * 2 - 1
    reward = 1.0 - (action - torch.tensor([0.5, -0.5])).square().sum(-1)
    return {
        "obs": obs,
        "next_obs": obs,
        "action": action,
        "reward": reward,
        "discount": torch.zeros(n),
        "weights": torch.ones(n),
    }


@pytest.mark.parametrize("algorithm", ["sac", "td3"])
def test_learns_a_bandit(algorithm: str) -> None:
    """Both algorithms find the best action of a one-step task, and the critic its value."""
    torch.manual_seed(0)
    config = LearnerConfig(
        algorithm=algorithm,
        value_min=-8.0,
        value_max=2.0,
        actor_hidden=(32,),
        critic_hidden=(64, 64),
        learning_rate=3e-3,
        target_entropy=-1.0,
        actor_average=0.9,
        actor_every=4,
        weight_decay=0.0,
    )
    learner = Learner(config, policy_size=2, critic_size=3, action_size=2, action_bound=1.0)
    generator = torch.Generator().manual_seed(1)
    learner.observe(torch.randn(1000, 3, generator=generator))
    for _ in range(1200):
        metrics, errors = learner.update(bandit_batch(128, generator))
    with torch.no_grad():
        action = learner.average_actor(torch.randn(100, 2, generator=generator))
    np.testing.assert_allclose(action.mean(0), [0.5, -0.5], atol=0.1)
    assert errors.shape == (128,) and (errors >= 0).all()
    assert errors.mean() < 0.3
    assert all(torch.isfinite(value) for value in metrics.values())


def test_importance_weights_scale_each_samples_gradient() -> None:
    """A sample of weight zero changes nothing; weights enter the loss as factors."""

    def gradient(weights: list[float], keep: slice) -> torch.Tensor:
        torch.manual_seed(0)
        learner = Learner(LearnerConfig(algorithm="td3", target_noise=0.0), 2, 3, 2, 1.0)
        batch = bandit_batch(2, torch.Generator().manual_seed(0))
        batch["weights"] = torch.tensor(weights)
        batch = {name: value[keep] for name, value in batch.items()}
        captured: list[torch.Tensor] = []
        learner.critic_optimizer.register_step_pre_hook(
            lambda *_: captured.append(learner.critic.layers[0].weight.grad.clone())
        )
        learner.config = learner.config.model_copy(update={"grad_clip": math.inf})
        learner.update(batch)
        return captured[0]

    alone = gradient([1.0, 1.0], slice(0, 1))
    masked = gradient([1.0, 0.0], slice(0, 2))
    torch.testing.assert_close(2.0 * masked, alone, atol=1e-7, rtol=1e-4)


def test_state_round_trips_to_the_bit() -> None:
    """A restored learner continues exactly as the saved one."""
    torch.manual_seed(0)
    learners = [Learner(LearnerConfig(), 2, 3, 2, 1.0) for _ in range(2)]
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        learners[0].update(bandit_batch(32, generator))
    # copied, as through a file: optimisers keep the tensors that they are given
    learners[1].load_state_dict(copy.deepcopy(learners[0].state_dict()))
    batch = bandit_batch(32, generator)
    for learner in learners:
        torch.manual_seed(7)
        learner.observe(batch["obs"])
        for _ in range(3):
            learner.update(batch)
    for a, b in zip(learners[0].critic.parameters(), learners[1].critic.parameters(), strict=True):
        assert torch.equal(a, b)
    for name in ("actor", "average_actor", "target_critic"):
        a, b = (getattr(learner, name).state_dict() for learner in learners)
        assert all(torch.equal(a[key], b[key]) for key in a)
