"""Measurements of what flows through a model: responses, gradients, influence, health."""
