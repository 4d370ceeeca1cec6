"""Captioned pictures: find, read, check, split and stream them."""
