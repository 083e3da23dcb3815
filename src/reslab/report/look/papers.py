"""What the papers let one expect of each measure, in our words, with their sources."""

from collections.abc import Sequence

from reslab.report.folder import Facts
from reslab.report.look.words import Said

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
            "text": "Taking one block out of a trained ResNet-110 is hardly noticed, on CIFAR-10; only the blocks that "
            "change the shape stand out, and they modestly. Taking any layer out of a VGG net brings it down to "
            "chance (section 4.1, Figure 3).",
            **VEIT,
        }
    ],
    "many": [
        {
            "text": "As more blocks are taken out at random the error rises smoothly, as it would in an ensemble; it "
            "also rises smoothly as blocks change places, with Kendall’s rank correlation as the measure of "
            "disorder (sections 4.2 and 4.3, Figure 5).",
            **VEIT,
        }
    ],
    "paths": [
        {
            "text": "n blocks make 2ⁿ paths, whose lengths are binomial. The gradient that one path carries falls "
            "exponentially with its length, so almost all of it comes by short paths: in a net of 54 blocks by "
            "those of 5 to 17, which are 0.45 % of all (section 4.3, Figure 6).",
            **VEIT,
        }
    ],
    "influence": [
        {
            "text": "Residual blocks move what they carry down the gradient of the loss. The first blocks change it "
            "most; the later ones refine it in small steps.",
            **JASTRZEBSKI,
        },
        {
            "text": "Blocks whose output points where their input pointed (a low block influence) can be left out at "
            "the least cost.",
            **SHORTGPT,
        },
    ],
    "readout": [
        {
            "text": "Blocks of one stage refine estimates of the same features, each the last one’s, and do not make "
            "new ones: an answer read out early should be the rough form of the final one.",
            **GREFF,
        }
    ],
    "responses": [
        {
            "text": "The layers of ResNets respond less than those of plain nets: what a block adds is generally "
            "close to zero. In deeper ResNets each layer responds less still (section 4.2, Figure 7).",
            **HE,
        }
    ],
    "gradients": [
        {
            "text": "With batch normalization neither the signals that go forward nor the gradients that come back "
            "vanish, in plain nets either: the paper says that the gradients’ norms are healthy, and shows no numbers "
            "(section 4.1). Here they are.",
            **HE,
        }
    ],
}
ADDITIVE = (
    "Forward paths are not additive: a branch is not linear in what enters it, so no path has an output of its own. "
    "Gradient paths are, exactly: the gradient is the sum of what all paths bring back."
)


def section(
    name: str, title: str, *, found: Sequence[Said], figures: Sequence[Facts | None], **more: object
) -> Facts | None:
    """One part of the page: what to expect, what was found, the figures; None where there is nothing to draw."""
    drawn = [figure for figure in figures if figure]
    if not drawn:
        return None
    return {"id": name, "title": title, "expect": EXPECT.get(name, []), "found": found, "figures": drawn, **more}
