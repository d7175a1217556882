"""What creched offers on its sockets: status and commands, events, metrics, a page for browsers."""
