"""Why an architecture has blocks without a residual connection, or another number of them: each was looked at."""

import re
from typing import Any

GATE = "squeeze-and-excitation multiplies by a gate; nothing is added to a skip"
CROSS = "keys and values of cross-attention come from the encoder's output: they do not lie between skip and sum"
CONCATENATES = "the block concatenates its branches and adds nothing"
NO_SKIP = (
    "these blocks keep their shape, but have no skip by design: the library's own attribute says so (`has_skip`, "
    "`residual`, `add_identity` or `use_shortcut` is False)"
)

# What the script says of an architecture (a regular expression on "key: words") -> why nothing was missed.
BLOCKS: dict[str, str] = {
    r"Squeeze|SEModule|SqueezeExcite|EffectiveSE|\.se\.|attention\.fc": GATE,
    r"encoder_attn\.[kv]_proj|EncDecAttention\.[kv]|crossattention\.\w+\.(key|value)|encoder_attn\.(key|value)": CROSS,
    r"MobileOneBlock|RepVggBlock": "re-parametrized blocks add convolutions and normalizations of one input: the sum "
    "is affine, has no skip, and is listed as a sum",
    r"convmixer.*blocks": "by design a pointwise convolution stands between two residual blocks",
    r"crossvit.*projs": "linear layers that bring the class token of one scale to the width of the other; the "
    "attention between them has a residual connection",
    r"(mobilenetv1|lcnet_|efficientnet_el|lcnetv2|hgnetv2|cspnext|mobilenet_edgetpu).*without": NO_SKIP,
    r"cspnext.*in no branch": "the layers around the residual blocks of a stage, whose two halves are concatenated",
    r"shufflenet|squeezenet|Inception|inception|Fire|densenet|DenseLayer|rdnet": CONCATENATES,
    r"hrnet.*fuse_layers": "streams of several resolutions are added to each other: no summand was computed from "
    "another, so there is no skip",
    r"mobilevit": "convolutions around the transformer blocks, whose output is projected (and, in the first version, "
    "concatenated with the input): nothing is added there",
    r"sequencer2d.*downsample": "the convolutions between two stages, which change the shape",
    r"deepseek_v4.*compressor": "the compressor of keys is computed from the mixed streams beside the attention",
}
# The key of an architecture -> why it has this number of residual connections.
COUNTS: dict[str, str] = {
    "transformers:dinov3_convnext": "3 + 3 + 9 + 3 blocks with one each",
    "transformers:donut-swin": "2 + 2 + 6 + 2 blocks with two each",
    "transformers:efficientnet": "EfficientNet-B7, with 48 in torchvision, too",
    "transformers:encoder-decoder": "two BERTs of 2 layers: 2 per encoder layer, 3 per decoder layer",
    "transformers:fastspeech2_conformer": "4 layers with four each, the sum with pitch and energy, and the postnet",
    "transformers:fastspeech2_conformer_with_hifigan": "18 as without the vocoder, and its 4 x 3 blocks of 3",
    "transformers:focalnet": "2 + 2 + 6 + 2 blocks with two each",
    "transformers:funnel": "3 blocks of 4 layers and 2 decoder layers with two each, and the sum with the first block",
    "transformers:bit": "the ResNet-50 of BiT: 3 + 4 + 6 + 3 blocks",
    "transformers:canine": "2 layers, and one layer each of local attention before and after them: 2 per layer",
    "transformers:convnext": "3 + 3 + 9 + 3 blocks with one each",
    "transformers:convnextv2": "3 + 3 + 9 + 3 blocks with one each",
    "transformers:cvt": "1 + 2 + 10 blocks with two each",
    "transformers:data2vec-audio": "2 layers with two each, and the sum with the convolutional position embedding",
}


def explained(row: dict[str, Any], words: str) -> str | None:
    """The explanation of one exception; None if there is none yet."""
    if words.startswith("count "):
        return COUNTS.get(row["key"])
    text = f"{row['key']}: {words}"
    return next((reason for pattern, reason in BLOCKS.items() if re.search(pattern, text)), None)
