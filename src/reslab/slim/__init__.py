"""Remove the residual blocks that do nothing, heal what is left, and end in a model that anyone loads.

    plan = reslab.slim.plan(model, batches, remove=6)     # which blocks, in which order, at what cost
    small = reslab.slim.cut(model, plan, example=x)       # a model without them, equal to those blocks disabled
    small.save("small")                                   # loads without reslab where its library can express it
    reslab.slim.heal(...)                                 # BatchNorm statistics, then distillation

`reslab slim MODEL --data WORD` does all of it in one folder, beside the intact model trained as long and a net of the
same final shape trained from nothing.
"""
