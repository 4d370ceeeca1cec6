"""The optimiser that every training uses."""

import keras
import tensorflow as tf

from clip_lib.models.cross_replica import replica_count


@keras.saving.register_keras_serializable(package="clip_lib")
class WholeBatchAdamW(keras.optimizers.AdamW):
    """AdamW that clips the gradient of the whole batch, on any number of devices.

    Keras clips the share of each device before it sums them: the sum would then be
    another, and up to as many times as long as there are devices.
    """

    def apply(self, grads, trainable_variables=None):
        count = replica_count()
        if count > 1:
            context = tf.distribute.get_replica_context()
            known = [place for place, grad in enumerate(grads) if grad is not None]
            whole = context.all_reduce("SUM", [grads[place] for place in known])
            whole, _ = tf.clip_by_global_norm(whole, self.global_clipnorm)
            grads = list(grads)
            for place, grad in zip(known, whole, strict=True):
                # Keras will sum what is now the same on each device.
                grads[place] = tf.convert_to_tensor(grad) / count
        super().apply(grads, trainable_variables)


def build_optimizer(
    learning_rate: float, weight_decay: float, steps: int
) -> keras.optimizers.Optimizer:
    """AdamW, with a short warm-up and a cosine decay to zero."""
    warmup = max(1, steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps - warmup),
        warmup_target=learning_rate,
        warmup_steps=warmup,
    )
    optimizer = WholeBatchAdamW(
        schedule, weight_decay=weight_decay, global_clipnorm=1.0
    )
    optimizer.exclude_from_weight_decay(
        var_names=["bias", "gamma", "beta", "log_scale"]
    )
    return optimizer
