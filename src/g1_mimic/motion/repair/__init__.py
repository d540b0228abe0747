"""Mending clips: glitches, feet, ends; blending and mirroring."""
