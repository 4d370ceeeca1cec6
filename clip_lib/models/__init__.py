"""Both encoders, CLIP, its loss and their files."""
