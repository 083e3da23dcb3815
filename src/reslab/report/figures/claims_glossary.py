"""The words that the page of claims explains, and links from a claim's texts to them."""

import re
from collections.abc import Iterable
from html import escape

from reslab.report.folder import Facts

TERMS: tuple[tuple[str, str, str], ...] = (  # a word, how it is met in texts (a pattern), what it means
    ("activation", r"activations?", "The output of a layer for one input, before or after its nonlinearity."),
    ("ablation", r"ablat(?:ion|ed|e)s?", "A measurement with a part of the net disabled, to see what that part does."),
    ("batch normalization", r"batch normali[sz]ation|BatchNorm|BN",
     "A layer that rescales each channel to mean 0 and standard deviation 1 over the mini-batch, then by two learned "
     "numbers. It keeps signals in range through many layers."),
    ("block", r"residual blocks?|blocks?", "A few layers with one skip around them; residual nets repeat it."),
    ("bottleneck", r"bottlenecks?", "A block that narrows to few channels, convolves there, and widens again: more "
     "depth for the same cost."),
    ("branch", r"branch(?:es)?", "The layers F of a block, whose output is added to the skip: y = x + F(x)."),
    ("degradation", r"degradation", "A deeper plain net has a higher training error than a shallower one, though it "
     "could copy it and let the added layers pass their input on."),
    ("depth", r"depth", "The number of layers with weights that a signal passes from input to output."),
    ("downsampling block", r"downsampling(?: blocks?)?", "A block that halves height and width; its skip must change "
     "shape, too."),
    ("effective path", r"effective paths?", "A path short enough to carry a notable part of the gradient."),
    ("equivalence", r"equivalen(?:ce|t)", "Shown to be so close to the threshold that the difference does not matter: "
     "within the margin. It takes two one-sided tests; a missing difference alone shows nothing."),
    ("gradient", r"gradients?", "The derivative of the loss with respect to weights or activations; training moves "
     "the weights against it."),
    ("Holm’s correction", r"Holm(?:’s|'s)?(?: correction)?", "Whoever makes 40 tests finds some difference by chance. "
     "Holm’s method raises the p values so that the chance of any false finding on the whole page stays below 5 %."),
    ("identity shortcut", r"identity (?:shortcuts?|skips?|mappings?)", "A skip that passes its input on unchanged, "
     "without weights."),
    ("initialization", r"initiali[sz]ation", "The random weights with which training starts."),
    ("interval", r"(?:95\s% )?(?:confidence )?intervals?", "The 95 % confidence interval of the effect: over many "
     "repetitions, 95 % of such intervals contain the true mean."),
    ("learning rate", r"learning rates?", "How far each update moves the weights along the negative gradient."),
    ("lesion", r"lesions?", "Veit’s experiment: disable one block of a trained net and measure the error again."),
    ("logarithm, decades", r"decades?", "An effect in decades is a log10 ratio: 1 decade is a factor of 10, 0.3 a "
     "factor of 2."),
    ("margin", r"margins?", "The smallest difference that would matter here, part of the prediction."),
    ("paired", r"paired", "Both arms of a comparison share a seed, so its part cancels in the difference."),
    ("path length", r"path lengths?|lengths? of (?:a |the )?paths?", "In n blocks a signal can take branch or skip at "
     "each: 2ⁿ paths. The length of a path is the number of branches on it."),
    ("plain net", r"plain nets?", "A stack of layers without skips."),
    ("power", r"(?:statistical )?power", "The probability that the test shows an effect of a given size. With few "
     "seeds only large effects can be shown."),
    ("p value", r"p values?", "The probability of an effect at least this large if there were none."),
    ("projection", r"projections?", "A skip with a 1×1 convolution, used where the shape changes."),
    ("receptive field", r"receptive fields?", "The part of the input that can reach one output; the effective one is "
     "the part that does so noticeably."),
    ("residual connection", r"residual connections?|skip connections?", "The sum of a branch and its skip: x + F(x)."),
    ("residual net", r"residual nets?|ResNets?", "A net built of blocks with residual connections."),
    ("response", r"responses?", "The standard deviation of a layer’s output, before the nonlinearity."),
    ("seed", r"seeds?", "The number that fixes all chance of a training: initial weights, order, augmentation. Other "
     "seeds show how much of a result is chance."),
    ("shortcut, skip", r"shortcuts?|skips?", "The way around a block’s branch."),
    ("stochastic depth", r"stochastic depth", "Training with random blocks left out of each mini-batch."),
    ("test error", r"test errors?", "The share of wrong answers on images that training never saw."),
    ("threshold", r"thresholds?", "The value that the effect is compared with, part of the prediction; often 0."),
    ("training error", r"training errors?", "The share of wrong answers on the training images themselves. If it is "
     "high, the net has not been optimized well; overfitting would make it low."),
    ("two one-sided tests", r"two one-sided tests", "The test of equivalence: the effect is shown to be both above the "
     "lower and below the upper end of the margin."),
    ("warm-up", r"warm-?up", "A lower learning rate for the first iterations, then the full one."),
    ("weight decay", r"weight decay", "A pull of all weights toward 0 during training."),
)  # fmt: skip


def key(term: str) -> str:
    """The end of a term's address on the page: `Holm’s correction` -> `holm-s-correction`."""
    return re.sub(r"[^a-z0-9]+", "-", term.lower()).strip("-")


ALL = re.compile("|".join(f"(?P<t{k}>(?<![\\w-])(?:{pattern})(?![\\w-]))" for k, (_, pattern, _) in sorted(
    enumerate(TERMS), key=lambda item: -len(item[1][1]))), re.IGNORECASE)  # fmt: skip


def linked(texts: Iterable[str]) -> list[str]:
    """The texts as harmless HTML, in which the first use of each term links to the glossary."""
    met: set[str] = set()
    return [link(text, met) for text in texts]


def link(text: str, met: set[str]) -> str:
    """One text as HTML; `met` holds the terms that were linked before, and grows."""
    out, at = [], 0
    for found in ALL.finditer(text):
        name = str(found.lastgroup)
        if name not in met:
            met.add(name)
            out += [escape(text[at : found.start()]),
                    f'<a class="term" href="#term-{key(TERMS[int(name[1:])][0])}">{escape(found[0])}</a>']  # fmt: skip
            at = found.end()
    return "".join([*out, escape(text[at:])])


def glossary() -> list[Facts]:
    return [{"key": key(term), "term": term, "text": text}
            for term, _, text in sorted(TERMS, key=lambda one: one[0].lower())]  # fmt: skip
