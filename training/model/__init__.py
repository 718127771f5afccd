"""The method: skeleton encoder, prototypes, temporal modelling, losses, and the model that they make."""
