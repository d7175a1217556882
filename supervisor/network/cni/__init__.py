"""`mode = "cni"`: interfaces that plugins make (Container Network Interface, 0.3.0 to 1.0.0)."""
