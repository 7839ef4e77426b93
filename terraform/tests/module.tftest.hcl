# The module with a mocked provider: no AWS account, no network. `make module` runs it.
# The tag `spikeproof:run` is a default of the provider, which is a mock here: tests/terraform.rs holds it.

mock_provider "aws" {
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/spikeproof/sp-0123456789" }
  }

  mock_resource "aws_ecr_repository" {
    defaults = {
      arn            = "arn:aws:ecr:eu-central-1:123456789012:repository/spikeproof/sp-0123456789"
      repository_url = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/spikeproof/sp-0123456789"
    }
  }

  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:eu-central-1:123456789012:task-definition/sp-0123456789:1" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/spikeproof/mock" }
  }

  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::spikeproof-sp-0123456789" }
  }

  mock_resource "aws_security_group" {
    defaults = { id = "sg-0123456789abcdef0" }
  }
}

variables {
  run          = "sp-0123456789"
  region       = "eu-central-1"
  vpc_id       = "vpc-0123456789abcdef0"
  cpu          = 2048
  memory       = 4096
  image_digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
}

run "every_name_holds_the_run_id" {
  assert {
    condition = alltrue([
      for name in [
        aws_ecs_cluster.run.name,
        aws_ecs_task_definition.generator.family,
        aws_ecr_repository.generator.name,
        aws_security_group.tasks.name,
        aws_security_group.tasks.tags["Name"],
        aws_cloudwatch_log_group.run.name,
        aws_iam_role.execution[0].name,
        aws_iam_role.task[0].name,
        aws_s3_bucket.channel.bucket,
      ] : strcontains(name, var.run)
    ])
    error_message = "A resource whose name lacks the run id cannot be found without the state."
  }

  assert {
    condition     = aws_iam_role.execution[0].path == "/spikeproof/" && aws_iam_role.task[0].path == "/spikeproof/"
    error_message = "The policies of operator and reaper reach only roles under /spikeproof/."
  }
}

run "the_outputs_name_the_resources" {
  assert {
    condition = (
      output.cluster == "sp-0123456789" &&
      output.task_definition == aws_ecs_task_definition.generator.arn &&
      output.security_group == aws_security_group.tasks.id &&
      output.bucket == "spikeproof-sp-0123456789" &&
      output.repository_url == aws_ecr_repository.generator.repository_url &&
      output.log_group == "/spikeproof/sp-0123456789"
    )
    error_message = "An output names another resource."
  }
}

run "a_task_is_as_large_as_asked" {
  assert {
    condition     = aws_ecs_task_definition.generator.cpu == "2048" && aws_ecs_task_definition.generator.memory == "4096"
    error_message = "CPU or memory of the task are not those of the variables."
  }

  assert {
    condition     = one(aws_ecs_task_definition.generator.runtime_platform).cpu_architecture == "X86_64"
    error_message = "The default architecture is not X86_64."
  }

  assert {
    condition     = aws_ecs_task_definition.generator.requires_compatibilities == toset(["FARGATE"])
    error_message = "The task must be for Fargate only."
  }
}

run "arm_is_possible" {
  variables {
    arch = "ARM64"
  }

  assert {
    condition     = one(aws_ecs_task_definition.generator.runtime_platform).cpu_architecture == "ARM64"
    error_message = "The architecture is not that of the variable."
  }
}

run "the_container_runs_the_pushed_image_on_a_read_only_disk" {
  assert {
    condition = (
      jsondecode(aws_ecs_task_definition.generator.container_definitions)[0].image
      == "${aws_ecr_repository.generator.repository_url}@${var.image_digest}"
    )
    error_message = "The image must be the run's own, by digest."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.generator.container_definitions)[0].readonlyRootFilesystem
    error_message = "The root file system must be read-only."
  }

  assert {
    condition = {
      for variable in jsondecode(aws_ecs_task_definition.generator.container_definitions)[0].environment :
      variable.name => variable.value
      } == {
      SPIKEPROOF_CHANNEL = "s3://spikeproof-sp-0123456789/run"
      SPIKEPROOF_RUN     = "sp-0123456789"
    }
    error_message = "A task's environment holds only its channel and its run: it is visible to everybody who can describe tasks."
  }
}

run "a_ready_image_replaces_the_pushed_one" {
  variables {
    image        = "registry.example.com/generator@sha256:bbbb"
    image_digest = ""
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.generator.container_definitions)[0].image == var.image
    error_message = "The image is not that of the variable."
  }
}

