"""Optional encoders that others trained."""
