# Costs nothing. Tasks are started by spikeproof itself, never by terraform: so no failure of terraform costs money.
resource "aws_ecs_cluster" "run" {
  name = local.cluster

  setting {
    name  = "containerInsights"
    value = "disabled"
  }
}
