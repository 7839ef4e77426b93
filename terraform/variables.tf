variable "run" {
  description = "The run id. Every name derives from it, so that what is left can be found without this state."
  type        = string

  validation {
    condition     = can(regex("^sp-[0-9a-z]{10}$", var.run))
    error_message = "The run id must be `sp-` followed by ten lower-case letters or digits."
  }
}

variable "region" {
  description = "The AWS region the fleet runs in."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2,}(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "The region must be written like `eu-central-1`."
  }
}

variable "vpc_id" {
  description = "The VPC whose subnets the tasks run in."
  type        = string

  validation {
    condition     = startswith(var.vpc_id, "vpc-")
    error_message = "The VPC must be an id that begins with `vpc-`."
  }
}

variable "cpu" {
  description = "CPU of one task, in Fargate units: 1024 is one vCPU."
  type        = number

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.cpu)
    error_message = "The CPU must be a size Fargate offers: 256, 512, 1024, 2048, 4096, 8192 or 16384 units."
  }
}

variable "memory" {
  description = "Memory of one task, in MiB."
  type        = number

  validation {
    condition     = var.memory >= 512 && var.memory <= 122880 && floor(var.memory) == var.memory
    error_message = "The memory must be a whole number of MiB between 512 and 122880."
  }
}

variable "arch" {
  description = "CPU architecture of the generator's image."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.arch)
    error_message = "The architecture must be X86_64 or ARM64."
  }
}

variable "image" {
  description = "Full reference of a ready image; empty for the one pushed into the run's own repository."
  type        = string
  default     = ""
}

variable "image_digest" {
  description = "Digest of the image in the run's own repository, used when `image` is empty."
  type        = string
  default     = ""

  validation {
    condition     = var.image_digest == "" || can(regex("^sha256:[0-9a-f]{64}$", var.image_digest))
    error_message = "The image digest must be `sha256:` followed by 64 hexadecimal digits."
  }
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds both roles; empty for none. It must exist: `spikeproof permissions boundary` prints it."
  type        = string
  default     = ""

  validation {
    condition     = var.permissions_boundary == "" || can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/", var.permissions_boundary))
    error_message = "The permissions boundary must be the ARN of a policy, like `arn:aws:iam::123456789012:policy/spikeproof-boundary`."
  }
}

variable "execution_role" {
  description = "ARN of a ready execution role; empty for one of the run's own. With both roles given, nothing is written to IAM."
  type        = string
  default     = ""

  validation {
    condition     = var.execution_role == "" || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/", var.execution_role))
    error_message = "The execution role must be the ARN of a role, like `arn:aws:iam::123456789012:role/spikeproof-execution`."
  }
}

variable "task_role" {
  description = "ARN of a ready role for the tasks; empty for one of the run's own."
  type        = string
  default     = ""

  validation {
    condition     = var.task_role == "" || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/", var.task_role))
    error_message = "The task role must be the ARN of a role, like `arn:aws:iam::123456789012:role/spikeproof-task`."
  }
}

variable "tags" {
  description = "Tags for everything the run makes, beside `spikeproof:run`."
  type        = map(string)
  default     = {}
}
