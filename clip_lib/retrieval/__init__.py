"""Query a trained CLIP."""
