"""Networks of containers that no creched looks after: `creche net`, and a hook for any runtime."""
