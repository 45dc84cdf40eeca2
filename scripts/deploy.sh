#!/usr/bin/env bash
# Deploys tagfleet into the account and region that the AWS CLI is set up for: builds and pushes the worker's images,
# uploads the functions and the state machine, deploys the stack. Doing it again updates the stack in place.
#
# Variables, each kept as it was where it is unset:
#   STACK                               the stack's name (tagfleet)
#   SOURCE_BUCKETS, SOURCE_KEY_ARNS     whose images may be read, and the KMS keys they are encrypted with
#   OUTPUT_BUCKETS, BUCKET_NAME         where else results may go; an existing bucket to use
#   OWN_KEY_ARNS                        the KMS keys that these are encrypted with
#   SENDER, ALARM_TOPIC_ARN             the address of reports; a topic for alarms
#   MAX_FAILED_PERCENT                  how many images of a hundred may fail before an alarm (5)
#   VPC_ID, SUBNET_IDS, MAX_VCPUS       a VPC of yours; the most vCPUs at once
#   CPU_PLATFORM, CPU_INSTANCE_TYPES    linux/arm64 and c8g.2xlarge,c8g.4xlarge for Graviton (linux/amd64); change both
#   GPU_INSTANCE_TYPES
set -euo pipefail
cd "$(dirname "$0")/.."
stack=${STACK:-tagfleet}

fail() { echo "deploy: $*" >&2; exit 1; }

output() {
  aws cloudformation describe-stacks --stack-name "$1" --output text \
    --query "Stacks[0].Outputs[?OutputKey=='$2'].OutputValue"
}

# The value of a parameter that the stack has now; nothing where there is no stack yet.
deployed() {
  local said
  if said=$(aws cloudformation describe-stacks --stack-name "$stack" --output text \
    --query "Stacks[0].Parameters[?ParameterKey=='$1'].ParameterValue" 2>&1); then
    echo "$said"
  elif [[ $said != *"does not exist"* ]]; then
    fail "$said"
  fi
}

# The identity of SES that the stack made, if it made one.
own_identity() {
  local said
  if said=$(aws cloudformation describe-stack-resource --stack-name "$stack" --logical-resource-id SenderIdentity \
    --output text \
    --query "(StackResourceDetail.ResourceStatus != 'DELETE_COMPLETE' && StackResourceDetail.PhysicalResourceId) || ''" 2>&1); then
    echo "$said"
  elif [[ $said != *"does not exist"* ]]; then
    fail "$said"
  fi
}

# Whether the stack is to make SES's identity of an address: not where somebody else has, for a second one cannot be made.
makes_identity() {
  local own said
  own=$(own_identity)
  if [ "$own" = "$1" ]; then
    echo true
  elif said=$(aws sesv2 get-email-identity --email-identity "$1" 2>&1); then
    echo false
  elif [[ $said == *NotFoundException* ]]; then
    echo true
  else
    fail "$said"
  fi
}

# Uploads a file under a key that its content names, and prints the key.
upload() {
  local key
  key="$stack/$(sha256sum "$1" | cut -c1-16)-$(basename "$1")"
  aws s3 cp --only-show-errors "$1" "s3://$code_bucket/$key" >&2
  echo "$key"
}

# Builds and pushes one target of the Dockerfile, and prints the image by digest.
image() {
  local tag
  tag="$1-$(date -u +%Y%m%d%H%M%S)"
  docker buildx build --file batch-worker/Dockerfile --target "$1" --platform "$2" --provenance false \
    --tag "$images:$tag" --push . >&2
  echo "$images@$(aws ecr describe-images --repository-name "${images#*/}" --image-ids "imageTag=$tag" \
    --query 'imageDetails[0].imageDigest' --output text)"
}

command -v aws >/dev/null || fail "the AWS CLI is missing: install it, then run this again"
docker buildx version >/dev/null 2>&1 || fail "Docker with buildx is missing: install it, then run this again"
aws sts get-caller-identity >/dev/null || fail "the AWS CLI has no credentials: run 'aws configure' or set AWS_PROFILE"
for zip in splitter reducer; do
  [ -f "target/package/$zip.zip" ] || fail "target/package/$zip.zip is missing: run 'make package' first"
done

aws cloudformation deploy --stack-name "$stack-artifacts" --template-file infra/artifacts.yaml \
  --no-fail-on-empty-changeset --tags "project=$stack"
code_bucket=$(output "$stack-artifacts" CodeBucket)
images=$(output "$stack-artifacts" Images)
aws ecr get-login-password | docker login --username AWS --password-stdin "${images%%/*}"

splitter_key=$(upload target/package/splitter.zip)
reducer_key=$(upload target/package/reducer.zip)
definition_key=$(upload infra/state-machine.asl.json)
cpu_platform=${CPU_PLATFORM:-$(deployed CpuPlatform)}
cpu_platform=${cpu_platform:-linux/amd64}
cpu_image=$(image cpu "$cpu_platform")
gpu_image=$(image gpu linux/amd64)
parameters=(
  "CodeBucket=$code_bucket"
  "SplitterKey=$splitter_key"
  "ReducerKey=$reducer_key"
  "DefinitionKey=$definition_key"
  "CpuImage=$cpu_image"
  "CpuPlatform=$cpu_platform"
  "GpuImage=$gpu_image"
)
optional() { if [ -n "${!2+set}" ]; then parameters+=("$1=${!2}"); fi; }
optional BucketName BUCKET_NAME
optional SourceBuckets SOURCE_BUCKETS
optional SourceKeyArns SOURCE_KEY_ARNS
optional OutputBuckets OUTPUT_BUCKETS
optional OwnKeyArns OWN_KEY_ARNS
optional Sender SENDER
optional VpcId VPC_ID
optional SubnetIds SUBNET_IDS
optional MaxVcpus MAX_VCPUS
optional CpuInstanceTypes CPU_INSTANCE_TYPES
optional GpuInstanceTypes GPU_INSTANCE_TYPES
optional AlarmTopicArn ALARM_TOPIC_ARN
optional MaxFailedPercent MAX_FAILED_PERCENT
sender=${SENDER-$(deployed Sender)}
if [ -n "$sender" ]; then
  identity=$(makes_identity "$sender")
  parameters+=("MakesIdentity=$identity")
fi

aws cloudformation deploy --stack-name "$stack" --template-file infra/template.yaml --s3-bucket "$code_bucket" \
  --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset --tags "project=$stack" \
  --parameter-overrides "${parameters[@]}"
aws cloudformation describe-stacks --stack-name "$stack" --query 'Stacks[0].Outputs' --output table
