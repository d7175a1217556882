"""What tests share: a private machine to break, bundles, runtimes to call, waiting for events."""
