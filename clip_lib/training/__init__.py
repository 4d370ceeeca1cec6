"""One way to train."""
