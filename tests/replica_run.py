"""Trains small flows on one device, on two replicas or as one of two workers.

    python replica_run.py none|mirrored|multiworker FOLDER stored|recompute ...

Writes losses, metrics and weights of a flow with each memory, which must not depend on
the strategy, to FOLDER/stored.npz and FOLDER/recompute.npz.
"""

import sys

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp as nvp
from tfp_realnvp.runs.strategy import is_chief, make_strategy

tfd = tfp.distributions

# The last batch of an epoch is smaller, so small that a replica has nothing of it.
EXAMPLES, BATCH_SIZE, EPOCHS = 17, 8, 7


def make_flow(memory):
    shape = (4, 4, 1)
    sizes = {"num_scales": 1, "filters": 3, "num_blocks": 1}
    whole = nvp.RealNVPBijector(shape, seed=0, **sizes)
    # Two of its four couplings: each takes seconds to be made on two replicas.
    body = nvp.FusedChain(whole.body.bijectors[:4])
    flow = nvp.RealNVPBijector(shape, num_scales=1, body=body, memory=memory)
    base = tfd.Independent(tfd.Normal(tf.zeros(shape), 1.0), 3)
    return tfd.TransformedDistribution(base, nvp.FusedChain([nvp.PixelLogit(), flow]))


class Record(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        report = self.model.last_report
        names = ("gradient_norm", "prior", "log_det")
        self.steps.append([logs["loss"], *(float(report[name]) for name in names)])


def main(kind, folder, *memories):
    if kind == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, two)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    else:
        strategy = make_strategy(kind)
    for memory in memories:
        train(kind, strategy, memory, f"{folder}/{memory}.npz")


def train(kind, strategy, memory, output):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = nvp.FlowModel(make_flow(memory), seed=0)
        # A norm this small clips every step, and with Adam's own epsilon rounding would
        # decide which way weights go whose gradients are near 0.
        optimizer = keras.optimizers.Adam(1e-3, epsilon=1e-5, global_clipnorm=0.5)
        model.compile(optimizer, average_decay=0.9)
    x = np.random.default_rng(0).integers(0, 256, [EXAMPLES, 4, 4, 1], np.uint8)
    batches = tf.data.Dataset.from_tensor_slices(x).batch(BATCH_SIZE)
    averages = model.average.variables
    record = Record()
    history = model.fit(batches, epochs=EPOCHS, verbose=0, callbacks=[record]).history
    evaluation = model.evaluate(batches, verbose=0, return_dict=True)
    weights = np.arange(EXAMPLES) % 3
    weighted = tf.data.Dataset.from_tensor_slices((x, np.zeros(EXAMPLES), weights))
    weighted = weighted.map(lambda x, _, weight: (x, None, weight)).batch(BATCH_SIZE)
    evaluation |= {"weighted": model.evaluate(weighted, verbose=0)[0]}
    predictions = []
    if kind != "multiworker":
        # Of one image and of the third batch a replica has nothing.
        with strategy.scope():
            model.compile(steps_per_execution=2)
        for count in (1, EXAMPLES):
            scores = model.predict(x[:count], batch_size=BATCH_SIZE, verbose=0)
            predictions += list(scores)
        none_first = tf.data.Dataset.from_tensors(x[:0]).concatenate(batches)
        predictions += list(model.predict(none_first, verbose=0))
        predictions += list(model.predict_on_batch(x[:5]))
        predictions += model.test_on_batch(x[:5])
    if not is_chief(strategy):
        return
    np.savez(
        output,
        replicas=strategy.num_replicas_in_sync,
        steps=record.steps,
        history=[history["loss"], history["bits_per_dim"]],
        evaluation=list(evaluation.values()),
        predictions=predictions,
        weights=joined(model.weights),
        moments=joined(model.non_trainable_variables),
        average=joined(averages),
    )


def joined(variables):
    return np.concatenate([np.ravel(tf.convert_to_tensor(v)) for v in variables])


if __name__ == "__main__":
    main(*sys.argv[1:])
