"""Objects that S3 refuses, and objects that are encrypted with a KMS key: a part of an object's key selects the kind.

    /403-           403 AccessDenied, as an object of another account or a policy that denies it
    /sse-c-         400 InvalidRequest, as an object that is encrypted with a key of its owner's
    /kms-disabled-  400 KMS.DisabledException
    /kms-           the answer has the headers of SSE-KMS without a Bucket Key: each GET is a request to KMS
    /kms-bucket-    the answer has the headers of SSE-KMS with a Bucket Key

It decides nothing else about a request, and writes nothing.
"""

from ministack import app
from ministack.core.router import detect_service

_REFUSED = {
    "/403-": (403, "AccessDenied", "Access Denied"),
    "/sse-c-": (400, "InvalidRequest", "The object was stored using a form of Server Side Encryption. The correct "
                                       "parameters must be provided to retrieve the object."),
    "/kms-disabled-": (400, "KMS.DisabledException", "arn:aws:kms:us-east-1:000000000000:key/1 is disabled."),
}
_ERROR = "<Error><Code>%s</Code><Message>%s</Message></Error>"
_KMS = {"x-amz-server-side-encryption": "aws:kms"}
_BUCKET_KEY = {"x-amz-server-side-encryption-bucket-key-enabled": "true"}

_next = None


async def dispatch(method, path, headers, body, parameters, request_id):
    """Every request but those of SES v2."""
    reads = method in ("GET", "HEAD") and detect_service(
        method, path, headers, app._routing_params(method, path, headers, body, parameters)) == "s3"
    if reads:
        for part, (status, code, message) in _REFUSED.items():
            if part in path:
                error = b"" if method == "HEAD" else (_ERROR % (code, message)).encode()
                return status, {"Content-Type": "application/xml", "x-amz-request-id": request_id}, error
    status, answered, content = await _next(method, path, headers, body, parameters, request_id)
    if reads and "/kms-" in path and status == 200:
        answered = {**answered, **_KMS, **(_BUCKET_KEY if "/kms-bucket-" in path else {})}
    return status, answered, content


def install():
    """Handles requests before everything that is installed already."""
    global _next
    _next = app._dispatch_service_request
    app._dispatch_service_request = dispatch
