"""What `make care` reads of the tools in `.venv/care`: their answers need a second look.

`audit` asks about known vulnerabilities of the packages that are deployed, and `secrets` looks for secrets in the
sources. Bandit and checkov say everything by their exit status.
"""

from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv" / "care" / "bin" / "python"
