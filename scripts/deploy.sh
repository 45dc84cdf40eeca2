#!/usr/bin/env bash
# Deploys tagfleet into the account and region that the AWS CLI is set up for: builds the functions and the worker's
# images, pushes and uploads them, and deploys the stack. Running it again updates the stack in place. It stops at the
# first command that fails and names it. Finished builds and uploads are used again or expire.
#
# Variables; one that is not set keeps the stack's value, or the default in parentheses:
#   STACK                               the stack's name (tagfleet), at most 55 letters, digits and hyphens
#   SOURCE_BUCKETS, SOURCE_KEY_ARNS     whose images may be read, and the KMS keys they are encrypted with
#   OUTPUT_BUCKETS, BUCKET_NAME         where else results may go; an existing bucket to use
#   OWN_KEY_ARNS                        the KMS keys that these are encrypted with
#   MODEL_BUCKETS                       where else requests may take models from
#   MANIFEST_BUCKETS                    where else requests may take manifests from
#   SENDER, ALARM_TOPIC_ARN             the address of reports; a topic for alarms
#   MAIL_RECIPIENTS                     who may get reports: me@example.com,*@example.org (the domain of SENDER)
#   MAX_USD_PER_RUN, MAX_USD_PER_DAY    the most dollars that a run, and the runs that start on a day, may cost (no limit)
#   NOTIFY_TOPIC_ARN                    a topic that gets a message when a run ends
#   MAX_FAILED_PERCENT                  how many images of a hundred may fail before an alarm (5)
#   BUCKET_KEY_ARN                      the KMS key of the bucket that is made (aws/s3)
#   VPC_ID, SUBNET_IDS, MAX_VCPUS       a VPC of yours; the most vCPUs at once
#   ZONES                               how many zones the VPC that is made spans, 2 to 4; us-west-1 has 2 (3)
#   FUNCTION_CONCURRENCY                calls of its functions that a run makes at once (4/5 of what Lambda allows, 40 at most)
#   CPU_PLATFORM, CPU_INSTANCE_TYPES    linux/arm64 and c8g.2xlarge,c8g.4xlarge for Graviton (linux/amd64); change both
#   GPU, GPU_INSTANCE_TYPES             GPU=no builds no GPU image (2.2 GB), and the stack then refuses --device gpu (yes)
#   FUNCTIONS                           a folder with a release's splitter.zip and reducer.zip, instead of building them with Rust
#   CPU_IMAGE, GPU_IMAGE                a release's images by digest, NAME@sha256:..., instead of building them with Docker;
#                                       machines must be able to pull them; without GPU_IMAGE the stack refuses --device gpu
#   PERMISSIONS_BOUNDARY_ARN, ROLE_PATH the boundary and the path of every role, if your organisation demands them
#   PROJECT                             the value of the tag `project` on all that costs (the stack's name)
set -euo pipefail
export AWS_PAGER=

fail() { echo "deploy: $*" >&2; exit 1; }

cd "$(dirname "$0")/.." || fail "could not enter the project's folder"
stack=${STACK:-tagfleet}
# The longest name made of it is that of the function STACK-splitter, and Lambda takes 64 characters.
longest_stack_name=55
# shellcheck source=scripts/stack.sh
. scripts/stack.sh || fail "could not read scripts/stack.sh"

output() {
  local value
  value=$(describe "$1" "Outputs[?OutputKey=='$2'].OutputValue | [0]") || exit
  [ -n "$value" ] || fail "the stack $1 has no output $2: delete it with 'aws cloudformation delete-stack --stack-name $1', then run this again"
  echo "$value"
}

# The current value of a parameter of the stack; empty if there is no stack yet.
deployed() { describe "$stack" "Parameters[?ParameterKey=='$1'].ParameterValue | [0]"; }

# How many functions a run may call at once: the account's other functions keep a fifth of what Lambda allows it.
allowed_concurrency() {
  local limit shape='^[0-9]+$'
  limit=$(ask "the limits of Lambda" "never" lambda get-account-settings --query AccountLimit.ConcurrentExecutions) || exit
  [[ $limit =~ $shape ]] || fail "Lambda gave no number of concurrent executions but '$limit': give FUNCTION_CONCURRENCY"
  limit=$((limit * 4 / 5))
  if [ "$limit" -gt 40 ]; then limit=40; fi
  if [ "$limit" -lt 1 ]; then limit=1; fi
  echo "$limit"
}

# The identity of SES that the stack made, if it made one.
own_identity() {
  ask "the stack's identity of SES" "does not exist" cloudformation describe-stack-resource --stack-name "$stack" --logical-resource-id SenderIdentity \
    --query "(StackResourceDetail.ResourceStatus != 'DELETE_COMPLETE' && StackResourceDetail.PhysicalResourceId) || ''"
}

