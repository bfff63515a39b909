"""A GGUF file of the Llama family → the transformers model and tokenizer, weights dequantised to float32.

Only what is certain: a byte-level BPE vocabulary with a known split, no scaled rotations, no unknown tensor. For all
else `supported` says no, and transformers' own, slower loader is used. SmolLM2-135M: 2.5 s of processor time, not 37.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

from judgekit import CheckpointError
from judgekit_transformers.gguf_file import GGUF

_SPLITS = ("smollm", "gpt-2", "default")
_CONTROL = 3  # llama.cpp's type of tokens that stand for no text
_TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_NAME = re.compile(r"(?:blk\.(?P<layer>\d+)\.)?(?P<part>\w+)\.weight")


def supported(gguf: GGUF) -> bool:
    fields = gguf.fields
    return (
        fields.get("general.architecture") == "llama"
        and fields.get("tokenizer.ggml.model") == "gpt2"
        and fields.get("tokenizer.ggml.pre", "default") in _SPLITS
        and not fields.get("tokenizer.ggml.add_bos_token", False)
        and not any(name.startswith("llama.rope.scaling") for name in fields)
        and all(_renamed(name) for name in gguf.tensors)
    )


def _renamed(name: str) -> str:
    """transformers' name of a GGUF tensor; empty if unknown."""
    match = _NAME.fullmatch(name)
    if not match:
        return ""
    layer, part = match["layer"], match["part"]
    if layer is None:
        return f"{_TOP[part]}.weight" if part in _TOP else ""
    return f"model.layers.{layer}.{_LAYER[part]}.weight" if part in _LAYER else ""


def model(gguf: GGUF, dtype: Any) -> Any:
    """The LlamaForCausalLM in a torch dtype. Raises CheckpointError for a truncated file or missing tensors."""
    transformers: Any = importlib.import_module("transformers")  # its types say less than they seem to
    fields = {name.removeprefix("llama."): value for name, value in gguf.fields.items()}
    try:
        heads = fields["attention.head_count"]
        config = transformers.LlamaConfig(
            vocab_size=gguf.tensors["token_embd.weight"].shape[0],
            hidden_size=fields["embedding_length"],
            intermediate_size=fields["feed_forward_length"],
            num_hidden_layers=fields["block_count"],
            num_attention_heads=heads,
            num_key_value_heads=fields.get("attention.head_count_kv", heads),
            max_position_embeddings=fields["context_length"],
            rms_norm_eps=fields["attention.layer_norm_rms_epsilon"],
            rope_parameters={"rope_type": "default", "rope_theta": fields.get("rope.freq_base", 10_000.0)},
            tie_word_embeddings="output.weight" not in gguf.tensors,
            bos_token_id=gguf.fields.get("tokenizer.ggml.bos_token_id"),
            eos_token_id=gguf.fields.get("tokenizer.ggml.eos_token_id"),
        )
    except KeyError as missing:
        raise CheckpointError(f"the GGUF file lacks {missing}", path=gguf.path) from None
    weights = {_renamed(name): _tensor(gguf, name, config) for name in gguf.tensors}
    expected = _expected(config)
    if set(weights) != expected:
        wrong = sorted(expected ^ set(weights))[0]
        raise CheckpointError(f"tensors are missing or of no use, first {wrong}", path=gguf.path)
    return transformers.LlamaForCausalLM.from_pretrained(None, config=config, state_dict=weights, dtype=dtype)


def _expected(config: Any) -> set[str]:
    top = {"model.embed_tokens.weight", "model.norm.weight"} | (
        set() if config.tie_word_embeddings else {"lm_head.weight"}
    )
    layers = {f"model.layers.{i}.{part}.weight" for i in range(config.num_hidden_layers) for part in _LAYER.values()}
    return top | layers


def _tensor(gguf: GGUF, name: str, config: Any) -> Any:
    """The tensor in float32, with the rotary halves of queries and keys as transformers keeps them."""
    import numpy as np
    import torch
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize

    info = gguf.tensors[name]
    try:
        kind = GGMLQuantizationType(info.kind)
        values, size = GGML_QUANT_SIZES[kind]
        row = info.shape[-1] // values * size
        packed = np.frombuffer(gguf.data, np.uint8, row * int(np.prod(info.shape[:-1])), info.offset)
        x = dequantize(packed.reshape(*info.shape[:-1], row), kind).reshape(info.shape)
    except ValueError:
        raise CheckpointError(f"a truncated or damaged GGUF file, at {name}", path=gguf.path) from None
    if name.endswith(("attn_q.weight", "attn_k.weight")):
        heads = config.num_attention_heads if "attn_q" in name else config.num_key_value_heads
        pairs = x.reshape(heads, x.shape[0] // heads // 2, 2, x.shape[1])
        x = pairs.swapaxes(1, 2).reshape(x.shape)  # llama.cpp rotates neighbours, transformers halves
    return torch.from_numpy(np.array(x, dtype=np.float32))  # a copy: the file's pages are not writable


def tokenizer(gguf: GGUF) -> Any:
    """The byte-level BPE tokenizer, with the file's chat template. Raises CheckpointError."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    transformers: Any = importlib.import_module("transformers")
    fields = {name.removeprefix("tokenizer.ggml."): value for name, value in gguf.fields.items()}
    try:
        tokens, kinds = fields["tokens"], fields["token_type"]
        merges = [tuple(merge.split(" ", 1)) for merge in fields["merges"]]
        core = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
        control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
        names = {key: tokens[fields[f"{key}_id"]] for key in ("bos_token", "eos_token") if f"{key}_id" in fields}
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise CheckpointError("the vocabulary in the GGUF file is damaged", path=gguf.path) from error
    digits = [pre_tokenizers.Digits(individual_digits=True)] if fields.get("pre") == "smollm" else []
    core.pre_tokenizer = pre_tokenizers.Sequence([*digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    template = gguf.fields.get("tokenizer.chat_template")
    return transformers.PreTrainedTokenizerFast(tokenizer_object=core, chat_template=template, **names)
