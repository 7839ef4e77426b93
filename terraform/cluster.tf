# The cluster costs nothing. spikeproof starts the tasks, never terraform, so no failure of terraform costs money.
resource "aws_ecs_cluster" "run" {
  name = local.cluster

  setting {
    name  = "containerInsights"
    value = "disabled"
  }
}
