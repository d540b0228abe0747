"""From the terms of a control step to the vector that a policy file takes."""

from __future__ import annotations

import numpy as np

from g1_mimic.envs.observations import JOINT_TERMS, OBSERVATION_TERMS, term_slices
from g1_mimic.policy.contract import PolicyContract
from g1_mimic.robot.names import JOINT_NAMES, NUM_JOINTS


class ObservationLayout:
    """Where each number of an observation goes in the file's input, and clipping and scaling.

    Args:
        contract: of the file, in the file's joint order.
    """

    size: int
    """Width n of the observation, histories included."""

    def __init__(self, contract: PolicyContract) -> None:
        to_file = np.array([JOINT_NAMES.index(name) for name in contract.joint_names])
        names, lengths = contract.observation_names, contract.history_lengths
        scales = contract.observation_scales or ((1.0,),) * len(names)
        clips = contract.observation_clips or ((-np.inf, np.inf),) * len(names)
        order, scale, low, high = [], [], [], []
        start = 0
        for name, length, factors, bounds in zip(names, lengths, scales, clips, strict=True):
            size = OBSERVATION_TERMS[name].size
            places = start + np.arange(length * size)
            if name in JOINT_TERMS:
                places = places.reshape(-1, NUM_JOINTS)[:, to_file].reshape(-1)
            start += length * size
            order.append(places)
            scale.append(np.tile(np.broadcast_to(factors, size), length))
            low.append(np.full(length * size, bounds[0]))
            high.append(np.full(length * size, bounds[1]))
        self.size = start
        self._order, self._scale = np.concatenate(order), np.concatenate(scale)
        self._low, self._high = np.concatenate(low), np.concatenate(high)

    def to_file(self, observation: np.ndarray) -> np.ndarray:
        """Return the file's input [..., n] for observations with joints in our order, in SI."""
        moved = observation[..., self._order]
        result: np.ndarray = np.clip(moved, self._low, self._high) * self._scale
        return result


class ObservationHistory:
    """Puts the terms of one control step behind those of earlier ones, each term by itself.

    Before the first step every term was what it is then (Isaac Lab, mjlab), or zero (holosoma).
    """

    def __init__(self, contract: PolicyContract) -> None:
        parts = term_slices(contract.observation_names)
        lengths = contract.history_lengths
        self._parts = [
            (part, np.zeros((length, part.stop - part.start)))
            for part, length in zip(parts.values(), lengths, strict=True)
        ]
        self._no_history = max(lengths) == 1
        self._from_zeros = contract.history_start == "zeros"
        self._begun = False

    def push(self, frame: np.ndarray) -> np.ndarray:
        """Take the terms of a new control step; return the observation [n].

        Args:
            frame: the terms one after the other, without histories.
        """
        if self._no_history:
            return frame
        for part, past in self._parts:
            if not self._begun:
                past[:] = 0.0 if self._from_zeros else frame[part]
            past[:-1] = past[1:]
            past[-1] = frame[part]
        self._begun = True
        return np.concatenate([past.reshape(-1) for _, past in self._parts])
