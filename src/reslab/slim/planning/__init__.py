"""Which blocks go, in which order, and what each of them costs; `reslab.slim.plan`."""
