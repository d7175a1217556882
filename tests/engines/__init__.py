"""Real engines on top of creche, and on top of runc: what holds for one has to hold for both."""
