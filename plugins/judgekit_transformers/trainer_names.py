"""The names that options of `transformers-sft` have in the Hugging Face Trainer and in TRL's SFTTrainer."""

from __future__ import annotations

from typing import Any

OURS = {
    "model_name_or_path": "from",
    "train_file": "data",
    "num_train_epochs": "epochs",
    "max_steps": "steps",
    "per_device_train_batch_size": "batch",
    "train_batch_size": "batch",
    "gradient_accumulation_steps": "accumulate",
    "learning_rate": "lr",
    "warmup_ratio": "warmup",
    "lr_scheduler_type": "schedule",
    "max_grad_norm": "clip",
    "eval_steps": "evaluate_every",
    "logging_steps": "evaluate_every",
    "save_steps": "save_every",
    "max_seq_length": "max_length",
    "completion_only_loss": "mask_prompt",
    "assistant_only_loss": "mask_prompt",
    "peft_config": "lora",
}
_LORA = {
    **{"r": "rank", "lora_r": "rank", "lora_rank": "rank", "lora_alpha": "alpha", "lora_dropout": "dropout"},
    **{"target_modules": "targets", "lora_target_modules": "targets", "lora_target": "targets"},
}
_SCHEDULES = {"constant_with_warmup": "constant"}
_OFF = (False, None, 0, "no", "none", "")
# Names without a counterpart: the values that say what holds here anyway, and what else there is.
ANYWAY: dict[str, tuple[tuple[Any, ...], str]] = {
    "fp16": (_OFF, "'precision: bfloat16' is the faster arithmetic that is offered: float16 overflows without scaling"),
    "tf32": (_OFF, "'precision' says the arithmetic"),
    "save_strategy": (("steps",), "'save_every' says after how many steps a state is saved, by default by the clock"),
    "eval_strategy": (("steps",), "'evaluate_every' says after how many steps; 'validation: null' holds nothing out"),
    "evaluation_strategy": (
        ("steps",),
        "'evaluate_every' says after how many steps; 'validation: null' holds none out",
    ),
    "logging_strategy": (("steps",), "'evaluate_every' says after how many steps the losses are written"),
    "warmup_steps": (_OFF, "'warmup' is the share of the steps, such as 0.05"),
    "optim": (("adamw_torch", "adamw_torch_fused", "adamw_hf"), "the optimiser is AdamW"),
    "adam_beta1": ((0.9,), "AdamW's betas are 0.9 and 0.999"),
    "adam_beta2": ((0.999,), "AdamW's betas are 0.9 and 0.999"),
    "adam_epsilon": ((1e-8,), "AdamW's epsilon is 1e-8"),
    "per_device_eval_batch_size": ((), "held-out items are weighed in batches of 'batch' too: leave it out"),
    "eval_batch_size": ((), "held-out items are weighed in batches of 'batch' too: leave it out"),
    "gradient_checkpointing": (_OFF, "a smaller 'batch' with a larger 'accumulate' takes less memory"),
    "load_best_model_at_end": (_OFF, "what is saved are the last weights: 'steps' or 'epochs' say which"),
    "save_total_limit": ((), "the newest two states are kept until the training is done: leave it out"),
    "output_dir": ((), "the run has a folder for it: leave it out"),
    "overwrite_output_dir": ((), "the run has a folder for it: leave it out"),
    "report_to": (("none", None, []), "nothing is reported to anyone; the curve is in the run's report"),
    "push_to_hub": (_OFF, "nothing is sent anywhere: 'hf upload' does it, of the finished folder"),
    "label_smoothing_factor": (_OFF, "the loss is the plain cross-entropy"),
    "neftune_noise_alpha": (_OFF, "no noise is added: 'lora: {dropout: …}' is what there is"),
    "packing": (_OFF, "each item is a row of its own"),
    "group_by_length": (_OFF, "items are drawn at random"),
    "deepspeed": (_OFF, "one process trains; 'lora' takes less memory"),
    "fsdp": (_OFF, "one process trains; 'lora' takes less memory"),
    "do_train": ((True,), "a training trains: leave it out"),
    "do_eval": ((True,), "'validation: null' holds nothing out"),
    "train_on_inputs": (_OFF, "'mask_prompt: false' learns the prompts too"),
    "use_lora": (_OFF, "'lora: {rank: 16}' trains adapters"),
    "use_peft": (_OFF, "'lora: {rank: 16}' trains adapters"),
    "load_in_4bit": (_OFF, "weights are trained in float32; 'lora' takes less memory"),
    "load_in_8bit": (_OFF, "weights are trained in float32; 'lora' takes less memory"),
    "dataset_text_field": (
        (),
        "'mapping: {instruction: NAME, output: NAME}' names fields, and 'style: plain' leaves them be",
    ),
    "resume_from_checkpoint": (
        (True, *_OFF),
        "a training goes on from its own newest state; 'from' is what it begins with",
    ),
    "remove_unused_columns": ((True, False), ""),
    "ddp_find_unused_parameters": ((True, *_OFF), ""),
    "dataloader_num_workers": ((0,), "batches are made in this process"),
    "logging_dir": ((), "the curve is in the run's folder: leave it out"),
    "run_name": ((), "the training has its name from the config: leave it out"),
    "data_seed": ((), "'seed' is for the data too: leave it out"),
}


def in_our_names(values: dict[str, Any]) -> dict[str, Any]:
    """The options by our names. Raises ValueError for one that is given by two, or that says what does not hold."""
    made: dict[str, Any] = {}
    lora: dict[str, Any] = {}

    def put(into: dict[str, Any], name: str, key: str, value: Any) -> None:
        if name in into and into[name] != value:
            raise ValueError(f"{key!r} and another option both say {name!r}: give one of them")
        into[name] = value

    for key, value in values.items():
        if key in ANYWAY:
            holds, advice = ANYWAY[key]
            if not any(value == one and type(value) is type(one) for one in holds):
                raise ValueError(f"{key!r} is a name of the Hugging Face Trainer: {advice}")
        elif key in ("bf16", "use_cpu", "no_cuda"):
            name, said = ("precision", "bfloat16") if key == "bf16" else ("device", "cpu")
            if value not in _OFF and value is not True:
                raise ValueError(f"{key!r} should be true or false; '{name}' has other values")
            if value is True:
                put(made, name, key, said)
        elif key in _LORA:
            put(lora, _LORA[key], key, value)
        elif key in OURS:
            if (key, value) not in (("max_steps", -1), ("max_steps", 0)):
                put(made, OURS[key], key, _value(key, value))
        else:
            put(made, key, key, value)
    if lora:
        put(made, "lora", next(iter(lora)), lora)
    if "steps" in made and "num_train_epochs" in values and "max_steps" in values:
        made.pop("epochs", None)  # as the Trainer has it: the steps count
    return made


def _value(key: str, value: Any) -> Any:
    if key == "lr_scheduler_type":
        return _SCHEDULES.get(value, value)
    if key == "max_grad_norm" and value == 0:
        return None
    if key == "peft_config" and isinstance(value, dict):
        kept = {"peft_type", "task_type", "bias", "use_rslora", "inference_mode"} & value.keys()
        neutral = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "bias": "none"}
        if odd := [name for name in sorted(kept) if value[name] not in (neutral.get(name), False, None)]:
            raise ValueError(f"'peft_config' with {odd[0]!r}: {value[odd[0]]!r}, which 'lora' has not")
        return {_LORA.get(name, name): one for name, one in value.items() if name not in kept}
    return value
