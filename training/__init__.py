"""Models, losses, samplers and the training stages; embedding with a trained model."""
