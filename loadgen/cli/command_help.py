"""Hold the usage lines and the last paragraphs of the help of the commands beside the load.

The commands' own modules are imported only when one of them runs.
"""

from __future__ import annotations

from typing import Final

COMPARE_USAGE: Final = """loadgen compare BEFORE.json AFTER.json [OPTIONS]
       loadgen compare BEFORE.json … --to AFTER.json … [OPTIONS]"""

COMPARE_EPILOGUE: Final = """\
Example: loadgen compare old-1.json old-2.json --to new-1.json new-2.json

Exit codes: 0 nothing is worse, 1 something is worse by more than noise,
2 bad usage.

More: docs/how-to/compare-runs.md
"""

HISTORY_USAGE: Final = "loadgen history FILE [OPTIONS]"

HISTORY_EPILOGUE: Final = """\
Example: loadgen history runs.db --html trends.html

Runs are added by loadgen 1000 --history runs.db, every night for example.

Exit codes: 0 shown, 2 bad usage, or a file that is no history.

More: docs/how-to/history.md
"""

PLAN_USAGE: Final = "loadgen plan COUNT [URL] [OPTIONS]"

PLAN_EPILOGUE: Final = """\
Example: loadgen plan 1m ws://10.0.0.1:8765/ --rate 100k/s --memory 128GiB

COUNT is written 10000, 10k or 1m; RATE 100/s, 5k/s or 30/m;
SIZE 512MiB or 16GiB.

Exit codes: 0 computed, 2 bad usage.

More: docs/reference/loadgen.md and docs/scale.md
"""

RECOVER_USAGE: Final = "loadgen recover [FILE] [OPTIONS]"

RECOVER_EPILOGUE: Final = """\
Example: loadgen recover --json report.json

Exit codes: 0 the report is written, 2 there is no journal, it can't be read, or
the report can't be written.

More: docs/reference/loadgen.md
"""

NEW_USAGE: Final = "loadgen new FILE.py"

NEW_EPILOGUE: Final = """\
Example: loadgen new chat.py && loadgen 1 --scenario chat.py --trace

Exit codes: 0 the file is written, 2 it can't be written or exists already.

More: docs/reference/scenario.md
"""

RECORD_USAGE: Final = "loadgen record FILE.har [OPTIONS] > chat.py"

RECORD_EPILOGUE: Final = """\
Example: loadgen record traffic.har --rows secrets.csv > chat.py

Exit codes: 0 written, 2 the file can't be read, or holds no WebSocket messages.

More: docs/reference/scenario.md
"""
