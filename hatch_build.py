"""Build the web page before the wheel, or say what is missing: no wheel is without the page."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: The files that the page consists of, for the console and for reports; `npm run build` makes them.
PAGES = ("echo_trio/console/page/index.html", "loadgen/report/page/report.html")
CLIENT = "react-client"


class PageHook(BuildHookInterface[Any]):
    """Build the page for a wheel; for an editable install, `make install` does."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page if it is not there."""
        root = Path(self.root)
        if version == "editable" or self._is_built(root):
            return
        node, npm = shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            self.app.abort(
                "the web page is not built, and Node is missing, which builds it: install Node 20 "
                "or later with npm, or install a wheel instead of the source distribution"
            )
        self.app.display_info("building the web page with npm")
        for command in (["ci", "--no-audit", "--no-fund"], ["run", "--silent", "build"]):
            done = subprocess.run([str(npm), *command], cwd=root / CLIENT, check=False)  # noqa: S603
            if done.returncode != 0:
                self.app.abort(f"the web page could not be built: npm {command[0]} failed")
        if not self._is_built(root):
            self.app.abort("the web page could not be built: npm has not made its files")

    def _is_built(self, root: Path) -> bool:
        return all((root / page).is_file() for page in PAGES)
