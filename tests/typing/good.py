"""A user's script, with the types that an editor should show. tests/test_types.py has mypy read it; it never runs."""

from pathlib import Path
from typing import assert_type

from torch import Tensor, nn

import reslab
from reslab.nets import VGG, Match, Model, ModelSpec, ResNet, ResNetSpec, VGGSpec
from reslab.nets.predictions import Predictions
from reslab.subject.train import ImageRun

net = reslab.net("resnet56", classes=100, shortcut="B")
assert_type(net, ResNet)
assert_type(net.spec, ResNetSpec)
assert_type(net.spec.stages, tuple[int, ...])
assert_type(reslab.net("vgg16_bn", head="cifar"), VGG)
assert_type(reslab.net("resnet" + "38"), ResNet | VGG | Model)  # a name that is made: any family

assert_type(reslab.spec("plain20", norm=False), ResNetSpec)
assert_type(reslab.spec("vgg11"), VGGSpec)
assert_type(reslab.build(reslab.spec("resnet50", stages=(1, 1, 1, 1))), ResNet)
assert_type(reslab.spec("timm:resnet18", arguments={"drop_rate": 0.1}), ResNetSpec | VGGSpec | ModelSpec)

trained = reslab.load("runs/digits-resnet20-digits-s0")
assert_type(trained, ResNet | VGG | Model)
assert_type(trained.match, Match)
assert_type(trained.match.how, str)
assert_type(trained.spec.classes, int)
assert_type(reslab.load("resnet20.th", "resnet20", shortcut="A-both"), ResNet)

model = reslab.model("timm:resnet18", weights=True)
assert_type(model, nn.Module)
reslab.model("net:resnet56", shortcut="B")

x = Tensor()
merges = reslab.look.find(model, x)
assert_type(merges, reslab.look.Merges)
for merge in merges:
    assert_type(merge, reslab.look.Merge)
with reslab.look.intervene(model, merges, {3: reslab.look.silence()}):
    model(x)

assert_type(reslab.qa.load("runs/squad"), reslab.qa.Reader)
assert_type(reslab.tables.load("runs/adult"), reslab.tables.TableModel)
assert_type(reslab.__version__, str)

found = trained.predict("a.jpg")
assert_type(found.class_name, str)
assert_type(found.top(3), list[tuple[str, float]])
assert_type(trained.predict(["a.jpg", "b.jpg"]), Predictions)
assert_type(trained.classes, tuple[str, ...])
assert_type(trained.preprocess("a.jpg"), Tensor)

run = reslab.train("photos", net="resnet18", lr=0.01)
assert_type(run, ImageRun)
assert_type(run.model, ResNet | VGG | Model)
assert_type(run.evaluate().error, float)
assert_type(run.page, Path)
