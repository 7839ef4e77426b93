# The channel between orchestrator and generators. No versioning: deleting would leave the versions.
resource "aws_s3_bucket" "channel" {
  # checkov:skip=CKV_AWS_18:a log of access needs another bucket, and would outlive the run
  # checkov:skip=CKV_AWS_21:deleting would leave the versions, of secrets too
  # checkov:skip=CKV_AWS_144:a run lives in one region, for minutes
  # checkov:skip=CKV_AWS_145:S3 encrypts with its own key; one of ours would stay for seven days or more
  # checkov:skip=CKV2_AWS_62:tasks poll; nothing would hear an event

  bucket        = local.bucket
  force_destroy = true

  # The safety net below destroy: S3 deletes forgotten objects after a day. kept/changes.json is not among them: it has
  # the settings of a changed group, and is needed until the group is as before. This block is deprecated in favour of
  # a separate lifecycle resource, but that resource waits 55 s for S3 to become consistent.
  lifecycle_rule {
    id                                     = "expire"
    enabled                                = true
    prefix                                 = "run/"
    abort_incomplete_multipart_upload_days = 1

    expiration {
      days = 1
    }
  }

  # S3 encrypts by default since 2023. The block also covers older accounts and S3 emulators.
  server_side_encryption_configuration {
    rule {
      apply_server_side_encryption_by_default {
        sse_algorithm = "AES256"
      }
    }
  }
}

resource "aws_s3_bucket_public_access_block" "channel" {
  bucket                  = aws_s3_bucket.channel.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "channel" {
  bucket = aws_s3_bucket.channel.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_policy" "channel" {
  bucket = aws_s3_bucket.channel.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.channel.arn, "${aws_s3_bucket.channel.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  # S3 refuses two changes of one bucket's access at the same time.
  depends_on = [aws_s3_bucket_public_access_block.channel]
}
