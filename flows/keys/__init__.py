"""What a step is, and what its key is made of: settings, inputs, and the code that the stage can reach."""
