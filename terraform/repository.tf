# The generator's image: this very binary, pushed by spikeproof after apply and pinned by digest.
resource "aws_ecr_repository" "generator" {
  name                 = local.repository
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true
}
