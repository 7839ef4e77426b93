output "cluster" {
  description = "Name of the cluster the tasks run in."
  value       = aws_ecs_cluster.run.name
}

output "task_definition" {
  description = "ARN of the generator's task definition, with its revision."
  value       = aws_ecs_task_definition.generator.arn
}

output "security_group" {
  description = "Id of the tasks' security group."
  value       = aws_security_group.tasks.id
}

output "bucket" {
  description = "Name of the bucket that holds the channel."
  value       = aws_s3_bucket.channel.bucket
}

output "repository_url" {
  description = "Where the generator's image is pushed."
  value       = aws_ecr_repository.generator.repository_url
}

output "log_group" {
  description = "Name of the log group of the tasks."
  value       = aws_cloudwatch_log_group.run.name
}
