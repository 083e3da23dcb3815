"""Models of other libraries with an example batch of two: any batch gives the model's scores, folded and converted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import peer, zoo  # noqa: F401 - a fixture
from PIL import Image
from torch import nn

from reslab.ship.engines import Engine, engine
from reslab.ship.export.convert import convert
from reslab.ship.export.images import ImagesExport
from reslab.ship.export.labels import names
from reslab.ship.export.subjects import subject
from reslab.ship.record import Config

pytestmark = pytest.mark.slow
FAR = 1e-4  # of the largest score
ENGINES = ("openvino", "onnx")


def unsettled(net: nn.Module) -> None:
    """Its norms have other statistics than at initialization, so that wrong biases would show."""
    generator = torch.Generator().manual_seed(0)
    for one in net.modules():
        if isinstance(one, nn.BatchNorm2d):
            assert one.running_mean is not None
            assert one.running_var is not None
            one.running_mean.copy_(0.1 * torch.randn(one.num_features, generator=generator))
            one.running_var.copy_(torch.rand(one.num_features, generator=generator) + 0.5)


def exported(made: Any, which: Any, folder: Path) -> Engine:
    pytest.importorskip(which)
    file, inputs, outputs = convert(made.graphs()[0], which, folder, "model")
    config = Config(kind="images", engine=which, precision="fp32", name="", word="", files=(file,), inputs=inputs,
                    outputs=outputs, license="")  # fmt: skip
    return engine(folder, config)


def equal(made: Any, model: Engine, images: np.ndarray) -> None:
    wanted = made.reference(0, {"images": images})["scores"]
    for batch in (1, 2, 7):
        parts = [model.run({"images": images[k : k + batch]})["scores"] for k in range(0, len(images), batch)]
        found = np.concatenate(parts)
        assert np.abs(found - wanted).max() <= FAR * np.abs(wanted).max()
        assert (found.argmax(axis=1) == wanted.argmax(axis=1)).all()


@pytest.mark.parametrize("which", ENGINES)
@pytest.mark.parametrize(("word", "norms"), [
    ("torchvision:resnet18", 20), ("torchvision:resnet50", 53), ("torchvision:mobilenet_v3_small", 34),
    ("timm:resnet18", 20), ("timm:mobilenetv4_conv_small", 46), ("timm:vit_tiny_patch16_224", 0),
])  # fmt: skip
def test_any_batch_gives_the_scores_of_the_model(word: str, norms: int, which: str, tmp_path: Path) -> None:
    peer(word.partition(":")[0])
    with torch.random.fork_rng():
        made = subject(word)
    assert isinstance(made, ImagesExport)
    unsettled(made.net)
    model = exported(made, which, tmp_path)
    assert (made.folded.norms, made.folded.folded) == (norms, norms)
    assert made.folded.difference < 1e-12
    equal(made, model, made.proof(7)[0].inputs["images"])


def test_photographs_of_any_size(shared: Path, tmp_path: Path) -> None:
    """Scores of whole photographs, fitted inside, against those fitted by Pillow."""
    peer("torchvision")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = subject("torchvision:resnet18")
    unsettled(made.net)  # type: ignore[attr-defined]
    model = exported(made, "openvino", tmp_path)
    for path in sorted((shared / "data" / "photos" / "originals").glob("*.JPEG"))[::30]:
        images = np.asarray(Image.open(path).convert("RGB"))[None]
        wanted, found = made.reference(0, {"images": images})["scores"], model.run({"images": images})["scores"]
        assert np.abs(found - wanted).max() < 0.01 * np.abs(wanted).max()


def test_a_transformer_of_hugging_face(zoo: Path, tmp_path: Path) -> None:  # noqa: F811
    made = subject(str(zoo / "vit"), mean_std=(0.5, 0.25), license="MIT")
    assert isinstance(made, ImagesExport)
    assert (made.about()["shape"], made.license) == ([1, 8, 8], "MIT")
    assert made.classes == tuple("0123456789")  # the config has LABEL_0, LABEL_1, ...
    equal(made, exported(made, "openvino", tmp_path), made.proof(7)[0].inputs["images"])


def test_names_of_classes() -> None:
    """torchvision's and timm's pretrained weights name them; nothing is downloaded for that."""
    from reslab.nets.words import Loaded

    for library, name, first in (("torchvision", "resnet18", "tench"), ("timm", "resnet18", "tench, Tinca tinca")):
        peer(library)
        made = subject(f"{library}:{name}")
        assert isinstance(made, ImagesExport)
        assert made.classes[:2] == ("0", "1")  # not trained
        loaded = Loaded(model=made.net, kind="images", word=f"{library}:{name}", name=name)
        found = names(loaded, 1000)
        assert found is not None
        assert found[0] == first
        assert names(loaded, 10) is None
