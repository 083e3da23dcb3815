"""Export a model: convert its graph, prove the file equal to the model, choose a precision, write the folder."""
