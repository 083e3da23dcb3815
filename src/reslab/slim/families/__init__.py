"""What each family of models brings to slimming: images, questions, texts."""
