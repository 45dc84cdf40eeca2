#!/bin/sh
# Stands in for aws, docker, cargo, rustup and scripts/setup.sh: it writes its call down in $STUB/calls and answers as the
# real one would, as far as the scripts read it. Call number $FAIL_AT fails; call number $ANSWER_AT answers $ANSWER.
# A stack exists if there is $STUB/stack-NAME, which holds its state; $STUB/parameter-NAME holds a parameter's value.
name=$(basename "$0")
echo "$name $*" >>"$STUB/calls"
call=$(($(wc -l <"$STUB/calls")))
if [ "$call" = "${FAIL_AT:-}" ]; then echo "the stub's failure" >&2; exit 255; fi
if [ "$call" = "${ANSWER_AT:-}" ]; then echo "$ANSWER"; exit 0; fi

missing() { echo "An error occurred (ValidationError) when calling an operation: $1" >&2; exit 254; }

# The value behind an option: value_of --stack-name "$@"
value_of() {
  wanted=$1
  while shift && [ $# -gt 1 ]; do
    if [ "$1" = "$wanted" ]; then echo "$2"; return; fi
  done
}

case "$name $*" in
"aws cloudformation describe-stacks "*)
  stack=$(value_of --stack-name "$@")
  [ -f "$STUB/stack-$stack" ] || missing "Stack with id $stack does not exist"
  case $(value_of --query "$@") in
  *StackStatus) cat "$STUB/stack-$stack" ;;
  *"'CodeBucket'"*) echo "$stack-codebucket-1" ;;
  *"'Images'"*) echo "123456789012.dkr.ecr.us-east-1.amazonaws.com/$stack-images-1" ;;
  *"'ImagesArn'"*) echo "arn:aws:ecr:us-east-1:123456789012:repository/$stack-images-1" ;;
  *"'StateMachineArn'"*) echo "arn:aws:states:us-east-1:123456789012:stateMachine:$stack" ;;
  *"'Bucket'"*) echo "$stack-databucket-1" ;;
  *Parameters*)
    parameter=$(value_of --query "$@" | cut -d"'" -f2)
    if [ -f "$STUB/parameter-$parameter" ]; then cat "$STUB/parameter-$parameter"; else echo None; fi
    ;;
  *) echo "the outputs" ;;
  esac
  ;;
"aws cloudformation describe-stack-resource "*) missing "Resource SenderIdentity does not exist for stack" ;;
"aws cloudformation deploy "*) echo CREATE_COMPLETE >"$STUB/stack-$(value_of --stack-name "$@")" ;;
"aws cloudformation wait stack-delete-complete "*) rm -f "$STUB/stack-$(value_of --stack-name "$@")" ;;
"aws sesv2 get-email-identity "*) missing "NotFoundException" ;;
"aws ecr get-login-password") echo a-password ;;
"aws lambda get-account-settings "*) if [ -f "$STUB/concurrency" ]; then cat "$STUB/concurrency"; else echo 1000; fi ;;
"aws ecr describe-images "*) echo "sha256:$(printf '%064d' 7)" ;;
"docker login "*) cat >/dev/null ;;
"rustup show active-toolchain") echo "1.95.0-x86_64-unknown-linux-gnu (overridden by 'rust-toolchain.toml')" ;;
"cargo lambda build "*)
  for function in splitter reducer; do
    mkdir -p "target/lambda/$function"
    echo "$function" >"target/lambda/$function/bootstrap.zip"
  done
  ;;
esac
