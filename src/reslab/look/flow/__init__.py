"""What runs through a model: responses, gradients, influence, health."""
