"""Metrics beside chance, and what the model learned."""