# Whether the stack creates the SES identity of an address: not if it exists already, because there cannot be two.
makes_identity() {
  local own known
  own=$(own_identity) || exit
  [ "$own" != "$1" ] || { echo true; return; }
  known=$(ask "the identity $1 of SES" NotFoundException sesv2 get-email-identity --email-identity "$1" --query IdentityType) || exit
  if [ -n "$known" ]; then echo false; else echo true; fi
}

# Stops if CloudFormation cannot update the stack in its current state, and prints how to leave that state.
check_state() {
  local state events again="then run this again"
  state=$(describe "$1" StackStatus) || exit
  events="'aws cloudformation describe-stack-events --stack-name $1' says what failed"
  case $state in
  ROLLBACK_COMPLETE | ROLLBACK_FAILED | CREATE_FAILED | DELETE_FAILED)
    fail "the stack $1 is in the state $state, in which CloudFormation can only delete it ($events): run" \
      "'aws cloudformation delete-stack --stack-name $1' and" \
      "'aws cloudformation wait stack-delete-complete --stack-name $1', $again"
    ;;
  UPDATE_ROLLBACK_FAILED)
    fail "the stack $1 is in the state $state ($events): repair that, run" \
      "'aws cloudformation continue-update-rollback --stack-name $1', $again"
    ;;
  UPDATE_FAILED)
    fail "the stack $1 is in the state $state ($events): run 'aws cloudformation rollback-stack --stack-name $1', $again"
    ;;
  # A change set of a stack that was never created: the deployment makes another.
  REVIEW_IN_PROGRESS) ;;
  *_IN_PROGRESS) fail "the stack $1 is in the state $state: wait until that has ended, $again" ;;
  *_FAILED) fail "the stack $1 is in the state $state ($events): repair that, $again" ;;
  esac
}

hash_of() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi; }

# Uploads a file under a key that its content names, and prints the key.
upload() {
  local hash key
  hash=$(hash_of "$1") || fail "could not read $1"
  key="$stack/$(echo "$hash" | cut -c1-16)-$(basename "$1")"
  aws s3 cp --only-show-errors "$1" "s3://$code_bucket/$key" >&2 || fail "could not upload $1 to s3://$code_bucket/$key"
  echo "$key"
}

# Builds and pushes one target of the Dockerfile, and prints the image by digest.
image() {
  local tag digest shape='^sha256:[0-9a-f]{64}$'
  tag="$1-$(date -u +%Y%m%d%H%M%S)"
  docker buildx build --file batch-worker/Dockerfile --target "$1" --platform "$2" --provenance false \
    --tag "$images:$tag" --push . >&2 || fail "could not build and push the $1 image for $2"
  digest=$(aws ecr describe-images --repository-name "${images#*/}" --image-ids "imageTag=$tag" \
    --query 'imageDetails[0].imageDigest' --output text) || fail "could not find the image $tag in $images after its push"
  [[ $digest =~ $shape ]] || fail "ECR gave no digest of the image $tag in $images but '$digest': run this again"
  echo "$images@$digest"
}

check_name() {
  local shape='^[a-zA-Z][-a-zA-Z0-9]*$'
  [[ $stack =~ $shape ]] || fail "STACK=$stack is not a stack's name: give letters, digits and hyphens, a letter first"
  [ ${#stack} -le $longest_stack_name ] ||
    fail "STACK=$stack has ${#stack} characters, but a function's name is made of it: give at most $longest_stack_name"
}

# Stops if a variable names no image by digest: what a tag names may change.
check_image() {
  local shape='@sha256:[0-9a-f]{64}$'
  [ -z "$2" ] || [[ $2 =~ $shape ]] || fail "$1=$2 is not an image by digest: give NAME@sha256:..."
}

# First whatever can be refused, before minutes of building.
check_name
case ${GPU:-} in '' | yes | no) ;; *) fail "GPU=$GPU is not known: give yes or no" ;; esac
command -v aws >/dev/null || fail "the AWS CLI is missing: install it, then run this again"
check_image CPU_IMAGE "${CPU_IMAGE:-}"
check_image GPU_IMAGE "${GPU_IMAGE:-}"
[ -n "${CPU_IMAGE:-}" ] || [ -z "${GPU_IMAGE:-}" ] || fail "GPU_IMAGE is given without CPU_IMAGE: give both"
functions=${FUNCTIONS:-target/package}
if [ -n "${FUNCTIONS:-}" ]; then
  for zip in splitter reducer; do
    [ -f "$functions/$zip.zip" ] || fail "FUNCTIONS=$functions has no $zip.zip: download it from the release"
  done
fi
[ -n "${CPU_IMAGE:-}" ] || docker buildx version >/dev/null 2>&1 ||
  fail "Docker with buildx is missing: install it, or give a release's CPU_IMAGE, then run this again"
