# The definition of one generator. The image sets the command `spikeproof generate` and a numeric user.
resource "aws_ecs_task_definition" "generator" {
  family                   = local.family
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  execution_role_arn       = local.execution_role_arn
  task_role_arn            = local.task_role_arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.arch
  }

  container_definitions = jsonencode([{
    name                   = "generator"
    image                  = var.image != "" ? var.image : "${aws_ecr_repository.generator.repository_url}@${var.image_digest}"
    essential              = true
    readonlyRootFilesystem = true
    stopTimeout            = 30
    ulimits                = [{ name = "nofile", softLimit = 65535, hardLimit = 65535 }]

    environment = [
      { name = "SPIKEPROOF_CHANNEL", value = "s3://${aws_s3_bucket.channel.bucket}/run" },
      { name = "SPIKEPROOF_RUN", value = var.run },
    ]

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.run.name
        "awslogs-region"        = var.region
        "awslogs-stream-prefix" = "task"
      }
    }
  }])

  lifecycle {
    precondition {
      condition     = var.image != "" || var.image_digest != ""
      error_message = "Either `image` or `image_digest` must be given."
    }
  }
}
