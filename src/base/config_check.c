/* config_check.c: see config_check.h. [init] */
#include "base/config_check.h"
#include "base/bytes.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

enum { HOST_MOST = 253, LABEL_MOST = 63, REGION_MOST = 63 }; /* RFC 1035, 2.3.4; ours */

static bool
is_ipv6(struct bytes host)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;
	/* RFC 4007, 11: behind it the zone. */
	size_t len = bytes_find(host, '%', 0);

	if (len == SIZE_MAX)
		len = host.len;
	if (len >= sizeof(text))
		return false;
	memcpy(text, host.data, len);
	text[len] = '\0';
	return inet_pton(AF_INET6, text, &address) == 1;
}

/* "host:port", "[v6]:port", ":port", "*:port" */
static bool
is_address(const char *value)
{
	const char *colon = strrchr(value, ':');
	size_t len = colon ? (size_t)(colon - value) : 0;
	uint64_t port;

	if (!colon || strlen(colon + 1) > 5 || !bytes_to_u64(bytes_str(colon + 1), &port) || port > UINT16_MAX)
		return false;
	if (len >= 2 && value[0] == '[' && colon[-1] == ']')
		return is_ipv6(bytes_of(value + 1, len - 2));
	if (len <= HOST_MOST && strspn(value, ALNUM "-._") == len)
		return true;
	return (len == 1 && value[0] == '*') || is_ipv6(bytes_of(value, len));
}

static bool
is_region(const char *value)
{
	size_t len = strlen(value);

	return len > 0 && len <= REGION_MOST && strspn(value, ALNUM "-._") == len;
}

/* Labels with dots between them; the last is no number, as in an address. */
static bool
is_host_name(const char *value)
{
	const char *label = value;

	if (strlen(value) > HOST_MOST)
		return false;
	for (;; label++) {
		size_t len = strspn(label, ALNUM "-_");

		if (len == 0 || len > LABEL_MOST || label[0] == '-' || label[len - 1] == '-')
			return false;
		if (label[len] == '\0')
			return strspn(label, "0123456789") != len;
		if (label[len] != '.')
			return false;
		label += len;
	}
}

static bool
is_word_of(const char *words, const char *value)
{
	size_t len;

	for (; *words; words += strspn(words, " ")) {
		len = strcspn(words, " ");
		if (strlen(value) == len && memcmp(words, value, len) == 0)
			return true;
		words += len;
	}
	return false;
}

bool
config_text_is_legal(enum config_kind kind, const char *words, const char *value)
{
	switch (kind) {
	case CONFIG_KIND_PATH:
		return value[0] != '\0';
	case CONFIG_KIND_FILE:
		return true;
	case CONFIG_KIND_ADDRESS:
		return is_address(value);
	case CONFIG_KIND_REGION:
		return is_region(value);
	case CONFIG_KIND_DOMAIN:
		return value[0] == '\0' || is_host_name(value);
	case CONFIG_KIND_WORD:
		return is_word_of(words, value);
	}
	return false;
}

/* "a b c" as "a, b or c". */
static const char *
list_words(const char *words, char out[CONFIG_LEGAL_BYTES])
{
	size_t at = 0;

	out[0] = '\0';
	while (*words && at < CONFIG_LEGAL_BYTES) {
		int len = (int)strcspn(words, " ");
		const char *next = words + len + strspn(words + len, " ");

		at += (size_t)snprintf(out + at, CONFIG_LEGAL_BYTES - at, "%s%.*s",
			at == 0 ? ""
			: *next ? ", "
				: " or ",
			len, words);
		words = next;
	}
	return out;
}

const char *
config_text_legal(enum config_kind kind, const char *words, char out[CONFIG_LEGAL_BYTES])
{
	static const char *const legal[] = {
		[CONFIG_KIND_PATH] = "a path",
		[CONFIG_KIND_FILE] = "a path, or empty",
		[CONFIG_KIND_ADDRESS] = "HOST:PORT",
		[CONFIG_KIND_REGION] = "1 to 63 letters, digits, dots, hyphens and underscores",
		[CONFIG_KIND_DOMAIN] = "a host name, or empty",
	};

	return kind == CONFIG_KIND_WORD ? list_words(words, out) : legal[kind];
}
