"""Figures and tables, in French, for the notebook and the report."""
