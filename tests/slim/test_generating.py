"""What a slim language model writes, against the intact one: numbers that can be computed by hand."""

import json
import math

import pytest
import torch
from torch import nn
from zoo import ZOO, llama, t5

from reslab.errors import ReslabError, UsageError
from reslab.slim import generation
from reslab.slim.cutting.transformers import shortened


class Steps(nn.Module):
    """Tokens 0 to 3 in a ring: the score of the next one is `sure`, of all others 0."""

    def __init__(self, sure: float = 2.0, *, jumps: dict[int, int] | None = None) -> None:
        super().__init__()
        following = torch.tensor([(jumps or {}).get(i, (i + 1) % 4) for i in range(4)])
        self.table = nn.Parameter(sure * nn.functional.one_hot(following, 4).float())

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.table[ids]


RING = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3], [2, 3, 0, 1, 2, 3, 0, 1]])
RIGHT = math.log(math.e**2 + 3) - 2  # -log of the softmax of 2 among 2, 0, 0, 0
WRONG = math.log(math.e**2 + 3)


def test_the_intact_model_against_itself() -> None:
    model, example, _ = llama()
    found = generation(model, model, example["input_ids"], prompt_tokens=4, new_tokens=5)
    assert (found.agreement, found.exact, found.loss_change) == (1.0, 1.0, 0.0)
    assert found.perplexity == found.intact_perplexity
    assert found.loss == found.intact_loss
    with torch.no_grad():  # the library's own loss of the same windows
        assert found.loss == pytest.approx(float(model(**example, labels=example["input_ids"]).loss), abs=1e-6)
        own = model.generate(example["input_ids"][:1, :4], max_new_tokens=5, min_new_tokens=5, do_sample=False,
                             pad_token_id=0)  # fmt: skip
    assert found.examples[0]["intact"] == " ".join(map(str, own[0, 4:].tolist()))


def test_losses_and_perplexities_of_a_ring() -> None:
    found = generation(Steps(), Steps(), RING, prompt_tokens=2, new_tokens=8)
    assert found.loss == pytest.approx(RIGHT)
    assert found.perplexity == pytest.approx(math.exp(RIGHT))
    assert found.repetition == pytest.approx(1 / 5)  # 8 tokens have 5 runs of four, and the fifth is the first again


def test_one_wrong_step() -> None:
    """After 2 the slim model says 0, not 3: from prompts that end in 1 and 3, the first error comes at 2 and 4."""
    found = generation(Steps(jumps={2: 0}), Steps(), RING, prompt_tokens=2, new_tokens=8)
    assert found.examples[0] == {"prompt": "0 1", "intact": "2 3 0 1 2 3 0 1", "slim": "2 0 1 2 0 1 2 0"}
    assert found.examples[1]["slim"] == "0 1 2 0 1 2 0 1"
    assert found.agreement == pytest.approx((1 / 8 + 3 / 8) / 2)
    assert (found.exact, found.exact_low) == (0.0, 0.0)
    # Of each continuation, 3 and 2 of 8 tokens are those that the intact model does not expect.
    assert found.perplexity == pytest.approx(math.exp(((5 * RIGHT + 3 * WRONG) + (6 * RIGHT + 2 * WRONG)) / 16))
    # Of seven next tokens, 2 are wrong in the first window, 1 in the second.
    assert found.loss_change == pytest.approx((2 + 2) * 2 / 14)
    assert json.loads(json.dumps(found.as_dict()))["warning"].startswith("Published removals")


def test_a_text_counts_up_to_its_end() -> None:
    intact, slim = Steps(), Steps(jumps={3: 3})
    intact.config = type("Config", (), {"eos_token_id": 3})()  # type: ignore[assignment]
    found = generation(slim, intact, RING[:1], prompt_tokens=2, new_tokens=8)
    assert found.exact == 1.0  # "2 3" is all; what follows is no part of the text
    assert found.loss_low is None  # of one window


def test_texts_are_split_into_windows() -> None:
    class Letters:
        eos_token_id = None

        def __call__(self, text: str, **_: object) -> dict[str, list[int]]:
            return {"input_ids": ["abcd".index(letter) for letter in text]}

        def decode(self, ids: list[int]) -> str:
            return "".join("abcd"[i] for i in ids)

    found = generation(Steps(), Steps(), ["abcdab", "cdab"], tokenizer=Letters(), prompt_tokens=2, new_tokens=3)
    assert (found.windows, found.window_tokens) == (2, 5)  # 10 letters, in windows of 5
    assert found.examples[1] == {"prompt": "bc", "intact": "dab", "slim": "dab"}
    with pytest.raises(UsageError, match=r"^the texts have 4 tokens: too few for a prompt and its continuation \(5"):
        generation(Steps(), Steps(), ["abcd"], tokenizer=Letters(), prompt_tokens=2, new_tokens=3)


def test_a_shortened_model_is_judged() -> None:
    model, example, path = llama()
    slim = shortened(model, {path: [0, 1, 2]}, example=example).model
    found = generation(slim, model, example["input_ids"], prompt_tokens=4, new_tokens=6)
    assert found.exact < 1
    assert found.perplexity > found.intact_perplexity


def test_models_that_do_not_write_are_refused() -> None:
    encoder, example, _ = ZOO["RoBERTa"]()
    with pytest.raises(UsageError, match=r"^RobertaForMaskedLM sees later tokens"):
        generation(encoder, encoder, example["input_ids"], prompt_tokens=4, new_tokens=2)
    both, example, _ = t5("decoder")
    with pytest.raises(UsageError, match=r"has an encoder and a decoder"):
        generation(both, both, example["input_ids"], prompt_tokens=4, new_tokens=2)
    with pytest.raises(ReslabError, match=r"^Steps gives scores that are not numbers"):
        generation(Steps(math.nan), Steps(), RING, prompt_tokens=2, new_tokens=2)
    with pytest.raises(UsageError, match=r"^windows of 8 tokens are too short for prompts of 9 tokens$"):
        generation(Steps(), Steps(), RING, prompt_tokens=9)
    with pytest.raises(UsageError, match=r"^prompts must be positive, got 0$"):
        generation(Steps(), Steps(), RING, prompts=0)
