"""`python -m echo_trio`."""

from echo_trio.cli import main

raise SystemExit(main())
