# Every name derives from the run id. `src/provision/journal/names.rs` has the same names; a test keeps both equal.
locals {
  cluster        = var.run
  family         = var.run
  repository     = "spikeproof/${var.run}"
  security_group = var.run
  log_group      = "/spikeproof/${var.run}"
  execution_role = "${var.run}-execution"
  task_role      = "${var.run}-task"
  bucket         = "spikeproof-${var.run}"
  role_path      = "/spikeproof/"
}
