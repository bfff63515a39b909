"""Adapters against peft's, and what they promise: only they learn, and merging leaves an ordinary checkpoint."""

import copy
import math

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

import judgekit
from judgekit_gpt2 import lora
from judgekit_gpt2.lora import Adapted
from judgekit_gpt2.options import Adapters

# Our target → peft's module.
PEFT = {"qkv": "attn.c_attn", "out": "attn.c_proj", "up": "mlp.c_fc", "down": "mlp.c_proj"}
SETTINGS = Adapters(rank=3, alpha=7.5)


def _seed(number=0):
    return torch.Generator().manual_seed(number)


def _ids(rows=3, length=20):
    return torch.randint(0, 300, (rows, length), generator=_seed(4))


def _adapted(model, settings=SETTINGS):
    """A copy with adapters that have learnt something: B is no longer zero."""
    model = copy.deepcopy(model)
    lora.attach(model, settings, _seed(1))
    generator = _seed(2)
    with torch.no_grad():
        for module in _adapters(model).values():
            module.b.normal_(std=0.1, generator=generator)
    return model


def _adapters(model):
    return {name: module for name, module in model.named_modules() if isinstance(module, Adapted)}


def _logits(model, ids):
    with torch.no_grad():
        return model.logits(model(ids))


@pytest.mark.parametrize("targets", [("qkv",), ("out", "down"), Adapters().targets])
def test_the_same_adapters_give_pefts_logits_before_and_after_merging(model, reference, targets):
    ours = _adapted(model, Adapters(rank=3, alpha=7.5, targets=targets))
    theirs = get_peft_model(
        copy.deepcopy(reference),
        LoraConfig(r=3, lora_alpha=7.5, target_modules=[PEFT[name] for name in targets], fan_in_fan_out=True),
    ).eval()
    names = {f".{ours}": f".{theirs}" for ours, theirs in PEFT.items()}
    state = dict(theirs.named_parameters())
    copied = 0
    for name, module in _adapters(ours).items():
        layer, part = name.split(".")[1], "." + name.split(".")[-1]
        for letter, tensor in (("A", module.a), ("B", module.b)):
            place = f"base_model.model.transformer.h.{layer}{names[part]}.lora_{letter}.default.weight"
            state[place].data.copy_(tensor.detach())
            copied += 1
    assert copied == 2 * 2 * len(targets) == sum("lora_" in name for name in state), "all adapters have a partner"
    ids = _ids()
    with torch.no_grad():
        expected = theirs(ids).logits
    torch.testing.assert_close(_logits(ours, ids), expected, rtol=0, atol=1e-5)
    with torch.no_grad():
        merged = theirs.merge_and_unload()(ids).logits
    torch.testing.assert_close(_logits(lora.merged(ours), ids), merged, rtol=0, atol=1e-5)
    assert (expected - _logits(model, ids)).abs().max() > 0.1, "the adapters changed nothing, so nothing was compared"


def test_adapters_start_as_nothing_and_are_drawn_from_the_generator(model):
    first, second, third = (copy.deepcopy(model) for _ in range(3))
    for other, seed in ((first, 1), (second, 1), (third, 2)):
        lora.attach(other, SETTINGS, _seed(seed))
    assert torch.equal(_logits(first, _ids()), _logits(model, _ids()))
    assert _adapters(first).keys() == {
        f"blocks.{layer}.{name}"
        for layer in range(2)
        for name in ("attention.qkv", "attention.out", "mlp.up", "mlp.down")
    }
    for name, module in _adapters(first).items():
        outer, inner = module.base.weight.shape
        assert (module.a.shape, module.b.shape) == ((3, inner), (outer, 3))
        assert not module.b.any()
        assert 0.8 / math.sqrt(inner) < module.a.abs().max() <= 1 / math.sqrt(inner), "U(±1/√in), as peft draws it"
        assert torch.equal(module.a, _adapters(second)[name].a)
        assert not torch.equal(module.a, _adapters(third)[name].a)


def test_only_adapters_are_trained(model):
    trained = copy.deepcopy(model)
    lora.attach(trained, SETTINGS, _seed())
    sizes = {name: parameter.numel() for name, parameter in trained.named_parameters() if parameter.requires_grad}
    assert all(name.endswith((".a", ".b")) for name in sizes)
    assert sum(sizes.values()) == 2 * 3 * ((32 + 96) + (32 + 32) + (32 + 128) + (128 + 32))


def test_the_merged_model_is_an_ordinary_one_with_the_same_logits(model):
    adapted = _adapted(model)
    before = copy.deepcopy(adapted.state_dict())
    plain = lora.merged(adapted)
    torch.testing.assert_close(_logits(plain, _ids()), _logits(adapted, _ids()), rtol=0, atol=1e-5)
    assert not _adapters(plain)
    assert plain.state_dict().keys() == model.state_dict().keys()
    assert all(parameter.requires_grad for parameter in plain.parameters()), "it can be fine-tuned further"
    assert not plain.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in adapted.state_dict().items())
    assert not any(p.requires_grad for n, p in adapted.named_parameters() if not n.endswith((".a", ".b")))


def test_weights_that_the_model_does_not_hold_itself_are_merged_alike(model):
    """As when they are spread over processes and were gathered."""
    adapted = _adapted(model)
    hollow = copy.deepcopy(adapted).to("meta")
    merged = lora.merged(hollow, adapted.state_dict())
    assert torch.equal(_logits(merged, _ids()), _logits(lora.merged(adapted), _ids()))


def test_adapters_can_be_merged_and_others_attached(model):
    second = lora.merged(_adapted(model))
    lora.attach(second, Adapters(rank=2, targets=("down",)), _seed())
    assert set(_adapters(second)) == {"blocks.0.mlp.down", "blocks.1.mlp.down"}


def test_dropout_acts_on_the_adapter_in_training_only(model):
    adapted = _adapted(model, Adapters(rank=3, alpha=7.5, dropout=0.5))
    assert torch.equal(_logits(adapted, _ids()), _logits(_adapted(model), _ids()))
    module = _adapters(adapted)["blocks.0.mlp.up"].train()
    x = torch.ones(400, 32)
    with torch.no_grad():
        torch.manual_seed(0)
        low = (module(x) - module.base(x)) / module.scale @ torch.linalg.pinv(module.b).T  # x A, dropped
        expected = x[0] @ module.a.T
    assert len(low.unique(dim=0)) == 400
    torch.testing.assert_close(low.mean(0), expected, rtol=0, atol=5 * low.std(0).max().item() / 20)


def test_adapters_are_attached_once_and_to_plain_matrices(model):
    adapted = _adapted(model, Adapters(targets=("qkv",)))
    with pytest.raises(judgekit.UsageError, match="has LoRA adapters already; merge them"):
        lora.attach(adapted, Adapters(targets=("down",)), _seed())
    packed = copy.deepcopy(model)
    packed.blocks[1].mlp.up = nn.Sequential(packed.blocks[1].mlp.up)
    with pytest.raises(judgekit.UsageError, match="up is a Sequential; LoRA needs a plain Linear"):
        lora.attach(packed, Adapters(targets=("up",)), _seed())
