# The cluster costs nothing. spikeproof starts the tasks, never terraform, so no failure of terraform costs money.
resource "aws_ecs_cluster" "run" {
  # checkov:skip=CKV_AWS_65:insights cost extra, and the generators measure themselves

  name = local.cluster

  setting {
    name  = "containerInsights"
    value = "disabled"
  }
}
