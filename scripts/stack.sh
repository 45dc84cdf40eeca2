# shellcheck shell=bash
# How scripts/deploy.sh and scripts/destroy.sh ask AWS about a stack. They read it after they have defined `fail`, which ends
# them with a sentence. It asks and never changes anything.

errors=$(mktemp) || fail "could not create a temporary file"
trap 'rm -f "$errors"' EXIT

# Prints AWS's answer about $1, and nothing if the error contains $2, which means that $1 does not exist.
ask() {
  local about=$1 missing=$2 answer
  shift 2
  if answer=$(aws "$@" --output text 2>"$errors"); then
    [ "$answer" = None ] || echo "$answer"
  else
    grep -q "$missing" "$errors" || fail "could not ask AWS about $about: $(said)"
  fi
}

# An error of AWS in one line.
said() { tr -s '\n' ' ' <"$errors" | sed 's/^ //; s/ $//'; }

describe() { ask "the stack $1" "does not exist" cloudformation describe-stacks --stack-name "$1" --query "Stacks[0].$2"; }
