#!/usr/bin/env bash
# Checks the terraform module by itself: its format, its validity for the pinned provider, and its own tests, which mock
# AWS. In a copy, because terraform leaves files where it works.
set -euo pipefail
cd "$(dirname "$0")/.."

terraform=${SPIKEPROOF_TERRAFORM:-$(command -v terraform || command -v tofu)}
copy=.spikeproof/module
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export CHECKPOINT_DISABLE=1

run() { # prints the whole output, but only if the command fails
  "$terraform" "$@" >"$log" 2>&1 || { cat "$log"; echo 'module: 0 passed, 1 failed'; exit 1; }
}

run fmt -check -diff -recursive terraform

# The provider stays from an earlier time.
mkdir -p "$copy"
rm -rf "$copy"/*.tf "$copy/tests" "$copy/.terraform.lock.hcl"
cp -r terraform/*.tf terraform/tests "$copy"
case $terraform in *tofu) ;; *) cp terraform/.terraform.lock.hcl "$copy" ;; esac
cd "$copy"
run init -backend=false -input=false -no-color ${SPIKEPROOF_PLUGIN_DIR:+-plugin-dir="$SPIKEPROOF_PLUGIN_DIR"}
run validate -no-color

needed=1.7
case $terraform in *tofu) needed=1.8 ;; esac
version=$("$terraform" version -json 2>/dev/null | sed -n 's/.*"terraform_version": "\([0-9.]*\).*/\1/p')
if [ "$(printf '%s\n' $needed "$version" | sort -V | head -n 1)" != $needed ]; then
  echo "the module's own tests were NOT run: $terraform is version $version, and mocks need $needed" >&2
  exit
fi
run test -no-color
sed -nE 's/^(Success!|Failure!) ([0-9]+ passed, [0-9]+ failed).*/module: \2/p' "$log"
