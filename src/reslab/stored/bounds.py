"""How large a stored number may be: small enough that no sum of them overflows."""

LARGEST = 1e200  # of a measured value
MOST = 2**53  # of a count: floats, also a browser's, represent every integer below
