"""Schemathesis, as a stranger would run it, against a server that runs: all that its OpenAPI page allows and forbids.

`python -m benchmarks.stranger --examples 100` is part of `make proof`; CI asks a few in memory
(tests/test_schemathesis.py).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.serving import serving

#: That valid data are accepted is not asked: no schema can say that a time lies in the future.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100)
    asked = parser.parse_args()
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", "--checks", ",".join(CHECKS)]
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        words = ["--max-examples", str(asked.examples), "--seed", "1", f"{server.url}/openapi.json"]
        return subprocess.run([*command, *words], cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
