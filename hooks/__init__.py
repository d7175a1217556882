"""OCI hooks: what one is, which apply, in which order, and how one is run under a deadline."""
