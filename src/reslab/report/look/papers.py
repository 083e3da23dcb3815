"""What the papers predict for each measurement, paraphrased, with their sources."""

from collections.abc import Sequence

from reslab.report.folder import Facts
from reslab.report.look.words import Finding

HE = {
    "source": "He, Zhang, Ren and Sun, “Deep Residual Learning for Image Recognition”, 2015",
    "link": "https://arxiv.org/abs/1512.03385",
}
VEIT = {
    "source": "Veit, Wilber and Belongie, “Residual Networks Behave Like Ensembles of Relatively Shallow "
    "Networks”, 2016",
    "link": "https://arxiv.org/abs/1605.06431",
}
JASTRZEBSKI = {
    "source": "Jastrzębski and others, “Residual Connections Encourage Iterative Inference”, 2018",
    "link": "https://arxiv.org/abs/1710.04773",
}
GREFF = {
    "source": "Greff, Srivastava and Schmidhuber, “Highway and Residual Networks learn Unrolled Iterative "
    "Estimation”, 2017",
    "link": "https://arxiv.org/abs/1612.07771",
}
SHORTGPT = {
    "source": "Men and others, “ShortGPT: Layers in Large Language Models are More Redundant Than You Expect”, 2024",
    "link": "https://arxiv.org/abs/2403.03853",
}

EXPECT: dict[str, list[Facts]] = {
    "lesions": [
        {
            "text": "Removing one block of a ResNet-110 trained on CIFAR-10 hardly changes its error; only the blocks "
            "that change the shape stand out, and only slightly. Removing any layer of a VGG net reduces it to "
            "chance (section 4.1, Figure 3).",
            **VEIT,
        }
    ],
    "many": [
        {
            "text": "As more blocks are removed at random, the error rises smoothly, as in an ensemble. It also rises "
            "smoothly as blocks are reordered, with Kendall’s rank correlation as the measure of disorder "
            "(sections 4.2 and 4.3, Figure 5).",
            **VEIT,
        }
    ],
    "paths": [
        {
            "text": "n blocks form 2ⁿ paths with binomially distributed lengths. The gradient through one path falls "
            "exponentially with its length, so almost all of it flows through short paths: in a net of 54 blocks, "
            "through those of 5 to 17 blocks, 0.45 % of all paths (section 4.3, Figure 6).",
            **VEIT,
        }
    ],
    "influence": [
        {
            "text": "Residual blocks move their input along the negative gradient of the loss. The first blocks change "
            "it most; later blocks refine it in small steps.",
            **JASTRZEBSKI,
        },
        {
            "text": "Blocks whose output has nearly the same direction as their input (low block influence) can be "
            "removed at the least cost.",
            **SHORTGPT,
        },
    ],
    "readout": [
        {
            "text": "The blocks of one stage refine estimates of the same features instead of computing new ones, so "
            "an answer read out early should be a rough form of the final one.",
            **GREFF,
        }
    ],
    "responses": [
        {
            "text": "ResNets have smaller layer responses than plain nets: what a block adds is generally close to "
            "zero. Deeper ResNets have smaller responses still (section 4.2, Figure 7).",
            **HE,
        }
    ],
    "gradients": [
        {
            "text": "With batch normalization neither forward signals nor backward gradients vanish, not even in plain "
            "nets: the paper states that the gradients have healthy norms, but shows no numbers (section 4.1). This "
            "section measures them.",
            **HE,
        }
    ],
}
ADDITIVE = (
    "Forward paths are not additive: a branch is not linear in its input, so a single path has no output. "
    "Gradient paths are exactly additive: the gradient is the sum over all paths."
)


def section(
    name: str, title: str, *, found: Sequence[Finding], figures: Sequence[Facts | None], **more: object
) -> Facts | None:
    """One section of the page: what to expect, what was found, the figures; None if there is nothing to draw."""
    drawn = [figure for figure in figures if figure]
    if not drawn:
        return None
    return {"id": name, "title": title, "expect": EXPECT.get(name, []), "found": found, "figures": drawn, **more}
