"""How large a stored number may be: so small that no sum of them overflows."""

LARGEST = 1e200  # of what is measured
MOST = 2**53  # of what is counted: every float and every browser tells such numbers apart
