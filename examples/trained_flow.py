"""A flow to use in other examples: that of a run, or a small one trained at once."""

import keras

import tfp_realnvp as nvp
from tfp_realnvp.runs import RunDirectory


def load_run(path, data_dir):
    """Returns the best flow of a folder of `tfp-realnvp train`, and the run's data."""
    run = RunDirectory(path)
    return run.load_model("best").flow, run.load_config().load_data(data_dir)


def train_small(data, epochs, seed, convert=None):
    """Returns a flow over images of 8 x 8 in grey, which `convert` makes of batches."""
    flow = nvp.image_flow("digits", seed=seed)
    model = nvp.FlowModel(flow, seed=seed)
    model.compile(keras.optimizers.Adam(2e-3, global_clipnorm=100.0))
    batches = data.training_batches(64, seed=seed)
    model.fit(
        batches if convert is None else batches.map(convert),
        steps_per_epoch=data.steps_per_epoch(64),
        epochs=epochs,
        verbose=2,
    )
    return flow
