"""Whatever is drawn for the notebook."""
