terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

resource "aws_ecs_cluster" "run" { name = "lab-run" }

resource "aws_ecr_repository" "run" {
  name         = "lab/run"
  force_delete = true
}

resource "aws_s3_bucket" "run" {
  bucket        = "lab-run"
  force_destroy = true
}

resource "aws_iam_role" "run" {
  name = "lab-run"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ecs-tasks.amazonaws.com" } }]
  })
}

data "aws_vpc" "default" { default = true }

resource "aws_security_group" "run" {
  name   = "lab-run"
  vpc_id = data.aws_vpc.default.id
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_cloudwatch_log_group" "run" { name = "/lab/run" }

resource "aws_ecs_task_definition" "run" {
  family                   = "lab-run"
  network_mode             = "awsvpc"
  requires_compatibilities = ["FARGATE"]
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.run.arn
  container_definitions    = jsonencode([{ name = "generator", image = "${aws_ecr_repository.run.repository_url}:v1" }])
}
