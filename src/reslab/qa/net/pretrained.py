"""Any encoder of transformers, called as ours is: (ids, mask, types) to vectors. Nothing is unpickled, no code run."""

import inspect
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.extras import need
from reslab.nets.hub import loading, location, quiet
from reslab.qa.net.encoder import last_of


class Pretrained(nn.Module):
    """A model of AutoModel's (BERT, RoBERTa, ELECTRA, XLM-R, DeBERTa, ...). Token ids (B, L) to (B, L, hidden).

    Its pooler, which reads the first token only, is left out. Raises UsageError for an encoder with a decoder.
    """

    model: Any  # transformers' nn.Module

    def __init__(self, model: Any) -> None:
        super().__init__()
        config = model.config
        if getattr(config, "is_encoder_decoder", False):
            raise UsageError(f"{type(model).__name__} has a decoder too; take an encoder, such as BERT or RoBERTa")
        if "add_pooling_layer" in inspect.signature(type(model).__init__).parameters:
            model.pooler = None
        if hasattr(config, "use_cache"):
            config.use_cache = False  # of a decoder that is read as an encoder
        self.model = model
        taken = inspect.signature(model.forward).parameters
        # RoBERTa takes types and knows but one, which the types of a question and its context are not.
        self.takes_types = "token_type_ids" in taken and getattr(config, "type_vocab_size", 0) > 1

    @property
    def hidden(self) -> int:
        return self.model.config.hidden_size

    @property
    def longest(self) -> int | None:
        """The most tokens that it takes; None where its positions are not a table."""
        for name, module in self.model.named_modules():
            if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
                # RoBERTa counts from behind the number of its padding token.
                before = 0 if module.padding_idx is None else module.padding_idx + 1
                return module.num_embeddings - before
        return None

    def forward(self, ids: Tensor, mask: Tensor | None = None, types: Tensor | None = None) -> Tensor:
        """`mask` (B, L): the real tokens; `types` (B, L): 0 in the question, 1 in the context, where it has them."""
        given = {"input_ids": ids}
        if mask is not None:
            given["attention_mask"] = mask.long()
        if types is not None and self.takes_types:
            given["token_type_ids"] = types
        return self.model(**given).last_hidden_state

    @property
    def depth(self) -> int:
        return getattr(self.model.config, "num_hidden_layers", 0)

    def trainable(self, last: int) -> Sequence[nn.Module]:
        """The last layers. Raises UsageError where the model's layers cannot be told."""
        if not last:
            return []
        count = getattr(self.model.config, "num_hidden_layers", None)
        for module in self.model.modules():
            if isinstance(module, nn.ModuleList) and len(module) == count:
                return last_of(module, last)
        raise UsageError(
            f"train_last: the layers of {type(self.model).__name__} cannot be told; train all (None) or none (0)"
        )

    def checkpoint(self, on: bool) -> None:
        """Keep each layer's input only and compute the layer again in the backward pass: less memory, more time.

        Raises UsageError for a model that cannot.
        """
        if not self.model.supports_gradient_checkpointing:
            raise UsageError(f"{type(self.model).__name__} has no gradient checkpointing; leave it off")
        new = hasattr(self.model, "activation_checkpointing_enable")  # transformers gave it a new name within 5
        name = "activation_checkpointing" if new else "gradient_checkpointing"
        if on:
            getattr(self.model, f"{name}_enable")({"use_reentrant": False})
        else:
            getattr(self.model, f"{name}_disable")()


def pretrained(name: Path | str, *, weights: bool = True) -> Pretrained:
    """The encoder in a folder, or of that name on the Hugging Face hub, in float32.

    Without `weights`, its shape alone, from its config.json, initialized from torch's current random state. Warns of
    weights that its files lack. Raises UsageError where transformers is not installed, there is no such folder or the
    encoder does not serve, ReslabError where it cannot be read.
    """
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"  # else a server is asked to convert what is not safetensors
    transformers = need("transformers", extra="text", why=f"the encoder {name}")
    where, missing = location(name), []
    with loading(where, f"the encoder {where}"), quiet(transformers):
        if weights:
            model, told = transformers.AutoModel.from_pretrained(
                where, use_safetensors=True, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
            )
            missing = sorted(key for key in told["missing_keys"] if not key.startswith("pooler."))
        else:
            config = transformers.AutoConfig.from_pretrained(where, trust_remote_code=False)
            model = transformers.AutoModel.from_config(config, trust_remote_code=False, dtype=torch.float32)
    if missing:
        warnings.warn(f"{where} lacks {len(missing)} of its tensors, which are random: {missing[0]}, ...", stacklevel=2)
    return Pretrained(model)
