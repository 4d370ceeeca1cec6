"""The optimiser that every training uses."""

import keras


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
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=weight_decay, global_clipnorm=1.0
    )
    optimizer.exclude_from_weight_decay(
        var_names=["bias", "gamma", "beta", "log_scale"]
    )
    return optimizer
