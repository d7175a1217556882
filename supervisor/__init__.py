"""creched and crechectl: the supervisor that keeps declared containers running."""
