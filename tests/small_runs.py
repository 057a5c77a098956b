"""Runs on digits as training leaves them, though they were never trained."""

from tfp_realnvp.runs import RunConfig, RunDirectory

FLOW = {"event_shape": (8, 8, 1), "num_scales": 1, "filters": 2, "num_blocks": 1}


def make_run(path, *, change=lambda model: None, batch_size=64, seed=0, **options):
    """Returns the folder of a run with its first weights, changed by a function.

    What of the options is not `RunConfig`'s is an argument of the flow.
    """
    fields = RunConfig.__dataclass_fields__
    own = {name: options.pop(name) for name in [*options] if name in fields}
    config = RunConfig(
        dataset="digits",
        flow={**FLOW, **options},
        batch_size=batch_size,
        epochs=1,
        learning_rate=1e-3,
        seed=seed,
        **own,
    )
    directory = RunDirectory.create(path, config)
    model = config.build_model()
    change(model)
    model.save_weights(directory.weights())
    return path
