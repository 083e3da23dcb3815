"""Publish a model: a folder as the Hugging Face Hub has them, without what is private, and its upload.

    found = reslab.ship.publish("runs/cifar", out="published")   # the files alone, no network
    reslab.ship.push("runs/cifar", "OWNER/NAME")                  # the same, uploaded

`reslab push` does the same on the command line; reslab.load("hf:OWNER/NAME"), or of the folder, gives the model back.
"""
