"""The deviations that have a reason. There are no others: check.py fails for whatever is not listed here."""

# Services that describe (nearly) none of their errors in their model.
UNMODELLED_ERRORS = {"ec2", "s3", "sts"}

# Errors that every operation of AWS may answer with, and no model repeats.
# https://docs.aws.amazon.com/ecs/latest/APIReference/CommonErrors.html and its like.
COMMON_ERRORS = {
    "AccessDenied", "AccessDeniedException", "ExpiredToken", "InternalFailure", "RequestExpired", "ServiceUnavailable",
    "Throttling", "ThrottlingException", "ValidationError", "ValidationException",
}

# Operation, request or answer, place, rule (each the whole text), and why it is so.
REASONS = {}


def of(operation, where, place, rule):
    """Returns the reason of a deviation; None if it has none."""
    return REASONS.get((operation, where, place, rule))
