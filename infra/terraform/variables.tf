# Each variable is a parameter of infra/template.yaml, which says more of it; null takes the template's default.

variable "stack_name" {
  description = "The stack's name, which the names of its functions and queues begin with"
  type        = string
  default     = "tagfleet"
}

variable "code_bucket" {
  description = "An existing bucket of this region for the functions' zips, the state machine's definition and the template"
  type        = string
}

variable "splitter_zip" {
  description = "The splitter's zip, as `make package` leaves it"
  type        = string
}

variable "reducer_zip" {
  description = "The reducer's zip, as `make package` leaves it"
  type        = string
}

variable "cpu_image" {
  description = "The worker's image for CPUs, best by digest"
  type        = string
}

variable "gpu_image" {
  description = "The worker's image for NVIDIA GPUs, best by digest; null if the stack refuses runs on GPUs"
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of the stack's resources, besides project"
  type        = map(string)
  default     = {}
}

variable "image_repository_arns" {
  description = "The ECR repositories of the images, the only ones that the workers' machines may then pull from; empty allows every repository of this account and region"
  type        = list(string)
  default     = null
}

variable "bucket_name" {
  description = "An existing bucket of yours for requests, models and results; empty makes one. An existing bucket keeps its own policy, encryption and lifecycle, and must send its events to EventBridge for requests to start runs"
  type        = string
  default     = null
}

variable "bucket_key_arn" {
  description = "The KMS key that encrypts the bucket that is made here; empty takes the key aws/s3, under which no other account can read results"
  type        = string
  default     = null
}

variable "source_buckets" {
  description = "The buckets whose images may be read, besides the stack's own, by name with commas between"
  type        = list(string)
  default     = null
}

variable "source_key_arns" {
  description = "The KMS keys that encrypt source buckets, by ARN; none where they use SSE-S3 or the key aws/s3"
  type        = list(string)
  default     = null
}

variable "own_key_arns" {
  description = "The KMS keys that encrypt BucketName, OutputBuckets, ModelBuckets and ManifestBuckets, by ARN; none where they use SSE-S3 or the key aws/s3, as a bucket that is made here does"
  type        = list(string)
  default     = null
}

variable "output_buckets" {
  description = "The buckets that runs may write to, besides the stack's own below tags/. Name one here only where a request names an output in it"
  type        = list(string)
  default     = null
}

variable "model_buckets" {
  description = "The buckets that requests may take models from, besides models/ in the stack's own"
  type        = list(string)
  default     = null
}

variable "manifest_buckets" {
  description = "The buckets that requests may take manifests from, besides lists/ and tags/ in the stack's own: where S3 Inventory and Athena write"
  type        = list(string)
  default     = null
}

variable "sender" {
  description = "The address that reports come from, which SES then asks to confirm; empty sends no mail"
  type        = string
  default     = null
}

variable "mail_recipients" {
  description = "Who may get reports: addresses, and domains as *@example.com, as requests spell them; empty allows the domain of Sender"
  type        = list(string)
  default     = null
}

variable "makes_identity" {
  description = "Whether Sender becomes an identity of SES with the stack; false where the account has that identity already"
  type        = bool
  default     = null
}

variable "vpc_id" {
  description = "A VPC of yours, with an S3 gateway endpoint; empty makes one"
  type        = string
  default     = null
}

variable "subnet_ids" {
  description = "The subnets of VpcId for instances, with a way out to the internet; one in each zone gets the most spot capacity"
  type        = list(string)
  default     = null
}

variable "zones" {
  description = "How many availability zones the VPC that is made here spans; more have more spot capacity. us-west-1 has 2"
  type        = number
  default     = null
}

variable "max_vcpus" {
  description = "The most vCPUs that each of the three compute environments may hold at once"
  type        = number
  default     = null
}

variable "cpu_platform" {
  description = "What CpuImage was built for; kept here, so that the next deployment builds it for the same"
  type        = string
  default     = null
}

variable "cpu_instance_types" {
  description = "What CPU workers run on, all of CpuPlatform. A worker takes 8 vCPUs and 14 GiB. The default ones all have VNNI, without which a worker refuses an int8 model; c6a has none"
  type        = list(string)
  default     = null
}

variable "gpu_instance_types" {
  description = "What GPU workers run on. A worker takes one GPU, 4 vCPUs and 14 GiB, which is all of an xlarge"
  type        = list(string)
  default     = null
}

variable "max_usd_per_run" {
  description = "The most dollars that a run may cost: the limit of a request that names none, and a request that names more is refused; 0 sets no such limit"
  type        = number
  default     = null
}

variable "max_usd_per_day" {
  description = "The most dollars that all executions that start on one day, UTC, may cost together; 0 sets no such limit"
  type        = number
  default     = null
}

variable "function_concurrency" {
  description = "How many calls of its functions a run may make at once. Lambda allows an account 10 at first: take less than that then, and leave some to everything else"
  type        = number
  default     = null
}

variable "project" {
  description = "The value of the tag 'project' of instances and volumes, for the account's bill; empty takes the stack's name"
  type        = string
  default     = null
}

variable "permissions_boundary_arn" {
  description = "The permissions boundary of every role, where the account asks for one"
  type        = string
  default     = null
}

variable "role_path" {
  description = "The path of every role and of the instance profile"
  type        = string
  default     = null
}

variable "max_failed_percent" {
  description = "Of a hundred images of a run, how many may fail before an alarm is raised at its end"
  type        = number
  default     = null
}

variable "alarm_topic_arn" {
  description = "An SNS topic for the stack's alarms; empty only shows them in CloudWatch"
  type        = string
  default     = null
}

variable "notify_topic_arn" {
  description = "An SNS topic of this region that gets a message at each run's end"
  type        = string
  default     = null
}
