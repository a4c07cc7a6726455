"""What several tests say about answers."""
import contextlib
import hashlib

import botocore.exceptions
import pytest


@contextlib.contextmanager
def refused(status, code=None):
    """The block's call is answered with this error. HEAD has no body, so its code is the status."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        yield caught
    answer = caught.value.response
    seen = (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"])
    assert seen == (status, code if code else seen[1]), answer


def etag(body):
    return '"%s"' % hashlib.md5(body).hexdigest()


def all_keys(s3, bucket, **parameters):
    """Every key, page by page."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, **parameters)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]