run "the_bucket_is_private_and_goes_with_its_content" {
  assert {
    condition     = aws_s3_bucket.channel.force_destroy && aws_ecr_repository.generator.force_delete
    error_message = "Content must not block a destroy."
  }

  assert {
    condition = (
      aws_s3_bucket_public_access_block.channel.block_public_acls &&
      aws_s3_bucket_public_access_block.channel.block_public_policy &&
      aws_s3_bucket_public_access_block.channel.ignore_public_acls &&
      aws_s3_bucket_public_access_block.channel.restrict_public_buckets
    )
    error_message = "Every public access must be blocked."
  }

  assert {
    condition     = one(aws_s3_bucket_ownership_controls.channel.rule).object_ownership == "BucketOwnerEnforced"
    error_message = "Access lists must be off."
  }

  assert {
    condition = one(jsondecode(aws_s3_bucket_policy.channel.policy).Statement) == {
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = ["arn:aws:s3:::spikeproof-sp-0123456789", "arn:aws:s3:::spikeproof-sp-0123456789/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }
    error_message = "The bucket's policy must deny every access without TLS, and allow nothing."
  }
}

run "forgotten_data_expires_after_a_day" {
  assert {
    condition = (
      one(aws_s3_bucket.channel.lifecycle_rule).enabled &&
      one(aws_s3_bucket.channel.lifecycle_rule).prefix == "run/" &&
      one(one(aws_s3_bucket.channel.lifecycle_rule).expiration).days == 1 &&
      aws_cloudwatch_log_group.run.retention_in_days == 1
    )
    error_message = "Objects below run/ and log lines must expire after a day, and nothing else: the note of a change is needed longer."
  }
}

run "nothing_gets_into_a_task" {
  assert {
    condition     = length(aws_security_group.tasks.ingress) == 0
    error_message = "The security group must allow nothing in."
  }
}

run "only_tasks_of_this_account_and_region_take_the_roles" {
  assert {
    condition = alltrue([
      for role in [aws_iam_role.execution[0], aws_iam_role.task[0]] :
      one(jsondecode(role.assume_role_policy).Statement) == {
        Effect    = "Allow"
        Action    = "sts:AssumeRole"
        Principal = { Service = "ecs-tasks.amazonaws.com" }
        Condition = {
          StringEquals = { "aws:SourceAccount" = "123456789012" }
          ArnLike      = { "aws:SourceArn" = "arn:aws:ecs:eu-central-1:123456789012:*" }
        }
      }
    ])
    error_message = "A role is open to others."
  }
}

# The task's policy is compared with `permissions/generator.json` by tests/permissions.rs.
run "the_roles_allow_little" {
  assert {
    condition = toset(flatten([
      for statement in jsondecode(aws_iam_role_policy.task[0].policy).Statement : statement.Action
    ])) == toset(["s3:GetObject", "s3:PutObject", "s3:ListBucket"])
    error_message = "A task reads its orders, writes its results, and lists the bucket: nothing else, and it deletes nothing."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.task[0].policy).Statement : alltrue([
        for resource in flatten([statement.Resource]) : startswith(resource, aws_s3_bucket.channel.arn)
      ])
    ])
    error_message = "A task reaches no bucket but the run's own."
  }

  assert {
    condition = toset(flatten([
      for statement in jsondecode(aws_iam_role_policy.execution[0].policy).Statement : statement.Action
      if statement.Resource == "*"
    ])) == toset(["ecr:GetAuthorizationToken"])
    error_message = "Only the login to ECR, which has no resource, may be allowed for everything."
  }

  assert {
    condition     = !strcontains(aws_iam_role_policy.execution[0].policy, "logs:CreateLogGroup")
    error_message = "A late log line could bring a deleted group back."
  }
}

run "both_roles_stay_below_the_boundary" {
  variables {
    permissions_boundary = "arn:aws:iam::123456789012:policy/spikeproof-boundary"
  }

  assert {
    condition = alltrue([
      for role in [aws_iam_role.execution[0], aws_iam_role.task[0]] : role.permissions_boundary == var.permissions_boundary
    ])
    error_message = "A role has not the boundary of the variable."
  }
}

run "without_a_boundary_the_roles_have_none" {
  assert {
    condition = alltrue([
      for role in [aws_iam_role.execution[0], aws_iam_role.task[0]] : role.permissions_boundary == null
    ])
    error_message = "A role has a boundary that nobody asked for."
  }
}

run "given_roles_are_used_and_none_is_made" {
  variables {
    execution_role = "arn:aws:iam::123456789012:role/ready/execution"
    task_role      = "arn:aws:iam::123456789012:role/ready/task"
  }

  assert {
    condition = (
      length(aws_iam_role.execution) + length(aws_iam_role.task) == 0 &&
      length(aws_iam_role_policy.execution) + length(aws_iam_role_policy.task) == 0
    )
    error_message = "With both roles given, nothing may be written to IAM."
  }

  assert {
    condition = (
      aws_ecs_task_definition.generator.execution_role_arn == var.execution_role &&
      aws_ecs_task_definition.generator.task_role_arn == var.task_role
    )
    error_message = "The task definition has other roles than the given ones."
  }
}
