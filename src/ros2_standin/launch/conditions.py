"""Conditions on actions."""

from __future__ import annotations

from ._core import Condition, LaunchContext, SomeSubstitutionsType, perform_substitutions

__all__ = [
    "IfCondition", "InvalidConditionExpressionError", "UnlessCondition",
    "evaluate_condition_expression",
]


class InvalidConditionExpressionError(Exception):
    """A condition that is neither true nor false."""


def evaluate_condition_expression(
    context: LaunchContext, expression: SomeSubstitutionsType
) -> bool:
    """Return whether ``expression`` says true or 1.

    Raises:
        InvalidConditionExpressionError: it says anything else but false or 0.
    """
    text = perform_substitutions(context, expression)
    if text.strip().lower() in ("true", "1"):
        return True
    if text.strip().lower() in ("false", "0"):
        return False
    raise InvalidConditionExpressionError(
        f"invalid condition expression, expected one of true, 1, false or 0, got '{text}'"
    )


class IfCondition(Condition):
    """Holds when its expression says true."""

    def __init__(self, predicate_expression: SomeSubstitutionsType) -> None:
        super().__init__(
            predicate=lambda context: evaluate_condition_expression(context, predicate_expression)
        )


class UnlessCondition(Condition):
    """Holds when its expression says false."""

    def __init__(self, predicate_expression: SomeSubstitutionsType) -> None:
        condition = IfCondition(predicate_expression)
        super().__init__(predicate=lambda context: not condition.evaluate(context))
