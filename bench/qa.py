"""The claims: on a CPU with native bf16 `ask` answers at least 2x the questions per second of a plain loop over
transformers' AutoModelForQuestionAnswering, with equal answers; and training takes at least 2x the steps per second.

Asking: questions about one long text. Theirs is a plain loop, since transformers removed its pipeline in 5.3: each
window by itself, unpadded, through the eager fp32 model; then the 20 best starts with the 20 best ends, as in
transformers' example. Ours is reslab.qa.load(run).ask, in bf16; and in fp32, whose answers must be the same characters.
Training: whole steps (forward, loss, backward, clipping, AdamW) on questions with their paragraphs; theirs in fp32,
windows padded to --length, the example's default, and also to the longest of the batch. Same weights on both sides:
BERT of MiniLM's size with random weights, or --encoder FOLDER, and a random linear head; or --run FOLDER, a trained
run with a linear head on a BERT. An untrained head's scores are close to each other, so bf16 changes some answers.
Both sides alternate; CPU seconds, because machines are shared:
python bench/qa.py [--rounds 3] [--encoder FOLDER | --run FOLDER] [--data FILE.json]
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers

import reslab
from reslab.qa.data.questions import Question, read_questions
from reslab.qa.data.vocabulary import build_vocabulary
from reslab.qa.data.windows import windows
from reslab.qa.net.net import QASpec, build_qa, to_dict
from reslab.qa.task import QATask
from reslab.run import Run, processor
from reslab.train.checkpoint import write_weights
from reslab.train.recipe import Recipe, read
from reslab.train.training import Training

SHARED = Path(os.environ.get("RESLAB_SHARED", Path(__file__).parents[2] / "shared"))
MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
BEST, MAX_TOKENS, STRIDE = 20, 30, 128


def untrained(folder: Path, questions: Sequence[Question], encoder: str | None, length: int) -> Path:
    """A run folder with a random linear head; and a random encoder, where none is given."""
    torch.manual_seed(0)
    if encoder is None:
        tokenizer = build_vocabulary(text for one in questions for text in (one.context, one.question))
        config = transformers.BertConfig(vocab_size=len(tokenizer), **MINILM)
        encoder = str(folder / "original")
        transformers.BertModel(config).save_pretrained(encoder)
    else:
        tokenizer = transformers.AutoTokenizer.from_pretrained(encoder)
    spec, run = QASpec(name="bench", encoder=encoder, head="linear", length=length), Run(folder)
    net = build_qa(spec)
    net.encoder.model.config.save_pretrained(folder / "encoder")
    tokenizer.save_pretrained(folder / "tokenizer")
    run.write_json("qa.json", {"rule": "squad1", "length": length, "stride": STRIDE})
    write_weights(run, net, to_dict(spec))
    run.write_json("spec.json", to_dict(spec))
    return folder


def peer_of(reader: reslab.qa.Reader, run: Path) -> Any:
    """transformers' model with the reader's weights."""
    config = transformers.AutoConfig.from_pretrained(run / "encoder")
    peer = transformers.AutoModelForQuestionAnswering.from_config(config).eval()
    peer.base_model.load_state_dict(reader.net.encoder.model.state_dict())
    peer.qa_outputs.load_state_dict(reader.net.head.span.state_dict())
    return peer


def cut(tokenizer: Any, question: str, context: str, length: int, *, pad: bool) -> Any:
    """Windows as transformers' example cuts them."""
    return tokenizer(
        question, context, truncation="only_second", max_length=length, stride=STRIDE, return_overflowing_tokens=True,
        return_offsets_mapping=True, padding="max_length" if pad else False, return_token_type_ids=True,
    )  # fmt: skip


@torch.no_grad()
def loop(peer: Any, tokenizer: Any, question: str, context: str, length: int) -> tuple[float, int, int]:
    """(score, start, end) of the best answer: one window after another."""
    found = cut(tokenizer, question, context, length, pad=False)
    best = (-float("inf"), 0, 0)
    for w in range(len(found["input_ids"])):
        names = ("input_ids", "attention_mask", "token_type_ids")
        out = peer(**{name: torch.tensor([found[name][w]]) for name in names})
        starts, ends = out.start_logits[0].numpy(), out.end_logits[0].numpy()
        owner, offsets = found.sequence_ids(w), found["offset_mapping"][w]
        for i in starts.argsort()[: -BEST - 1 : -1]:
            for j in ends.argsort()[: -BEST - 1 : -1]:
                if owner[i] == owner[j] == 1 and i <= j < i + MAX_TOKENS:
                    best = max(best, (float(starts[i] + ends[j]), offsets[i][0], offsets[j][1]))
    score, a, b = best
    return score, a + len(context[a:b]) - len(context[a:b].lstrip()), b  # byte-level tokens hold the space before


