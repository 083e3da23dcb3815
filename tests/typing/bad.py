"""Mistakes that a checker must find: each line that ends in a comment of mypy's code, and no other."""

import reslab

reslab.nonsense  # attr-defined
reslab.look.merge_all  # attr-defined
reslab.nets.catalogue  # attr-defined
reslab.net("resnet56", shortcut="D")  # call-overload
reslab.net("resnet56", class_count=10)  # call-overload
reslab.net(56)  # call-overload
reslab.net("resnet56").spec.shortcuts  # attr-defined
reslab.net("resnet20").match.pears  # attr-defined
reslab.model("net:resnet56", zero_last=True)  # call-arg
reslab.net("resnet20").predict("a.jpg").klass  # attr-defined
reslab.net("resnet20").predict("a.jpg", flip=True)  # call-overload
