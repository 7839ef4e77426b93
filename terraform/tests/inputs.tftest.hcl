# Each input refuses a bad value before anything is created.

mock_provider "aws" {}

variables {
  run          = "sp-0123456789"
  region       = "eu-central-1"
  vpc_id       = "vpc-0123456789abcdef0"
  cpu          = 1024
  memory       = 2048
  image_digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
}

run "a_run_id_has_ten_characters" {
  command = plan

  variables {
    run = "sp-012345678"
  }

  expect_failures = [var.run]
}

run "a_run_id_is_lower_case" {
  command = plan

  variables {
    run = "sp-ABCDEFGHIJ"
  }

  expect_failures = [var.run]
}

run "a_run_id_has_its_prefix" {
  command = plan

  variables {
    run = "0123456789"
  }

  expect_failures = [var.run]
}

run "a_region_is_no_zone" {
  command = plan

  variables {
    region = "eu-central-1a"
  }

  expect_failures = [var.region]
}

run "a_region_is_not_empty" {
  command = plan

  variables {
    region = ""
  }

  expect_failures = [var.region]
}

run "a_vpc_is_an_id" {
  command = plan

  variables {
    vpc_id = "subnet-0123456789abcdef0"
  }

  expect_failures = [var.vpc_id]
}

run "a_cpu_is_a_size_of_fargate" {
  command = plan

  variables {
    cpu = 1000
  }

  expect_failures = [var.cpu]
}

run "memory_is_not_too_small" {
  command = plan

  variables {
    memory = 511
  }

  expect_failures = [var.memory]
}

run "memory_is_not_too_large" {
  command = plan

  variables {
    memory = 122881
  }

  expect_failures = [var.memory]
}

run "memory_is_whole" {
  command = plan

  variables {
    memory = 1024.5
  }

  expect_failures = [var.memory]
}

run "an_architecture_is_one_of_two" {
  command = plan

  variables {
    arch = "arm64"
  }

  expect_failures = [var.arch]
}

run "a_digest_has_its_algorithm" {
  command = plan

  variables {
    image_digest = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
  }

  expect_failures = [var.image_digest]
}

run "a_digest_has_64_digits" {
  command = plan

  variables {
    image_digest = "sha256:aaaa"
  }

  expect_failures = [var.image_digest]
}

run "one_of_image_and_digest_is_given" {
  command = plan

  variables {
    image_digest = ""
  }

  expect_failures = [aws_ecs_task_definition.generator]
}

run "a_boundary_is_the_arn_of_a_policy" {
  command = plan

  variables {
    permissions_boundary = "spikeproof-boundary"
  }

  expect_failures = [var.permissions_boundary]
}

run "an_execution_role_is_an_arn" {
  command = plan

  variables {
    execution_role = "spikeproof-execution"
  }

  expect_failures = [var.execution_role]
}

run "a_task_role_is_the_arn_of_a_role" {
  command = plan

  variables {
    task_role = "arn:aws:iam::123456789012:user/somebody"
  }

  expect_failures = [var.task_role]
}
