"""Versions in a bucket, of any S3 server that honours If-None-Match and If-Match: AWS, MinIO, Ceph and others.

The only package that knows the client, which comes with the extra ``store``.
"""

from htr.versions.s3.objects import S3Objects

__all__ = ["S3Objects"]
