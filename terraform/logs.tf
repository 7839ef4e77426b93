# Messages of generators that cannot use the channel. The retention of one day is the safety net below destroy.
resource "aws_cloudwatch_log_group" "run" {
  name              = local.log_group
  retention_in_days = 1
}
