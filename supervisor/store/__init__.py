"""What creched remembers: records and events on tmpfs, intent on disk, descriptors elsewhere."""
