"""python -m reslab"""

import sys

try:
    from reslab.cli import main
except KeyboardInterrupt:  # Ctrl-C in the first moment
    sys.stderr.write("reslab: stopped\n")
    raise SystemExit(130) from None

raise SystemExit(main())
