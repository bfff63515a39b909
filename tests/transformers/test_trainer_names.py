"""The Hugging Face Trainer's own names: read, or refused with what there is in their place."""

import dataclasses

import pytest
from transformers import TrainingArguments

import judgekit
from judgekit_transformers.trainer_names import ANYWAY, OURS
from judgekit_transformers.tuning_options import TuningOptions


def options(**given):
    return judgekit.build_options(TuningOptions, {"from": "x", "data": "y", **given}, "train.sft")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"num_train_epochs": 3}, {"epochs": 3}),
        ({"max_steps": 20}, {"steps": 20}),
        ({"num_train_epochs": 3, "max_steps": -1}, {"epochs": 3}),
        ({"num_train_epochs": 3, "max_steps": 20}, {"steps": 20}),
        ({"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}, {"batch": 4, "accumulate": 2}),
        ({"learning_rate": 1e-4, "warmup_ratio": 0.1}, {"lr": 1e-4, "warmup": 0.1}),
        ({"lr_scheduler_type": "constant_with_warmup"}, {"schedule": "constant"}),
        ({"lr_scheduler_type": "linear"}, {"schedule": "linear"}),
        ({"max_grad_norm": 0}, {"clip": None}),
        ({"eval_steps": 5, "logging_steps": 5, "save_steps": 7}, {"evaluate_every": 5, "save_every": 7}),
        ({"bf16": True, "fp16": False}, {"precision": "bfloat16"}),
        ({"bf16": False}, {}),
        ({"use_cpu": True}, {"device": "cpu"}),
        ({"max_seq_length": 512, "completion_only_loss": True}, {"max_length": 512, "mask_prompt": True}),
        ({"lora_r": 8, "lora_alpha": 32}, {"lora": {"rank": 8, "alpha": 32}}),
        (
            {"peft_config": {"r": 8, "target_modules": ["q_proj"], "bias": "none", "task_type": "CAUSAL_LM"}},
            {"lora": {"rank": 8, "targets": ["q_proj"]}},
        ),
        (
            {"save_strategy": "steps", "eval_strategy": "steps", "optim": "adamw_torch", "report_to": "none"},
            {},
        ),
        ({"warmup_steps": 0, "gradient_checkpointing": False, "push_to_hub": False, "packing": False}, {}),
    ],
)
def test_their_names_are_ours(theirs, ours):
    assert options(**theirs) == options(**ours)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"fp16": True}, "'fp16'.*'precision: bfloat16'"),
        ({"save_strategy": "epoch"}, "'save_strategy'.*'save_every'"),
        ({"save_strategy": "no"}, "'save_every'"),
        ({"eval_strategy": "epoch"}, "'evaluate_every'"),
        ({"warmup_steps": 100}, "'warmup' is the share"),
        ({"optim": "adafactor"}, "the optimiser is AdamW"),
        ({"report_to": "wandb"}, "nothing is reported"),
        ({"output_dir": "out"}, "the run has a folder"),
        ({"gradient_checkpointing": True}, "a smaller 'batch'"),
        ({"batch": 4, "per_device_train_batch_size": 8}, "both say 'batch'"),
        ({"eval_steps": 5, "logging_steps": 1}, "both say 'evaluate_every'"),
        ({"bf16": "auto"}, "'bf16' should be true or false"),
        ({"lr_scheduler_type": "polynomial"}, "schedule"),
        ({"peft_config": {"r": 8, "bias": "all"}}, "'peft_config' with 'bias'"),
        ({"max_steps": 5, "epochs": 2, "steps": 6}, "both say 'steps'"),
    ],
)
def test_what_is_otherwise_is_refused_with_what_there_is(given, said):
    with pytest.raises(judgekit.UsageError, match=said):
        options(**given)


def test_the_advice_names_options_that_are_there():
    for _, advice in ANYWAY.values():
        for name in ("precision", "save_every", "evaluate_every", "warmup", "batch", "accumulate", "lora", "mapping"):
            if f"'{name}" in advice:
                assert name in TuningOptions.model_fields
    ours = {field.alias or name for name, field in TuningOptions.model_fields.items()}
    assert set(OURS.values()) <= ours
    assert not {*OURS, *ANYWAY} & ours, "no name of ours is taken for one of theirs"
    theirs = {field.name for field in dataclasses.fields(TrainingArguments)}
    assert {"per_device_train_batch_size", "fp16", "save_strategy", "num_train_epochs"} <= theirs & {*OURS, *ANYWAY}
