"""Finds the best fine-tuning schedule for a pretrained image classifier."""

__version__ = "0.1.0"