def asking(run: Path, asked: list[str], text: str, length: int) -> tuple[dict[str, Callable[[], Any]], Any]:
    """Each side's work: the best (score, start, end) of every question; and transformers' model."""
    readers = {precision: reslab.qa.load(run, precision=precision) for precision in ("bf16", "fp32")}
    for reader in readers.values():
        reader.settings = replace(reader.settings, length=length, stride=STRIDE)
    tokenizer = transformers.AutoTokenizer.from_pretrained(run / "tokenizer")
    peer = peer_of(readers["fp32"], run)

    def ours(reader: reslab.qa.Reader) -> list[tuple[float, int, int]]:
        return [(one.score, one.start, one.end) for (one,) in reader.ask(asked, text, top=1)]

    return {
        "transformers, one by one, fp32": lambda: [loop(peer, tokenizer, one, text, length) for one in asked],
        "ask, bf16": lambda: ours(readers["bf16"]),
        "ask, fp32": lambda: ours(readers["fp32"]),
    }, peer


def training(run: Path, peer: Any, questions: Sequence[Question], batch: int, length: int, folder: Path) -> Any:
    """Each side's work: one step on its next batch."""
    recipe = Recipe(**{**vars(read("qa")), "batch": batch, "precision": "bf16", "compile": "off", "look": 0,
                       "memory_format": "NCHW"})  # fmt: skip
    reader = reslab.qa.load(run, precision="fp32")
    tokenizer = transformers.AutoTokenizer.from_pretrained(run / "tokenizer")
    parts = {"train": windows(questions, tokenizer, length=length, stride=STRIDE)}
    task = QATask(parts, recipe, torch.device("cpu"), rule="squad1")
    Run(folder).make()
    ours = Training(task, reader.net.requires_grad_(True), recipe=recipe, run=Run(folder))
    ours.net.train()
    stream = task.batches(0, 10**6)
    peer.train()
    optimizer = torch.optim.AdamW(peer.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    rows = torch.randperm(len(parts["train"]), generator=torch.Generator().manual_seed(0)).tolist()
    count = iter(range(10**6))

    def theirs(padded: int | None) -> None:
        first = next(count) * batch
        one = parts["train"].batch([rows[k % len(rows)] for k in range(first, first + batch)], length=padded)
        given = {"input_ids": one.ids, "attention_mask": one.mask.long(), "token_type_ids": one.types}
        loss = peer(**given, start_positions=one.start, end_positions=one.end).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(peer.parameters(), recipe.clip)
        optimizer.step()

    return {
        "transformers, padded, fp32": lambda: theirs(length),
        "the same, padded to the longest": lambda: theirs(None),
        "ours, bf16": lambda: ours.step(next(stream)),
    }


def timed(sides: dict[str, Callable[[], Any]], rounds: int, repeats: int = 1) -> dict[str, list[float]]:
    """CPU seconds of each side, in turn, after one round that does not count."""
    seen: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, work in sides.items():
            begin = time.process_time()
            for _ in range(repeats):
                work()
            if number:
                seen[name].append((time.process_time() - begin) / repeats)
    return seen


def report(seen: dict[str, list[float]], unit: str, per: int = 1) -> None:
    """Each side's rate, and the ratio to the first."""
    first = next(iter(seen.values()))
    for name, seconds in seen.items():
        rate = per / statistics.median(seconds)
        ratios = [a / b for a, b in zip(first, seconds, strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}, n = {len(seconds)}"
        print(f"  {name:<31} {rate:7.3f} {unit}/s of CPU time, {statistics.median(ratios):.2f}x ({spread})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=4)
    parser.add_argument("--paragraphs", type=int, default=30, help="of the long text")
    parser.add_argument("--batch", type=int, default=16, help="windows of a training step")
    parser.add_argument("--length", type=int, default=384)
    parser.add_argument("--encoder", help="folder of transformers")
    parser.add_argument("--run", type=Path, help="trained run folder with a linear head on a BERT")
    parser.add_argument("--data", type=Path, default=SHARED / "data/qa/squad1/dev.json")
    args = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    questions = read_questions(args.data)
    text = "\n\n".join(list(dict.fromkeys(one.context for one in questions))[: args.paragraphs])
    asked = [one.question for one in questions if one.context in text][::7][: args.questions]
    with tempfile.TemporaryDirectory() as folder:
        run = args.run or untrained(Path(folder) / "run", questions, args.encoder, args.length)
        length = min(args.length, json.loads((run / "qa.json").read_text())["length"])
        print(f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
              f"transformers {transformers.__version__}, load {os.getloadavg()[0]:.1f}")  # fmt: skip
        sides, peer = asking(run, asked, text, length)
        theirs, half, ours = (work() for work in sides.values())
        print(f"{len(asked)} questions about a text of {len(text):,} characters, windows of {length} tokens:")
        report(timed(sides, args.rounds), "questions", len(asked))
        same = [sum(a[1:] == b[1:] for a, b in zip(theirs, found, strict=True)) for found in (ours, half)]
        worst = max(abs(a[0] - b[0]) for a, b in zip(theirs, ours, strict=True))
        print(f"  equal answers: fp32 {same[0]} of {len(asked)} (scores differ by at most {worst:.0e}), bf16 {same[1]}")
        print(f"training, {args.batch} windows per step:")
        steps = training(run, peer, questions[:400], args.batch, length, Path(folder) / "steps")
        report(timed(steps, args.rounds, repeats=2), "steps")


if __name__ == "__main__":
    main()
