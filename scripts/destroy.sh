#!/usr/bin/env bash
# Removes the stack that scripts/deploy.sh made, and its code and images. The bucket of the results stays. It stops at
# the first command that fails and names it; run it again to do the rest.
# STACK is the stack's name (tagfleet).
set -euo pipefail
export AWS_PAGER=

fail() { echo "destroy: $*" >&2; exit 1; }

stack=${STACK:-tagfleet}
# shellcheck source=scripts/stack.sh
. "$(dirname "$0")/stack.sh" || fail "could not read scripts/stack.sh"

# Nothing if the stack has no such output: one that was never completed has none.
output() { describe "$1" "Outputs[?OutputKey=='$2'].OutputValue | [0]"; }

delete() {
  aws cloudformation delete-stack --stack-name "$1" || fail "could not delete the stack $1"
  aws cloudformation wait stack-delete-complete --stack-name "$1" ||
    fail "the stack $1 is not deleted: 'aws cloudformation describe-stack-events --stack-name $1' says why; then run this again"
}

# A bucket can only be deleted when it is empty.
empty() {
  aws s3 rm --recursive --only-show-errors "s3://$1" 2>"$errors" || grep -q NoSuchBucket "$errors" ||
    fail "could not empty the bucket $1: $(said)"
}

command -v aws >/dev/null || fail "the AWS CLI is missing: install it, then run this again"
bucket=
state=$(describe "$stack" StackStatus) || exit
if [ -n "$state" ]; then
  machine=$(output "$stack" StateMachineArn) || exit
  bucket=$(output "$stack" Bucket) || exit
  if [ -n "$machine" ]; then
    runs=$(ask "the runs of the stack $stack" StateMachineDoesNotExist stepfunctions list-executions --state-machine-arn "$machine" \
      --status-filter RUNNING --query 'executions[].name') || exit
    [ -z "$runs" ] || fail "these runs have not ended: $runs; end each with 'tagfleet cancel RUN', then run this again"
  fi
  delete "$stack"
fi
state=$(describe "$stack-artifacts" StackStatus) || exit
if [ -n "$state" ]; then
  code_bucket=$(output "$stack-artifacts" CodeBucket) || exit
  if [ -n "$code_bucket" ]; then empty "$code_bucket"; fi
  delete "$stack-artifacts"
fi
echo "removed."
if [ -n "$bucket" ]; then
  echo "Your results are still in s3://$bucket; it is yours to keep, or to empty and delete."
fi
