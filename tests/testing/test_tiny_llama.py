"""The tiny Llama: one model as a folder and as a GGUF file."""

import gguf
import numpy as np

from judgekit.testing import save_gguf, tiny_llama


def test_the_gguf_file_holds_the_same_weights(tmp_path) -> None:
    reader = gguf.GGUFReader(save_gguf(tmp_path / "tiny.gguf", seed=3))
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    weights = {name: weight.numpy() for name, weight in tiny_llama.model(3).state_dict().items()}
    np.testing.assert_array_equal(tensors["token_embd.weight"], weights["model.embed_tokens.weight"])
    np.testing.assert_array_equal(tensors["blk.1.attn_v.weight"], weights["model.layers.1.self_attn.v_proj.weight"])
    turned = tensors["blk.0.attn_q.weight"].reshape(tiny_llama.HEADS, -1, 2, tiny_llama.HIDDEN).swapaxes(1, 2)
    np.testing.assert_array_equal(
        turned.reshape(tiny_llama.HIDDEN, -1), weights["model.layers.0.self_attn.q_proj.weight"]
    )


def test_the_tokenizer_writes_back_what_it_read() -> None:
    tokenizer = tiny_llama.tokenizer()
    text = "The theory: naïve ☕\n"
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert chat.startswith(tiny_llama.CONTROL[1])
