"""Clips of several parts: a dance to a beat, and a mix of everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np

from g1_mimic.motion.synthesis.arms import (
    SIDES,
    punch_with,
    punching,
    raise_guard,
    spread_arms,
    swing_arms,
    wave_arm,
    waving,
)
from g1_mimic.motion.synthesis.gait import plateau
from g1_mimic.motion.synthesis.parameters import Within
from g1_mimic.motion.synthesis.plan import Home, Plan, chain, stand_still, upper
from g1_mimic.motion.synthesis.solve import REST_TIME, maker
from g1_mimic.motion.synthesis.standing import shifting, squatting, swaying
from g1_mimic.motion.synthesis.stepping import split_step, stepping, turning

_BEATS = 4
"""Beats in a bar."""

Figure = Callable[[], Plan]
Gesture = Callable[[np.ndarray, np.ndarray], None]
Seeded = Annotated[int, Within(0, 2**32 - 1, "same seed, same clip")]


class _Dance:
    """Figures of feet and pelvis, and gestures of the arms, a bar each."""

    def __init__(self, home: Home, fps: float, tempo: float, size: float, seed: int) -> None:
        self._home, self._fps, self._size = home, fps, size
        self._beat = round(60.0 / tempo * fps)
        self._random = np.random.default_rng(seed)
        # Every figure that leads away leads back the next time.
        self._direction = {"side": 1.0, "turn": 1.0}
        self._figures: list[Figure] = [
            self._rock, self._bounce, self._side_step, self._march, self._turn
        ]  # fmt: skip
        self._gestures: list[Gesture] = [
            self._wave, self._spread, self._punch, self._swing, self._twist
        ]  # fmt: skip

    def plan(self, bars: int) -> Plan:
        """Return the plan of all bars: shuffled figures and gestures, and a bow at the end."""
        figures, gestures = (
            self._shuffled(self._figures, bars),
            self._shuffled(self._gestures, bars),
        )
        parts = []
        for bar in range(bars):
            last = bar == bars - 1
            part = self._fill(self._bow() if last else figures[bar]())
            progress = np.linspace(0.0, 1.0, part.num_frames)
            (self._spread if last else gestures[bar])(part.targets.upper, progress)
            parts.append(part)
        return chain(parts)

    def _shuffled(self, of: list, count: int) -> list:  # type: ignore[type-arg]
        """Return ``count`` items: all of them in random order, again and again."""
        rounds = -(-count // len(of))
        return [of[i] for _ in range(rounds) for i in self._random.permutation(len(of))][:count]

    def _fill(self, plan: Plan) -> Plan:
        """Return a plan of one bar: the figure, then standing."""
        rest = _BEATS * self._beat + 1 - plan.num_frames
        return chain([plan, stand_still(self._home, rest)]) if rest > 0 else plan

    def _on_beats(self, beats: float) -> float:
        """Return s of so many beats."""
        return beats * self._beat / self._fps

    def _rock(self) -> Plan:
        side = float(self._random.choice([-1.0, 1.0]))
        return swaying(self._home, self._fps, side * 0.03 * self._size, 0.0, self._on_beats(2), 2)

    def _bounce(self) -> Plan:
        return squatting(self._home, self._fps, 0.06 * self._size, self._on_beats(2), 2)

    def _bow(self) -> Plan:
        return squatting(self._home, self._fps, 0.12 * self._size, self._on_beats(_BEATS), 1)

    def _side_step(self) -> Plan:
        return self._steps(np.array([0.0, 0.07 * self._size * self._flip("side"), 0.0]))

    def _turn(self) -> Plan:
        return self._steps(np.array([0.0, 0.0, 0.3 * self._size * self._flip("turn")]))

    def _march(self) -> Plan:
        return self._steps(np.zeros(3))

    def _steps(self, stride: np.ndarray) -> Plan:
        # One step a beat; the weight takes the fourth beat to come and to go.
        double = split_step(self._beat, 0.3)[1]
        return stepping(
            self._home,
            steps=_BEATS - 1,
            stride=stride,
            step_frames=self._beat,
            double_support=0.3,
            shift_frames=(self._beat + double) // 2,
            clearance=0.04 + 0.04 * self._size,
        )

    def _flip(self, what: str) -> float:
        self._direction[what] *= -1.0
        return self._direction[what]

    def _wave(self, joints: np.ndarray, part: np.ndarray) -> None:
        wave_arm(joints, SIDES[self._random.integers(2)], 0.9 * self._size, part, swings=2)

    def _spread(self, joints: np.ndarray, part: np.ndarray) -> None:
        spread_arms(joints, self._size, part)

    def _punch(self, joints: np.ndarray, part: np.ndarray) -> None:
        raise_guard(joints, plateau(part, 0.2))
        for index in range(2):
            strike = np.clip(_BEATS * part - 1.0 - index, 0.0, 1.0)
            punch_with(joints, SIDES[index], 0.8 * self._size, strike)

    def _swing(self, joints: np.ndarray, part: np.ndarray) -> None:
        swing = np.sin(_BEATS * np.pi * part) * plateau(part, 0.25)
        swing_arms(joints, 0.5 * self._size, swing)

    def _twist(self, joints: np.ndarray, part: np.ndarray) -> None:
        swing = np.sin(_BEATS * np.pi * part) * plateau(part, 0.25)
        joints[:, upper("waist_yaw")] += 0.35 * self._size * swing
        spread_arms(joints, 0.4 * self._size, part)


class _Mix:
    """Parts of a random kind and random size."""

    def __init__(self, home: Home, fps: float, seed: int) -> None:
        self._home, self._fps = home, fps
        self._random = np.random.default_rng(seed)
        self._kinds: list[Figure] = [
            self._sway, self._squat, self._shift, self._wave,
            self._punch, self._march, self._walk, self._turn,
        ]  # fmt: skip

    def plan(self, frames: int) -> Plan:
        """Return the plan of parts that together take ``frames`` frames and one."""
        parts: list[Plan] = []
        left = frames
        while True:
            # Every kind comes once before one comes again.
            for kind in self._random.permutation(len(self._kinds)):
                part = self._kinds[kind]()
                pause = round(self._uniform(0.0, 0.5) * self._fps) + 1
                if part.num_frames - 1 + pause > left:
                    return chain([*parts, stand_still(self._home, left)])
                parts += [part, stand_still(self._home, pause)]
                left -= part.num_frames - 1 + pause

    def _uniform(self, low: float, high: float) -> float:
        return float(self._random.uniform(low, high))

    def _sign(self) -> float:
        return float(self._random.choice([-1.0, 1.0]))

    def _count(self, low: int, high: int) -> int:
        return int(self._random.integers(low, high + 1))

    def _step_frames(self) -> int:
        return round(self._uniform(0.5, 0.7) * self._fps)

    def _sway(self) -> Plan:
        size, forwards = self._sign() * self._uniform(0.02, 0.05), self._uniform(0.0, 0.02)
        period = self._uniform(2.5, 4.0)
        return swaying(self._home, self._fps, size, forwards, period, self._count(1, 2))

    def _squat(self) -> Plan:
        depth, period = self._uniform(0.06, 0.15), self._uniform(2.0, 3.0)
        return squatting(self._home, self._fps, depth, period, self._count(1, 2))

    def _shift(self) -> Plan:
        amount, move = self._uniform(0.4, 0.9), self._uniform(0.9, 1.3)
        return shifting(self._home, self._fps, amount, move, self._uniform(0.0, 0.6), 1)

    def _wave(self) -> Plan:
        arm, size = SIDES[self._count(0, 1)], self._uniform(0.6, 1.0)
        return waving(self._home, self._fps, arm, size, self._count(2, 4), self._uniform(0.8, 1.2))

    def _punch(self) -> Plan:
        count, period = 2 * self._count(1, 3), self._uniform(0.7, 1.1)
        return punching(self._home, self._fps, count, period, self._uniform(0.6, 1.0))

    def _march(self) -> Plan:
        return stepping(
            self._home,
            steps=self._count(4, 8),
            stride=np.zeros(3),
            step_frames=self._step_frames(),
            clearance=self._uniform(0.05, 0.1),
            lift_swing=self._uniform(2.0, 5.0),
        )

    def _walk(self) -> Plan:
        steps, step_frames = self._count(4, 8), self._step_frames()
        # Along one of: forwards in a curve, backwards, sideways.
        velocity = [
            [self._uniform(0.2, 0.4), 0.0, self._uniform(-0.4, 0.4)],
            [self._uniform(-0.25, -0.1), 0.0, 0.0],
            [0.0, self._sign() * self._uniform(0.06, 0.13), 0.0],
        ][self._random.choice(3, p=[0.6, 0.2, 0.2])]
        stride = np.array(velocity) * (step_frames / self._fps)
        return stepping(self._home, steps=steps, stride=stride, step_frames=step_frames)

    def _turn(self) -> Plan:
        angle = self._sign() * self._uniform(0.5, 1.6)
        return turning(self._home, angle, 0.35, self._step_frames())


def dancing(
    home: Home,
    fps: float,
    tempo: Annotated[float, Within(60.0, 110.0, "beats per minute")] = 90.0,
    bars: Annotated[int, Within(2, 32, "bars of four beats; the last one is a bow")] = 8,
    size: Annotated[float, Within(0.3, 1.0, "how large the movements are")] = 1.0,
    seed: Seeded = 1,
) -> Plan:
    """Dance: rocking, bouncing, steps and turns, with the arms in the air.

    Every bar has a figure of feet and pelvis and a gesture of the arms, in a seeded order.
    """
    return _Dance(home, fps, tempo, size, seed).plan(bars)


def mixing(
    home: Home,
    fps: float,
    duration: Annotated[float, Within(10.0, 120.0, "s of the whole clip")] = 30.0,
    seed: Seeded = 1,
) -> Plan:
    """Stand and step in parts of random kind, size and order."""
    return _Mix(home, fps, seed).plan(round(duration * fps) - 2 * round(REST_TIME * fps))


make_dance = maker("dance", dancing)
make_mix = maker("mix", mixing)
