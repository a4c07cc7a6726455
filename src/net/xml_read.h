/*
 * xml_read.h: an XML document, read into a small tree of elements. A pure function over a whole document. [any]
 *
 * libxml2's SAX parser builds it: no entity but the five of XML, no DTD, nothing loaded from anywhere. Attributes and
 * namespaces are ignored, as S3 does.
 */
#ifndef NET_XML_READ_H
#define NET_XML_READ_H

#include "base/arena.h"
#include "base/bytes.h"

struct xml_element {
	struct bytes name; /* without its prefix */
	struct bytes text; /* its own characters, entities resolved, in one piece */
	struct xml_element *first_child;
	struct xml_element *last_child;
	struct xml_element *next; /* sibling */
	struct xml_element *parent;
};

struct xml_limits {
	size_t bytes;
	size_t depth;
	size_t elements;
};

/* Into the arena. False: `problem` says why the document is none, or outside the limits. */
bool xml_parse(struct arena *arena, struct bytes document, const struct xml_limits *limits, struct xml_element **root,
	const char **problem);
/* The first child of that name, or NULL. */
struct xml_element *xml_child(const struct xml_element *parent, const char *name);
/* Nothing but blanks as XML has them; without those at both ends. */
bool xml_is_blank(struct bytes text);
struct bytes xml_trim(struct bytes text);

#endif
