#!/usr/bin/env bash
# Runs gradient_flow.py in both of its modes; stops at the first that fails.
# PYTHON chooses the interpreter: PYTHON=.venv/bin/python examples/run_gradient_test.sh
set -euo pipefail

python="${PYTHON:-python3}"
script="$(dirname "${BASH_SOURCE[0]}")/gradient_flow.py"

echo "== step noise off"
LEARNABLE_STEP_NOISE=0 "$python" "$script"
echo
echo "== step noise derived from z0"
LEARNABLE_STEP_NOISE=1 "$python" "$script"
