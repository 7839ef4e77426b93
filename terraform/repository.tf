# The generator image contains the same `spikeproof` binary. spikeproof pushes it after apply and pins its digest.
resource "aws_ecr_repository" "generator" {
  name                 = local.repository
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true
}
