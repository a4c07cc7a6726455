/*
 * s3_xml_read.h: the XML documents that S3 clients send, read into the request's arena. Pure functions over a whole
 * document. [any]
 *
 * At most 8 MiB, 8 levels and 100,000 elements. Document shapes: Amazon S3 API reference, "Data types".
 */
#ifndef DOORS_S3_S3_XML_READ_H
#define DOORS_S3_S3_XML_READ_H

#include "base/request.h"
#include "net/xml_read.h"

#define S3_XML_BYTES_MAX (8 * 1024 * 1024) /* 1,000 keys of 1,024 bytes, each of them written as &quot; */
#define S3_XML_DEPTH_MAX 8
#define S3_XML_ELEMENTS_MAX 100000
#define S3_DELETE_KEYS_MAX 1000
#define S3_PARTS_MAX 10000
#define S3_CORS_RULES_MAX 100

/* MALFORMED_XML unless the document is well-formed, inside the limits, and its root is called `root_name`. */
RFS_MUST_CHECK enum rfs_err s3_xml_parse(
	struct request *rq, struct bytes document, const char *root_name, struct xml_element **root);

/* An optional field has data NULL when its element did not come. */
struct s3_delete_key {
	struct bytes key;
	struct bytes version_id;
	struct bytes etag;               /* conditions; of these three at most what the client sent */
	struct bytes last_modified_time; /* as text */
	struct bytes size;               /* as text */
};

struct s3_delete {
	struct s3_delete_key *keys;
	size_t count; /* 1 to S3_DELETE_KEYS_MAX */
	bool quiet;
};

/* DeleteObjects. MALFORMED_XML. */
RFS_MUST_CHECK enum rfs_err s3_xml_read_delete(struct request *rq, struct bytes document, struct s3_delete *out);

struct s3_completed_part {
	uint32_t number;             /* 1 to 10,000; whether they ascend is the verb's to say (InvalidPartOrder) */
	struct bytes etag;           /* without quotes */
	struct bytes checksum_crc32; /* base64, as sent; this and the next four may have data NULL */
	struct bytes checksum_crc32c;
	struct bytes checksum_crc64nvme;
	struct bytes checksum_sha1;
	struct bytes checksum_sha256;
};

struct s3_complete_upload {
	struct s3_completed_part *parts;
	size_t count; /* 1 to S3_PARTS_MAX */
};

/* CompleteMultipartUpload. MALFORMED_XML, INVALID_ARGUMENT (part number). */
RFS_MUST_CHECK enum rfs_err s3_xml_read_complete_upload(
	struct request *rq, struct bytes document, struct s3_complete_upload *out);

/* CreateBucketConfiguration. NOT_IMPLEMENTED: Location, Bucket or Tags. An empty document is legal: data NULL. */
RFS_MUST_CHECK enum rfs_err s3_xml_read_create_bucket(
	struct request *rq, struct bytes document, struct bytes *location_constraint);

struct s3_cors_rule {
	struct bytes id;
	struct bytes *origins, *methods, *headers, *expose_headers;
	size_t origin_count, method_count, header_count, expose_header_count;
	int64_t max_age_seconds; /* -1: not given */
};

struct s3_cors {
	struct s3_cors_rule *rules;
	size_t count; /* 1 to S3_CORS_RULES_MAX */
};

/* CORSConfiguration. MALFORMED_XML, INVALID_REQUEST (a method that CORS does not know, more than one '*', one in ExposeHeader). */
RFS_MUST_CHECK enum rfs_err s3_xml_read_cors(struct request *rq, struct bytes document, struct s3_cors *out);

#endif
