"""Helpers that custom actions and substitutions use."""

from ._core import normalize_to_list_of_substitutions, perform_substitutions

__all__ = ["normalize_to_list_of_substitutions", "perform_substitutions"]
