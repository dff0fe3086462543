"""What a training run is made of: edge sampling, the epoch loop, callbacks and checkpoints."""
