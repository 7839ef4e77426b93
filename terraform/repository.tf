# The generator image contains the same `spikeproof` binary. spikeproof pushes it after apply and pins its digest.
resource "aws_ecr_repository" "generator" {
  # checkov:skip=CKV_AWS_136:the image holds a public program, and a deleted key stays for seven days or more
  # checkov:skip=CKV_AWS_163:the image is one static binary without packages, and lives as long as the run

  name                 = local.repository
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true
}
