"""Node ``policy``: the rim of the deployed controller."""
