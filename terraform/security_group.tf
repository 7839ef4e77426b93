# No inbound access. A task reaches the target, S3, ECR and the logs.
resource "aws_security_group" "tasks" {
  # checkov:skip=CKV_AWS_382:the target may have any address and port; generators check each address
  # checkov:skip=CKV2_AWS_5:spikeproof starts the tasks that it is attached to, never terraform

  name                   = local.security_group
  description            = "spikeproof generators: no way in, every way out"
  vpc_id                 = var.vpc_id
  revoke_rules_on_delete = true

  egress {
    description      = "The target, and the AWS APIs"
    from_port        = 0
    to_port          = 0
    protocol         = "-1"
    cidr_blocks      = ["0.0.0.0/0"]
    ipv6_cidr_blocks = ["::/0"]
  }

  tags = { Name = local.security_group }
}
