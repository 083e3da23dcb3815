"""The papers' claims, executable: each a prediction fixed beforehand, an experiment, and a verdict by a test."""
