"""How well a policy does: episodes, their metrics, the suite of conditions, films and pages."""
