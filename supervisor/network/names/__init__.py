"""Names of workloads: hosts files, and a small DNS responder on the networks' gateways."""
