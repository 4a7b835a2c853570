#!/usr/bin/env python3
"""The experiment on the reference stack: TensorFlow, TensorFlow Recommenders, Keras 2.

The model is the one of TensorFlow Recommenders' tutorial "Deep & Cross Network": look-ups of
strings and integers, embeddings, tfrs.layers.dcn.Cross, dense layers, a ranking task with mean
squared error and RMSE. Batches are cut and cached before the first fit, which the tutorial does
during it. Each run makes and traces a model of its own, as the tutorial's five runs do. Needs the
packages that README.md lists.
"""

import importlib.metadata
import os
import time

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf  # noqa: E402  (the settings above must come first)
import tensorflow_recommenders as tfrs  # noqa: E402

import movielens  # noqa: E402
import peer_process  # noqa: E402

# use_cross_layer, deep_layer_sizes, projection_dim: as the tutorial calls them.
VARIANTS = {
    "dcn": (True, [192, 192], None),
    "dcn-lowrank": (True, [192, 192], peer_process.PROJECTION),
    "dnn": (False, [192, 192, 192], None),
}


class DCN(tfrs.Model):
    """The tutorial's model."""

    def __init__(self, vocabularies, use_cross_layer, deep_layer_sizes, projection_dim):
        super().__init__()
        self._embeddings = {}
        for name in movielens.FEATURES:
            vocabulary = vocabularies[name]
            if name in movielens.STRING_FEATURES:
                lookup = tf.keras.layers.StringLookup(vocabulary=vocabulary, mask_token=None)
            else:
                lookup = tf.keras.layers.IntegerLookup(vocabulary=vocabulary, mask_value=None)
            self._embeddings[name] = tf.keras.Sequential([
                lookup,
                tf.keras.layers.Embedding(len(vocabulary) + 1, peer_process.EMBEDDING_WIDTH),
            ])
        self._cross_layer = None
        if use_cross_layer:
            self._cross_layer = tfrs.layers.dcn.Cross(
                projection_dim=projection_dim, kernel_initializer="glorot_uniform")
        self._deep_layers = [
            tf.keras.layers.Dense(size, activation="relu") for size in deep_layer_sizes
        ]
        self._logit_layer = tf.keras.layers.Dense(1)
        self.task = tfrs.tasks.Ranking(
            loss=tf.keras.losses.MeanSquaredError(),
            metrics=[tf.keras.metrics.RootMeanSquaredError("RMSE")])

    def call(self, features):
        embeddings = [self._embeddings[name](features[name]) for name in movielens.FEATURES]
        x = tf.concat(embeddings, axis=1)
        if self._cross_layer is not None:
            x = self._cross_layer(x)
        for layer in self._deep_layers:
            x = layer(x)
        return self._logit_layer(x)

    def compute_loss(self, features, training=False):
        labels = features.pop(movielens.LABEL)
        scores = self(features)
        return self.task(labels=labels, predictions=scores)


class EpochClock(tf.keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self._begin = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self._begin)


def _batches(data, rows, batch_rows):
    """Those ratings as batches in memory, the same in every epoch and run."""
    columns = {name: feature.take(rows) for name, feature in data.features.items()}
    columns[movielens.LABEL] = data.labels[rows]
    batches = tf.data.Dataset.from_tensors(columns).rebatch(batch_rows).cache()
    for _ in batches:  # fills the cache
        pass
    return batches


class ReferenceStack:
    def __init__(self, data, threads):
        if threads > 0:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        self.versions = {"tensorflow": tf.__version__, "tensorflow-recommenders": tfrs.__version__,
                         "tf-keras": importlib.metadata.version("tf-keras")}
        self._vocabularies = {
            name: feature.vocabulary for name, feature in data.features.items()
        }
        self._train = _batches(data, data.train, movielens.BATCH_ROWS)
        self._test = _batches(data, data.test, movielens.BATCH_ROWS // 2)  # as in the tutorial

    def run(self, model, seed, epochs):
        tf.keras.backend.clear_session()
        tf.keras.utils.set_random_seed(seed)
        network = DCN(self._vocabularies, *VARIANTS[model])
        network.compile(optimizer=tf.keras.optimizers.legacy.Adam(
            peer_process.LEARNING_RATE, epsilon=peer_process.EPSILON))
        clock = EpochClock()
        begin = time.perf_counter()
        network.fit(self._train, epochs=epochs, verbose=0, callbacks=[clock])
        fit_seconds = time.perf_counter() - begin
        metrics = network.evaluate(self._test, verbose=0, return_dict=True)
        return {
            "parameter_count": int(sum(tf.size(w) for w in network.trainable_weights)),
            "fit_seconds": fit_seconds,
            "epoch_seconds": clock.seconds,
            "test_rmse": float(metrics["RMSE"]),
        }


if __name__ == "__main__":
    peer_process.main("Trains on the reference stack; one line of JSON a run.", ReferenceStack)
