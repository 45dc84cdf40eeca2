# tagfleet's stack from Terraform or OpenTofu: it uploads the code and the template, and deploys the same
# infra/template.yaml as `make deploy`. Images and zips are built before: `make package`, and batch-worker/Dockerfile.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_s3_bucket" "code" {
  bucket = var.code_bucket
}

locals {
  files = {
    splitter   = { path = var.splitter_zip, suffix = "splitter.zip" }
    reducer    = { path = var.reducer_zip, suffix = "reducer.zip" }
    definition = { path = "${path.module}/../state-machine.asl.json", suffix = "state-machine.asl.json" }
    template   = { path = "${path.module}/../template.yaml", suffix = "template.yaml" }
  }
  # What is null stays at the template's default.
  parameters = {
    CodeBucket             = var.code_bucket
    SplitterKey            = aws_s3_object.file["splitter"].key
    ReducerKey             = aws_s3_object.file["reducer"].key
    DefinitionKey          = aws_s3_object.file["definition"].key
    CpuImage               = var.cpu_image
    GpuImage               = var.gpu_image
    ImageRepositoryArns    = var.image_repository_arns == null ? null : join(",", var.image_repository_arns)
    BucketName             = var.bucket_name
    BucketKeyArn           = var.bucket_key_arn
    SourceBuckets          = var.source_buckets == null ? null : join(",", var.source_buckets)
    SourceKeyArns          = var.source_key_arns == null ? null : join(",", var.source_key_arns)
    OwnKeyArns             = var.own_key_arns == null ? null : join(",", var.own_key_arns)
    OutputBuckets          = var.output_buckets == null ? null : join(",", var.output_buckets)
    ModelBuckets           = var.model_buckets == null ? null : join(",", var.model_buckets)
    ManifestBuckets        = var.manifest_buckets == null ? null : join(",", var.manifest_buckets)
    Sender                 = var.sender
    MailRecipients         = var.mail_recipients == null ? null : join(",", var.mail_recipients)
    MakesIdentity          = var.makes_identity == null ? null : tostring(var.makes_identity)
    VpcId                  = var.vpc_id
    SubnetIds              = var.subnet_ids == null ? null : join(",", var.subnet_ids)
    Zones                  = var.zones == null ? null : tostring(var.zones)
    MaxVcpus               = var.max_vcpus == null ? null : tostring(var.max_vcpus)
    CpuPlatform            = var.cpu_platform
    CpuInstanceTypes       = var.cpu_instance_types == null ? null : join(",", var.cpu_instance_types)
    GpuInstanceTypes       = var.gpu_instance_types == null ? null : join(",", var.gpu_instance_types)
    MaxUsdPerRun           = var.max_usd_per_run == null ? null : tostring(var.max_usd_per_run)
    MaxUsdPerDay           = var.max_usd_per_day == null ? null : tostring(var.max_usd_per_day)
    FunctionConcurrency    = var.function_concurrency == null ? null : tostring(var.function_concurrency)
    Project                = var.project
    PermissionsBoundaryArn = var.permissions_boundary_arn
    RolePath               = var.role_path
    MaxFailedPercent       = var.max_failed_percent == null ? null : tostring(var.max_failed_percent)
    AlarmTopicArn          = var.alarm_topic_arn
    NotifyTopicArn         = var.notify_topic_arn
  }
}

# A key names its content, so that a change of the content is a change of the stack, which can go back.
resource "aws_s3_object" "file" {
  for_each = local.files

  bucket = data.aws_s3_bucket.code.id
  key    = "${var.stack_name}/${substr(filesha256(each.value.path), 0, 16)}-${each.value.suffix}"
  source = each.value.path

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudformation_stack" "tagfleet" {
  #checkov:skip=CKV_AWS_124:Terraform waits for the stack and says what became of it.
  name         = var.stack_name
  template_url = "https://${data.aws_s3_bucket.code.bucket_regional_domain_name}/${aws_s3_object.file["template"].key}"
  capabilities = ["CAPABILITY_IAM"]
  parameters   = { for name, value in local.parameters : name => value if value != null }
  tags         = merge({ project = var.project == null ? var.stack_name : var.project }, var.tags)
}

output "outputs" {
  description = "The stack's outputs, by name"
  value       = aws_cloudformation_stack.tagfleet.outputs
}
