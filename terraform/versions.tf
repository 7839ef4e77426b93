# One provider in one exact version, so that the tested version is the one that runs.
terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }

  # The local backend saves after every resource; a remote one may lag 20 s and leave a lock behind.
  # The path is given at init, so that the state lies in the run's folder.
  backend "local" {}
}

provider "aws" {
  region = var.region

  # This version of the provider knows no region that is newer. AWS refuses one that does not exist.
  skip_region_validation = true

  default_tags {
    tags = merge(var.tags, { "spikeproof:run" = var.run })
  }
}
