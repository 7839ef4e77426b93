# No inbound access. A task reaches the target, S3, ECR and the logs.
resource "aws_security_group" "tasks" {
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
