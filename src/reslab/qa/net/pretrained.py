"""Any encoder of transformers, called like reslab's: (ids, mask, types) to vectors. No unpickling, no remote code."""

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

    Its pooler, which uses only the first token, is removed. Raises UsageError for an encoder with a decoder.
    """

    model: Any  # transformers' nn.Module

    def __init__(self, model: Any) -> None:
        super().__init__()
        config = model.config
        if getattr(config, "is_encoder_decoder", False):
            raise UsageError(f"{type(model).__name__} has a decoder; use an encoder such as BERT or RoBERTa")
        if "add_pooling_layer" in inspect.signature(type(model).__init__).parameters:
            model.pooler = None
        if hasattr(config, "use_cache"):
            config.use_cache = False  # for a decoder used as an encoder
        self.model = model
        taken = inspect.signature(model.forward).parameters
        # RoBERTa accepts types but has only one, so question and context types cannot be given.
        self.takes_types = "token_type_ids" in taken and getattr(config, "type_vocab_size", 0) > 1

    @property
    def hidden(self) -> int:
        return self.model.config.hidden_size

    @property
    def longest(self) -> int | None:
        """Largest number of tokens; None if positions are not a table."""
        for name, module in self.model.named_modules():
            if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
                # RoBERTa's positions start after its padding index.
                before = 0 if module.padding_idx is None else module.padding_idx + 1
                return module.num_embeddings - before
        return None

    def forward(self, ids: Tensor, mask: Tensor | None = None, types: Tensor | None = None) -> Tensor:
        """`mask` (B, L): the real tokens; `types` (B, L): 0 in the question, 1 in the context (if used)."""
        given = {"input_ids": ids}
        if mask is not None:
            given["attention_mask"] = mask.long()
        if types is not None and self.takes_types:
            given["token_type_ids"] = types
        return self.model(**given).last_hidden_state

    @property
    def depth(self) -> int:
        return getattr(self.model.config, "num_hidden_layers", 0)

    @property
    def layers(self) -> nn.ModuleList | None:
        """The model's own list of its layers; None if it is not recognized."""
        found = (m for m in self.model.modules() if isinstance(m, nn.ModuleList) and len(m) == self.depth)
        return next(found, None) if self.depth else None

    def trainable(self, last: int) -> Sequence[nn.Module]:
        """The `last` layers. Raises UsageError if the model's layers are not found."""
        if not last:
            return []
        if self.layers is None:
            raise UsageError(f"train_last: the layers of {type(self.model).__name__} are not recognized; "
                             "train all (None) or none (0)")  # fmt: skip
        return last_of(self.layers, last)

    def checkpoint(self, on: bool) -> None:
        """Whether to keep only each layer's input and recompute the layer in the backward pass: less memory, more time.

        Raises UsageError if the model does not support it.
        """
        if not self.model.supports_gradient_checkpointing:
            raise UsageError(f"{type(self.model).__name__} does not support gradient checkpointing; switch it off")
        new = hasattr(self.model, "activation_checkpointing_enable")  # transformers 5 renamed it
        name = "activation_checkpointing" if new else "gradient_checkpointing"
        if on:
            getattr(self.model, f"{name}_enable")({"use_reentrant": False})
        else:
            getattr(self.model, f"{name}_disable")()


def pretrained(name: Path | str, *, weights: bool = True) -> Pretrained:
    """The encoder in a folder, or with this name on the Hugging Face Hub, in float32.

    Without `weights`, it is built from config.json and initialized from torch's current random state. Warns about
    missing weights. Raises UsageError if transformers is not installed, there is no such folder or the encoder
    is not usable, ReslabError if it cannot be read.
    """
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"  # otherwise a server is asked to convert other formats
    transformers = need("transformers", extra="text", why=f"the encoder {name}")
    where, missing = location(name), []
    with loading(where, f"the encoder {where}"), quiet(transformers):
        if weights:
            model, info = transformers.AutoModel.from_pretrained(
                where, use_safetensors=True, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
            )
            missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))
        else:
            config = transformers.AutoConfig.from_pretrained(where, trust_remote_code=False)
            model = transformers.AutoModel.from_config(config, trust_remote_code=False, dtype=torch.float32)
    if missing:
        warnings.warn(
            f"{where} has no values for {len(missing)} tensors, which are random: {missing[0]}, ...", stacklevel=2
        )
    return Pretrained(model)
