/* xml_read.c: see xml_read.h. */
#include "net/xml_read.h"
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <pthread.h>

/* What the SAX callbacks build. */
struct tree {
	struct arena *arena;
	const struct xml_limits *limits;
	xmlParserCtxtPtr parser;
	struct xml_element *root;
	struct xml_element *open; /* the element that we are in; NULL outside the root */
	struct buf text;          /* of `open`, since its start tag; only an element without children keeps it */
	size_t depth;
	size_t count;
	const char *problem; /* why we stopped the parser; NULL: we did not */
};

static void
tree_stop(struct tree *t, const char *problem)
{
	if (!t->problem)
		t->problem = problem;
	xmlStopParser(t->parser);
}

static void
on_start(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int namespace_count,
	const xmlChar **namespaces, int attribute_count, int default_count, const xmlChar **attributes)
{
	struct tree *t = context;
	struct xml_element *e;

	if (t->problem)
		return;
	if (++t->depth > t->limits->depth || ++t->count > t->limits->elements) {
		tree_stop(t, "there are too many elements, or too deep ones");
		return;
	}
	if (!xml_is_blank(buf_bytes(&t->text))) {
		tree_stop(t, "there is text between elements");
		return;
	}
	t->text.len = 0;
	e = ARENA_NEW(t->arena, struct xml_element);
	e->name = arena_copy(t->arena, bytes_str((const char *)name));
	e->parent = t->open;
	if (!t->open)
		t->root = e;
	else if (t->open->last_child)
		t->open->last_child->next = e;
	else
		t->open->first_child = e;
	if (t->open)
		t->open->last_child = e;
	t->open = e;
}

static void
on_end(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
	struct tree *t = context;

	if (t->problem || !t->open)
		return;
	if (!t->open->first_child)
		t->open->text = arena_copy(t->arena, buf_bytes(&t->text));
	else if (!xml_is_blank(buf_bytes(&t->text)))
		tree_stop(t, "there is text between elements");
	t->text.len = 0;
	t->open = t->open->parent;
	t->depth--;
}

static void
on_characters(void *context, const xmlChar *text, int len)
{
	struct tree *t = context;

	if (!t->problem && len > 0)
		buf_put(&t->text, text, (size_t)len);
}

static void
on_dtd(void *context, const xmlChar *name, const xmlChar *external_id, const xmlChar *system_id)
{
	tree_stop(context, "a DTD is not allowed");
}

/* &amp; and its four kin; no other entity exists without a DTD. */
static xmlEntityPtr
on_entity(void *context, const xmlChar *name)
{
	return xmlGetPredefinedEntity(name);
}

/* libxml2 would print to standard error. */
static void
on_error(void *context, xmlErrorPtr error)
{
}

static pthread_once_t parser_once = PTHREAD_ONCE_INIT;

/* The daemon aborts on a failed small allocation; libxml2 would call the document malformed. */
static void
parser_prepare(void)
{
	xmlMemSetup(free, xmalloc, xrealloc, xstrdup);
	xmlInitParser();
}

static bool
tree_parse(struct tree *t, struct bytes document)
{
	xmlSAXHandler handler = {
		.initialized = XML_SAX2_MAGIC,
		.startElementNs = on_start,
		.endElementNs = on_end,
		.characters = on_characters,
		.ignorableWhitespace = on_characters,
		.cdataBlock = on_characters,
		.internalSubset = on_dtd,
		.getEntity = on_entity,
		.serror = on_error,
	};
	bool is_ok;

	pthread_once(&parser_once, parser_prepare);
	t->parser = xmlCreateMemoryParserCtxt((const char *)document.data, (int)document.len);
	if (!t->parser)
		return false;
	xmlCtxtUseOptions(t->parser, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	*t->parser->sax = handler;
	t->parser->userData = t;
	xmlParseDocument(t->parser);
	is_ok = t->parser->wellFormed && !t->problem && t->root && !t->open;
	/* Without a tree-building handler there is none, but for what xmlSAX2StartDocument would have made. */
	if (t->parser->myDoc)
		xmlFreeDoc(t->parser->myDoc);
	t->parser->myDoc = NULL;
	xmlFreeParserCtxt(t->parser);
	return is_ok;
}

bool
xml_parse(struct arena *arena, struct bytes document, const struct xml_limits *limits, struct xml_element **root,
	const char **problem)
{
	struct tree t = {.arena = arena, .limits = limits};
	bool is_ok;

	*root = NULL;
	if (document.len == 0 || document.len > limits->bytes) {
		*problem = document.len ? "it is too long" : "it is empty";
		return false;
	}
	buf_init(&t.text, NULL);
	is_ok = tree_parse(&t, document);
	buf_fini(&t.text);
	*problem = t.problem ? t.problem : "it is not well-formed";
	if (is_ok)
		*root = t.root;
	return is_ok;
}

bool
xml_is_blank(struct bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (!memchr(" \t\r\n", text.data[i], 4))
			return false;
	}
	return true;
}

struct bytes
xml_trim(struct bytes v)
{
	while (v.len > 0 && xml_is_blank(bytes_sub(v, 0, 1)))
		v = bytes_sub(v, 1, v.len - 1);
	while (v.len > 0 && xml_is_blank(bytes_sub(v, v.len - 1, 1)))
		v.len--;
	return v;
}

struct xml_element *
xml_child(const struct xml_element *parent, const char *name)
{
	for (struct xml_element *e = parent->first_child; e; e = e->next) {
		if (bytes_equal_str(e->name, name))
			return e;
	}
	return NULL;
}