aws sts get-caller-identity >/dev/null || fail "the AWS CLI has no credentials: run 'aws configure' or set AWS_PROFILE"
check_state "$stack-artifacts"
check_state "$stack"
had_cpu_image=$(deployed CpuImage) || exit
had_gpu_image=$(deployed GpuImage) || exit
had_platform=$(deployed CpuPlatform) || exit
had_project=$(deployed Project) || exit
had_sender=$(deployed Sender) || exit
had_concurrency=$(deployed FunctionConcurrency) || exit
cpu_platform=${CPU_PLATFORM:-${had_platform:-linux/amd64}}
project=${PROJECT:-${had_project:-$stack}}
sender=${SENDER-$had_sender}
concurrency=${FUNCTION_CONCURRENCY:-$had_concurrency}
if [ -z "$concurrency" ]; then concurrency=$(allowed_concurrency) || exit; fi
gpu=${GPU:-yes}
# A stack that was deployed without the image stays without it.
if [ -z "${GPU:-}" ] && [ -n "$had_cpu_image" ] && [ -z "$had_gpu_image" ]; then gpu=no; fi
if [ -n "$sender" ]; then identity=$(makes_identity "$sender") || exit; fi

if [ -z "${FUNCTIONS:-}" ]; then
  scripts/package.sh || fail "could not build the functions"
  for zip in splitter reducer; do
    [ -f "$functions/$zip.zip" ] || fail "scripts/package.sh left no $functions/$zip.zip"
  done
fi

aws cloudformation deploy --stack-name "$stack-artifacts" --template-file infra/artifacts.yaml \
  --no-fail-on-empty-changeset --tags "project=$project" || fail "could not deploy the stack $stack-artifacts"
code_bucket=$(output "$stack-artifacts" CodeBucket) || exit
cpu_image=${CPU_IMAGE:-}
gpu_image=${GPU_IMAGE:-}
images_arn=
if [ -z "$cpu_image" ]; then
  images=$(output "$stack-artifacts" Images) || exit
  images_arn=$(output "$stack-artifacts" ImagesArn) || exit
  # Not one pipe of both: a login with an empty password would follow.
  password=$(aws ecr get-login-password) || fail "could not get a password for ECR"
  [ -n "$password" ] || fail "ECR gave an empty password: run this again"
  printf '%s' "$password" | docker login --username AWS --password-stdin "${images%%/*}" ||
    fail "Docker could not log in to ${images%%/*}"
  cpu_image=$(image cpu "$cpu_platform") || exit
  if [ "$gpu" = yes ]; then gpu_image=$(image gpu linux/amd64) || exit; fi
fi
splitter_key=$(upload "$functions/splitter.zip") || exit
reducer_key=$(upload "$functions/reducer.zip") || exit
definition_key=$(upload infra/state-machine.asl.json) || exit
parameters=(
  "CodeBucket=$code_bucket"
  "SplitterKey=$splitter_key"
  "ReducerKey=$reducer_key"
  "DefinitionKey=$definition_key"
  "CpuImage=$cpu_image"
  "CpuPlatform=$cpu_platform"
  "GpuImage=$gpu_image"
  "ImageRepositoryArns=$images_arn"
  "FunctionConcurrency=$concurrency"
)
optional() { if [ -n "${!2+set}" ]; then parameters+=("$1=${!2}"); fi; }
optional BucketName BUCKET_NAME
optional SourceBuckets SOURCE_BUCKETS
optional SourceKeyArns SOURCE_KEY_ARNS
optional OutputBuckets OUTPUT_BUCKETS
optional OwnKeyArns OWN_KEY_ARNS
optional ModelBuckets MODEL_BUCKETS
optional ManifestBuckets MANIFEST_BUCKETS
optional Sender SENDER
optional MailRecipients MAIL_RECIPIENTS
optional MaxUsdPerRun MAX_USD_PER_RUN
optional MaxUsdPerDay MAX_USD_PER_DAY
optional BucketKeyArn BUCKET_KEY_ARN
optional Zones ZONES
optional VpcId VPC_ID
optional SubnetIds SUBNET_IDS
optional MaxVcpus MAX_VCPUS
optional CpuInstanceTypes CPU_INSTANCE_TYPES
optional GpuInstanceTypes GPU_INSTANCE_TYPES
optional AlarmTopicArn ALARM_TOPIC_ARN
optional NotifyTopicArn NOTIFY_TOPIC_ARN
optional MaxFailedPercent MAX_FAILED_PERCENT
optional PermissionsBoundaryArn PERMISSIONS_BOUNDARY_ARN
optional RolePath ROLE_PATH
optional Project PROJECT
if [ -n "$sender" ]; then parameters+=("MakesIdentity=$identity"); fi

aws cloudformation deploy --stack-name "$stack" --template-file infra/template.yaml --s3-bucket "$code_bucket" \
  --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset --tags "project=$project" \
  --parameter-overrides "${parameters[@]}" ||
  fail "could not deploy the stack $stack: 'aws cloudformation describe-stack-events --stack-name $stack' says what failed"
aws cloudformation describe-stacks --stack-name "$stack" --query 'Stacks[0].Outputs' --output table ||
  fail "the stack $stack is deployed, but its outputs could not be read: 'aws cloudformation describe-stacks' shows them"
