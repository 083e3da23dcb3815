"""A tokenizer trained on the given texts: no download, no unknown words, any script."""

from collections.abc import Iterable
from typing import Any

from reslab.errors import UsageError
from reslab.extras import need

BYTES = 256  # the alphabet: it can represent every text
SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[MASK]")
ALONE = r" ?[\p{Hangul}\p{Han}\p{Hiragana}\p{Katakana}\p{P}\p{S}]"  # with the preceding space


def build_vocabulary(texts: Iterable[str], *, size: int = 8000, lower: bool = True) -> Any:
    """A byte-level BPE tokenizer of at most `size` tokens, as a PreTrainedTokenizerFast: [CLS] one [SEP] other [SEP].

    It uses bytes (Radford et al. 2019), so that no character is unknown: a WordPiece vocabulary of this size knows too
    few Korean syllables, and one unknown syllable makes its whole word unknown. Symbols, Korean syllables, Chinese and
    Japanese characters are never joined: a token made of a noun and its particle could not give the noun as an answer.
    Composed and decomposed letters (NFC, NFD) give the same tokens; with `lower`, upper and lower case do, too. Offsets
    refer to the original text. The same texts in the same order give the same vocabulary. Raises UsageError without
    the extra `text`, for too small a size, or without any text.
    """
    for package in ("tokenizers", "transformers"):
        need(package, extra="text", why="building a vocabulary")
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    if size < BYTES + len(SPECIAL) + 1:
        raise UsageError(
            f"a vocabulary must hold more than {BYTES} bytes and {len(SPECIAL)} special tokens, got {size}"
        )
    texts = list(dict.fromkeys(texts))  # a context shared by many questions counts once
    if not any(text.strip() for text in texts):
        raise UsageError("there is no text to build a vocabulary from")
    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizers.Sequence([normalizers.NFC(), *([normalizers.Lowercase()] if lower else [])])
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(ALONE), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(SPECIAL), show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())  # fmt: skip
    backend.train_from_iterator(texts, trainer)
    marks = [(name, backend.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=marks
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
                                   mask_token="[MASK]", clean_up_tokenization_spaces=False)  # fmt: skip
