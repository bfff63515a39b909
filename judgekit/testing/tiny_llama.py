"""A Llama of a few thousand weights with a byte-level vocabulary, as a model folder or as a GGUF file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

HIDDEN, HEADS, KV_HEADS, LAYERS, FEED = 32, 4, 2, 2, 64
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def vocabulary() -> tuple[list[str], list[tuple[str, str]]]:
    """(tokens, merges): control tokens, the 256 bytes, and a few merged pieces."""
    from tokenizers import pre_tokenizers

    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("Ġ", "a"), ("i", "n")]
    return [*CONTROL, *sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in merges)], merges


def model(seed: int = 0) -> Any:
    """A float32 LlamaForCausalLM with random weights, the same for the same seed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=len(vocabulary()[0]),
            hidden_size=HIDDEN,
            intermediate_size=FEED,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=KV_HEADS,
            max_position_embeddings=256,
            rms_norm_eps=1e-5,
            initializer_range=0.2,
            rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
        )
        made: Any = LlamaForCausalLM(config)
        return made.eval()


def tokenizer(chat_template: str | None = TEMPLATE, **names: str) -> Any:
    """The byte-level tokenizer; `names` are its special tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens, merges = vocabulary()
    core = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL])
    names = {"bos_token": CONTROL[1], "eos_token": CONTROL[2]} | names
    make: Any = PreTrainedTokenizerFast
    return make(tokenizer_object=core, chat_template=chat_template, **names)


def folder(into: Path, seed: int = 0, chat_template: str | None = TEMPLATE) -> Path:
    """The model saved as transformers does: config.json, model.safetensors, tokenizer.json."""
    tokenizer(chat_template).save_pretrained(into)
    model(seed).save_pretrained(into)
    return into


def gguf(path: Path, seed: int = 0, architecture: str = "llama") -> Path:
    """The same model as a GGUF file, float32, written by the official writer."""
    from gguf import GGUFWriter

    tokens, merges = vocabulary()
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(CONTROL) + [1] * (len(tokens) - len(CONTROL)))
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    for name, weight in model(seed).state_dict().items():
        if name != "lm_head.weight":
            writer.add_tensor(_gguf_name(name), _as_llama_cpp(name, weight.numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


_PARTS = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def _gguf_name(name: str) -> str:
    for old, new in _PARTS.items():
        name = name.replace(old, new)
    return name.replace("model.layers.", "blk.")


def _as_llama_cpp(name: str, weight: Any) -> Any:
    """Queries and keys with rotary pairs as neighbours, as llama.cpp's converter lays them out."""
    for part, heads in (("q_proj", HEADS), ("k_proj", KV_HEADS)):
        if part in name:
            halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, weight.shape[1])
            return halves.swapaxes(1, 2).reshape(weight.shape).copy()
    return weight
