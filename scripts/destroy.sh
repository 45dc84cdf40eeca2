#!/usr/bin/env bash
# Removes the stack that scripts/deploy.sh made, and its code and images. The bucket of the results stays. Where it was
# interrupted, or a deletion failed, running it again does the rest.
# STACK is the stack's name (tagfleet).
set -euo pipefail
stack=${STACK:-tagfleet}

fail() { echo "destroy: $*" >&2; exit 1; }

output() {
  aws cloudformation describe-stacks --stack-name "$1" --output text \
    --query "Stacks[0].Outputs[?OutputKey=='$2'].OutputValue"
}

exists() {
  local said
  if said=$(aws cloudformation describe-stacks --stack-name "$1" 2>&1); then return 0; fi
  [[ $said == *"does not exist"* ]] || fail "$said"
  return 1
}

delete() {
  aws cloudformation delete-stack --stack-name "$1"
  aws cloudformation wait stack-delete-complete --stack-name "$1"
}

# Names of runs that are going on; none where the state machine is gone already.
running() {
  local said
  if said=$(aws stepfunctions list-executions --state-machine-arn "$1" --status-filter RUNNING \
    --query 'executions[].name' --output text 2>&1); then
    echo "$said"
  elif [[ $said != *StateMachineDoesNotExist* ]]; then
    fail "$said"
  fi
}

# A bucket can only be deleted when it is empty.
empty() {
  local said
  if said=$(aws s3 rm --recursive --only-show-errors "s3://$1" 2>&1); then return 0; fi
  [[ $said == *NoSuchBucket* ]] || fail "$said"
}

# A stack that never came to be has no outputs.
is_known() { [ -n "$1" ] && [ "$1" != None ]; }

command -v aws >/dev/null || fail "the AWS CLI is missing: install it, then run this again"
bucket=
if exists "$stack"; then
  machine=$(output "$stack" StateMachineArn)
  bucket=$(output "$stack" Bucket)
  if is_known "$machine"; then
    runs=$(running "$machine")
    [ -z "$runs" ] || fail "runs are going on: $runs; end each with 'tagfleet cancel RUN', then run this again"
  fi
  delete "$stack"
fi
if exists "$stack-artifacts"; then
  code_bucket=$(output "$stack-artifacts" CodeBucket)
  if is_known "$code_bucket"; then empty "$code_bucket"; fi
  delete "$stack-artifacts"
fi
echo "removed."
if is_known "$bucket"; then
  echo "Your results are still in s3://$bucket; it is yours to keep, or to empty and delete."
fi
