"""Captions lengthened by a language model, each answer checked."""
