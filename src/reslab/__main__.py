"""python -m reslab"""

import sys

try:
    from reslab.cli import main
except KeyboardInterrupt:  # Ctrl-C in the first moment
    print("reslab: stopped", file=sys.stderr)
    raise SystemExit(130) from None

raise SystemExit(main())
