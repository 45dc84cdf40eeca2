#!/usr/bin/env bash
# Removes the stack that scripts/deploy.sh made, and its code and images. The bucket of the results stays.
# STACK is the stack's name (tagfleet).
set -euo pipefail
stack=${STACK:-tagfleet}

fail() { echo "destroy: $*" >&2; exit 1; }

output() {
  aws cloudformation describe-stacks --stack-name "$1" --output text \
    --query "Stacks[0].Outputs[?OutputKey=='$2'].OutputValue"
}

command -v aws >/dev/null || fail "the AWS CLI is missing: install it, then run this again"
machine=$(output "$stack" StateMachineArn)
running=$(aws stepfunctions list-executions --state-machine-arn "$machine" --status-filter RUNNING \
  --query 'executions[].name' --output text)
[ -z "$running" ] || fail "runs are going on: $running; end each with 'tagfleet cancel RUN', then run this again"
bucket=$(output "$stack" Bucket)
code_bucket=$(output "$stack-artifacts" CodeBucket)

aws cloudformation delete-stack --stack-name "$stack"
aws cloudformation wait stack-delete-complete --stack-name "$stack"
aws s3 rm --recursive --only-show-errors "s3://$code_bucket"
aws cloudformation delete-stack --stack-name "$stack-artifacts"
aws cloudformation wait stack-delete-complete --stack-name "$stack-artifacts"
echo "removed. Your results are still in s3://$bucket; it is yours to keep, or to empty and delete."
