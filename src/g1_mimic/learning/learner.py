"""The off-policy actor-critic learner: SAC or TD3 with distributional critics.

What it combines: maximum-entropy actor-critic (Haarnoja et al. 2018) or its deterministic cousin
(Fujimoto et al. 2018), categorical critics (Bellemare et al. 2017), the mean rather than the
minimum of the critics (as in FastTD3, Seo et al. 2025), n-step returns, a privileged critic,
prioritized replay with importance weights (Schaul et al. 2016), and an averaged actor.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from g1_mimic.learning.config import LearnerConfig
from g1_mimic.learning.networks import Actor, CriticEnsemble


class NotFiniteError(ArithmeticError):
    """A loss, a gradient or what the networks say is not finite; they were left as they are."""


def finite_actions(actions: Tensor) -> np.ndarray:
    """Return actions [N, action_size] as the physics takes them.

    Raises:
        NotFiniteError: if one is not finite.
    """
    result: np.ndarray = actions.cpu().numpy()
    if not np.isfinite(result).all():
        raise NotFiniteError("an action is not finite")
    return result


class Learner:
    """Networks, optimisers and the update rule.

    Observations are the critic's: their first ``policy_size`` numbers are the policy's.

    Args:
        config: hyperparameters.
        policy_size: width of the policy's observation.
        critic_size: width of the critic's observation.
        action_size: width of the action.
        action_bound: bound on the raw actions.
        device: where the networks live.
    """

    def __init__(
        self,
        config: LearnerConfig,
        policy_size: int,
        critic_size: int,
        action_size: int,
        action_bound: float,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config = config
        self.policy_size = policy_size
        self.device = torch.device(device)
        self.actor = Actor(policy_size, action_size, config.actor_hidden, action_bound)
        self.critic = CriticEnsemble(
            critic_size,
            action_size,
            config.critic_hidden,
            action_bound,
            config.atoms,
            (config.value_min, config.value_max),
            config.critics,
        )
        self.actor.to(self.device)
        self.critic.to(self.device)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.average_actor = copy.deepcopy(self.actor).requires_grad_(False)
        # One definition of the normalisers: targets and averages share those that are updated.
        self.target_critic.normalizer = self.critic.normalizer
        self.average_actor.normalizer = self.actor.normalizer
        self.log_alpha = (
            torch.tensor(config.initial_alpha, device=self.device).log().requires_grad_()
        )
        self._target_entropy = config.target_entropy * action_size
        fused = self.device.type in ("cpu", "cuda")

        def adam(parameters: Any, decay: float) -> torch.optim.AdamW:
            return torch.optim.AdamW(
                parameters,
                lr=config.learning_rate,
                betas=(0.9, 0.95),
                weight_decay=decay,
                fused=fused,
            )

        self.actor_optimizer = adam(self.actor.parameters(), config.weight_decay)
        self.critic_optimizer = adam(self.critic.parameters(), config.weight_decay)
        self.alpha_optimizer = adam([self.log_alpha], 0.0)
        self.updates = 0

    # -- acting ---------------------------------------------------------------------------------

    @property
    def actors(self) -> dict[str, Actor]:
        """The actors that may become a policy: the one that learns, and its average."""
        return {"raw": self.actor, "averaged": self.average_actor}

    @torch.no_grad()
    def explore(self, obs: Tensor) -> Tensor:
        """Return exploring actions for observations of the policy [N, policy_size]."""
        if self.config.algorithm == "sac":
            return self.actor.sample(obs)[0]
        return self._noisy(self.actor(obs), self.config.exploration_noise, float("inf"))

    def _noisy(self, action: Tensor, std: float, clip: float) -> Tensor:
        bound = self.actor.bound
        noise = (torch.randn_like(action) * std).clamp(-clip, clip)
        return (action + noise * bound).clamp(-bound, bound)

    @torch.no_grad()
    def observe(self, critic_obs: Tensor) -> None:
        """Update the observation normalisers with [N, critic_size]."""
        self.actor.normalizer.update(critic_obs[:, : self.policy_size])
        self.critic.normalizer.update(critic_obs)

    # -- learning -------------------------------------------------------------------------------

    def update(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """Do one gradient step on the critics, and every ``actor_every``-th on the actor.

        Args:
            batch: ``obs``, ``next_obs`` [B, critic_size], ``action`` [B, action_size], n-step
                ``reward`` [B], ``discount`` [B] (0 after a failure), ``weights`` [B]; if the actor
                is to learn from other states than the critic, ``actor_obs`` [B', critic_size].

        Returns:
            Metrics (0-dim tensors), and the magnitude of the TD error of each sample [B].

        Raises:
            NotFiniteError: if there is no gradient to follow; what was not yet updated is left.
        """
        self.updates += 1
        metrics, errors = self._update_critic(batch)
        if self.updates % self.config.actor_every == 0:
            metrics |= self._update_actor(batch.get("actor_obs", batch["obs"]))
        return metrics, errors

    def _update_critic(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        config, discount = self.config, batch["discount"]
        with torch.no_grad():
            next_obs = batch["next_obs"]
            next_policy_obs = next_obs[:, : self.policy_size]
            shift = batch["reward"]
            if config.algorithm == "sac":
                next_action, log_prob = self.actor.sample(next_policy_obs)
                shift = shift - discount * self.log_alpha.exp() * log_prob
            else:
                next_action = self._noisy(
                    self.actor(next_policy_obs), config.target_noise, 2.5 * config.target_noise
                )
            if not shift.isfinite().all():  # it would have no place among the atoms
                raise NotFiniteError("a reward or entropy is not finite")
            # The mixture of the two target distributions has the mean of their values.
            next_logits = self.target_critic(next_obs, next_action)
            target = self.critic.project(torch.softmax(next_logits, -1).mean(0), shift, discount)
            target_value = (target * self.critic.support).sum(-1)
        logits = self.critic(batch["obs"], batch["action"])
        cross_entropy = -(target * torch.log_softmax(logits, -1)).sum(-1).sum(0)
        loss = (batch["weights"] * cross_entropy).mean()
        norm = self._descend(loss, self.critic, self.critic_optimizer)
        with torch.no_grad():
            follow(self.target_critic.layers, self.critic.layers, config.target_rate)
            values = self.critic.value(logits.detach())
            errors = (values - target_value).abs().amax(0)
        metrics = {
            "critic_loss": loss.detach(),
            "critic_grad_norm": norm,
            "q_mean": values.mean(),
            "td_error": errors.mean(),
        }
        return metrics, errors

    def _descend(
        self, loss: Tensor, network: nn.Module, optimizer: torch.optim.Optimizer
    ) -> Tensor:
        """Follow the clipped gradient of ``loss``; return its norm before clipping."""
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), self.config.grad_clip)
        if not norm.isfinite():
            raise NotFiniteError(f"the gradient of {type(network).__name__} is not finite")
        optimizer.step()
        return norm

    def _update_actor(self, obs: Tensor) -> dict[str, Tensor]:
        config, policy_obs = self.config, obs[:, : self.policy_size]
        alpha = self.log_alpha.detach().exp()
        if config.algorithm == "sac":
            action, log_prob = self.actor.sample(policy_obs)
        else:
            action, log_prob = self.actor(policy_obs), policy_obs.new_zeros(len(policy_obs))
            alpha = alpha * 0.0
        # Only the actor learns here: critic gradients are neither computed nor kept.
        self.critic.requires_grad_(False)
        value = self.critic.value(self.critic(obs, action)).mean(0)
        self.critic.requires_grad_(True)
        loss = (alpha * log_prob - value).mean()
        norm = self._descend(loss, self.actor, self.actor_optimizer)
        entropy = -log_prob.detach().mean()
        if config.algorithm == "sac":
            alpha_loss = self.log_alpha.exp() * (entropy - self._target_entropy)
            self.alpha_optimizer.zero_grad(set_to_none=True)
            alpha_loss.backward()
            self.alpha_optimizer.step()
        follow(self.average_actor, self.actor, 1.0 - config.actor_average)
        return {
            "actor_loss": loss.detach(),
            "actor_grad_norm": norm,
            "entropy": entropy,
            "alpha": alpha,
        }

    def schedule(self, config: LearnerConfig, progress: float) -> None:
        """Set the learning rate of all optimisers for the fraction ``progress`` of the run."""
        remaining = 1.0 - min(progress, 1.0)
        factor = config.final_learning_rate + (1.0 - config.final_learning_rate) * remaining
        rate = config.learning_rate * factor
        for name in _OPTIMIZERS:
            for group in getattr(self, name).param_groups:
                group["lr"] = rate

    # -- checkpoints ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return networks, optimisers and counters: tensors and plain numbers only."""
        return {
            **{name: getattr(self, name).state_dict() for name in _NETWORKS},
            "log_alpha": self.log_alpha.detach(),
            **{name: getattr(self, name).state_dict() for name in _OPTIMIZERS},
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`'s result."""
        for name in (*_NETWORKS, *_OPTIMIZERS):
            getattr(self, name).load_state_dict(state[name])
        with torch.no_grad():
            self.log_alpha.copy_(state["log_alpha"])
        self.updates = int(state["updates"])


_NETWORKS = ("actor", "average_actor", "critic", "target_critic")
_OPTIMIZERS = ("actor_optimizer", "critic_optimizer", "alpha_optimizer")


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, rate: float) -> None:
    """Move the parameters of ``slow`` by ``rate`` of the way to those of ``fast``."""
    for own, other in zip(slow.parameters(), fast.parameters(), strict=True):
        own.lerp_(other, rate)
