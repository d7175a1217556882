"""crechectl, without a creched."""
