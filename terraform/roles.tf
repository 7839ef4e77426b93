# Two roles: `execution` lets Fargate fetch the image and write the log, `task` lets the generator use the channel.
# Policies are inline, so that nothing attached outlives its role. A role that is given is used as it is, and not made.
locals {
  execution_role_arn = var.execution_role != "" ? var.execution_role : one(aws_iam_role.execution[*].arn)
  task_role_arn      = var.task_role != "" ? var.task_role : one(aws_iam_role.task[*].arn)
  boundary           = var.permissions_boundary != "" ? var.permissions_boundary : null

  # arn:PARTITION:logs:REGION:ACCOUNT:log-group:NAME, read from a resource: a data source that fails blocks destroy.
  partition = split(":", aws_cloudwatch_log_group.run.arn)[1]
  account   = split(":", aws_cloudwatch_log_group.run.arn)[4]

  trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      # Only tasks of this account and region: no other account's ECS can borrow the role.
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:ecs:${var.region}:${local.account}:*" }
      }
    }]
  })
}

resource "aws_iam_role" "execution" {
  count = var.execution_role == "" ? 1 : 0

  name                  = local.execution_role
  path                  = local.role_path
  permissions_boundary  = local.boundary
  assume_role_policy    = local.trust
  force_detach_policies = true
}

resource "aws_iam_role_policy" "execution" {
  count = var.execution_role == "" ? 1 : 0

  name = "execution"
  role = aws_iam_role.execution[0].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
        Resource = "*"
      },
      {
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]
        Resource = aws_ecr_repository.generator.arn
      },
      {
        # Without CreateLogGroup a late line cannot bring a deleted group back.
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.run.arn}:*"
      },
    ]
  })
}

resource "aws_iam_role" "task" {
  count = var.task_role == "" ? 1 : 0

  name                  = local.task_role
  path                  = local.role_path
  permissions_boundary  = local.boundary
  assume_role_policy    = local.trust
  force_detach_policies = true
}

resource "aws_iam_role_policy" "task" {
  count = var.task_role == "" ? 1 : 0

  name = "channel"
  role = aws_iam_role.task[0].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Orders from the orchestrator to the tasks. The secrets are a separate object that exists only while tasks start.
        Effect = "Allow"
        Action = "s3:GetObject"
        Resource = [
          "${aws_s3_bucket.channel.arn}/run/plan.json",
          "${aws_s3_bucket.channel.arn}/run/secrets.json",
          "${aws_s3_bucket.channel.arn}/run/files/*",
          "${aws_s3_bucket.channel.arn}/run/control.json",
        ]
      },
      {
        Effect   = "Allow"
        Action   = "s3:PutObject"
        Resource = "${aws_s3_bucket.channel.arn}/run/tasks/*"
      },
      {
        # Without this action S3 answers 403 instead of 404 for a missing key.
        Effect   = "Allow"
        Action   = "s3:ListBucket"
        Resource = aws_s3_bucket.channel.arn
      },
    ]
  })
}
