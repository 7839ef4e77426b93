# Messages of generators that cannot use the channel. The retention of one day is the safety net below destroy.
resource "aws_cloudwatch_log_group" "run" {
  # checkov:skip=CKV_AWS_158:no secret is logged, and a deleted key stays for seven days or more
  # checkov:skip=CKV_AWS_338:a run deletes its log; one day is for what a failed destroy leaves

  name              = local.log_group
  retention_in_days = 1
}
