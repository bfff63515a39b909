"""Models of a few thousand random weights, of kinds that differ in what a backend must know, saved as the hub has them.

gpt2: no chat template, no token for padding, positions of their own. t5 and bart: an encoder and a decoder. spaced: a
Llama whose tokenizer marks the beginning of a text as a space, as Llama 2's. bert: cannot write.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from judgekit.testing import tiny_llama

WORDS = [*"abcdefghijklmnopqrstuvwxyz0123456789.,:?!-'", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "th", "the", "in", "at"]
WINDOW = 128
Kind = Literal["llama", "gpt2", "t5", "bart", "spaced", "bert"]


def save_model(into: Path, kind: Kind = "llama", seed: int = 0) -> Path:
    """A model of that kind with its tokenizer, as a folder that transformers loads; the same for the same seed."""
    makers: dict[Kind, Callable[[Path, int], Path]] = {
        "llama": tiny_llama.folder,
        "gpt2": gpt2,
        "t5": t5,
        "bart": bart,
        "spaced": spaced,
        "bert": bert,
    }
    return makers[kind](into, seed)


def save_gguf(path: Path, seed: int = 0) -> Path:
    """The tiny Llama as a GGUF file, written by the official writer."""
    return tiny_llama.gguf(path, seed)


def gpt2(into: Path, seed: int = 0, **config: Any) -> Path:
    """A GPT-2; `config` changes its sizes."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = tiny_llama.tokenizer(
        chat_template=None, bos_token=tiny_llama.CONTROL[0], eos_token=tiny_llama.CONTROL[0]
    )
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    sizes = {
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": WINDOW,
        "vocab_size": len(tiny_llama.vocabulary()[0]),
    }
    made: dict[str, Any] = ends | sizes | config
    return _saved(into, tokenizer, seed, lambda: GPT2LMHeadModel(GPT2Config(**made)))


def t5(into: Path, seed: int = 0, **config: Any) -> Path:
    """Padding is token 0 and begins the answer, 1 ends it; the tokenizer is a unigram one and says 512 tokens."""
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = _unigram()
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
    size = len(tokenizer) + 12  # as the real ones: more rows than tokens
    made = {"vocab_size": size, "initializer_factor": 3.0} | sizes | config
    return _saved(into, tokenizer, seed, lambda: T5ForConditionalGeneration(T5Config(**made)), scale=1.0)


def bart(into: Path, seed: int = 0) -> Path:
    """The config forces the first token of an answer, and wants beams and no repeated words."""
    from transformers import BartConfig, BartForConditionalGeneration

    tokenizer = _unigram()
    layers = {f"{side}_{name}": n for side in ("encoder", "decoder")
              for name, n in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 64))}  # fmt: skip
    special: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 1, "decoder_start_token_id": 1}
    special["forced_eos_token_id"] = None  # the usual one would end every answer
    made: dict[str, Any] = (
        special | layers | {"d_model": 32, "max_position_embeddings": WINDOW, "vocab_size": len(tokenizer)}
    )

    def model() -> Any:
        bart = BartForConditionalGeneration(BartConfig(**made))
        bart.generation_config.forced_bos_token_id = 2
        bart.generation_config.num_beams = 4
        bart.generation_config.no_repeat_ngram_size = 1
        return bart

    return _saved(into, tokenizer, seed, model)


def spaced(into: Path, seed: int = 0) -> Path:
    """A Llama with a tokenizer of pieces and bytes, as Llama 2's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    pieces = ["<unk>", "<s>", "</s>", "▁", *(f"<0x{byte:02X}>" for byte in range(256)), *WORDS, "▁A", "▁the"]
    merges = [("t", "h"), ("th", "e"), ("i", "n"), ("a", "t"), ("▁", "A"), ("▁", "the")]
    core = Tokenizer(
        models.BPE({piece: at for at, piece in enumerate(pieces)}, merges, unk_token="<unk>", byte_fallback=True)
    )
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    core.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0),
    ])  # fmt: skip
    make: Any = PreTrainedTokenizerFast
    tokenizer = make(tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    config = LlamaConfig(vocab_size=len(pieces), max_position_embeddings=WINDOW, **sizes)
    return _saved(into, tokenizer, seed, lambda: LlamaForCausalLM(config))


def bert(into: Path, seed: int = 0) -> Path:
    """A masked language model, which a backend must refuse."""
    from transformers import BertConfig, BertForMaskedLM

    tokenizer = _unigram()
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    made: dict[str, Any] = {"vocab_size": len(tokenizer)} | sizes
    return _saved(into, tokenizer, seed, lambda: BertForMaskedLM(BertConfig(**made)))


def _unigram() -> Any:
    """A unigram tokenizer, as T5's: `</s>` ends each text, spaces are part of the words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = [("<pad>", 0.0), ("</s>", 0.0), ("<s>", 0.0), ("<unk>", 0.0)]
    pieces = [("▁", -2.0), *((word, -4.0) for word in WORDS), *((f"▁{word}", -4.5) for word in WORDS)]
    core = Tokenizer(models.Unigram([*special, *pieces], unk_id=3))
    core.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    core.decoder = decoders.Metaspace()
    core.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    make: Any = PreTrainedTokenizerFast
    return make(tokenizer_object=core, model_max_length=512, **names)


def _saved(into: Path, tokenizer: Any, seed: int, make: Callable[[], Any], scale: float = 10.0) -> Path:
    """Weights `scale` times as large as usual: random ones hardly tell one token from another."""
    import torch

    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        model = make().eval()
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and "position" not in name:
                weight.mul_(scale)
    tokenizer.save_pretrained(into)
    model.save_pretrained(into)
    return into
