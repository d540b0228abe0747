"""How an action becomes a safe PD target. Needs numpy only."""
