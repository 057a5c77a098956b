"""Training on a GPU machine that has JAX and no TensorFlow; see README.md."""
