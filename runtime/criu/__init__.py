"""Containers to disk and back, by CRIU (`checkpoint`, `restore`). Nothing else imports it."""
