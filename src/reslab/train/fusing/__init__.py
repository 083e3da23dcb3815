"""BatchNorm with the addition and the ReLU after it, in few passes over memory, on the CPU."""
