/*
 * xml_write.h: writes S3's XML documents into a buf. [any]
 *
 * Element names are our own literals and are not escaped. Text is: & < > " and carriage return; a character that
 * XML 1.0 forbids is written as a numeric reference (&#x1;), as S3 does without encoding-type=url, and a byte that is
 * no UTF-8 as &#xFFFD;.
 */
#ifndef NET_XML_WRITE_H
#define NET_XML_WRITE_H

#include "base/bytes.h"

#define S3_XML_NAMESPACE "http://s3.amazonaws.com/doc/2006-03-01/"

/* The XML declaration, and the root opened; `is_s3` gives it S3's namespace. */
void xml_start(struct buf *b, const char *root, bool is_s3);
void xml_open(struct buf *b, const char *name);
void xml_close(struct buf *b, const char *name);
/* <name>text</name>, escaped. */
void xml_text(struct buf *b, const char *name, struct bytes text);
void xml_string(struct buf *b, const char *name, const char *text);
void xml_number(struct buf *b, const char *name, int64_t value);
void xml_bool(struct buf *b, const char *name, bool value);
/* 2026-01-31T12:00:00.000Z */
void xml_date(struct buf *b, const char *name, int64_t ns);
/* An ETag, in quotes. */
void xml_etag(struct buf *b, const char *name, struct bytes etag);
/* A key, prefix, delimiter or marker: percent-encoded when the client asked with encoding-type=url ('/' stays), else
 * escaped. */
void xml_key(struct buf *b, const char *name, struct bytes key, bool is_url_encoded);
/* The escaping alone. */
void xml_escape(struct buf *b, struct bytes text);

#endif
