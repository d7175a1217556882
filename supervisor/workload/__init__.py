"""What a workload directory says: reading it safely, checking it, making an OCI config of it."""
