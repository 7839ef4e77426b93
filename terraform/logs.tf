# What generators say when they cannot speak through the channel. One day is the net below destroy.
resource "aws_cloudwatch_log_group" "run" {
  name              = local.log_group
  retention_in_days = 1
}
