/*
 * auth_names.c: what names, access keys and secrets may look like, and how new ones are made. Pure functions. [any]
 *
 * Access keys stand in "Credential=KEY/date/..." and in query strings, so they hold nothing that either would have to
 * escape. Generated secrets are letters and digits only: some clients mishandle '/' and '+'.
 */
#include "base/clock.h"
#include "managers/auth/auth_int.h"

static bool
is_word(struct bytes text)
{
	size_t i;

	for (i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
			    c == '_' || c == '-'))
			return false;
	}
	return true;
}

bool
user_name_is_valid(struct bytes name)
{
	return name.len >= 1 && name.len <= USER_NAME_MAX && is_word(name);
}

bool
access_key_is_valid(struct bytes text)
{
	return text.len >= ACCESS_KEY_MIN && text.len <= ACCESS_KEY_MAX && is_word(text);
}

bool
secret_is_valid(struct bytes text)
{
	size_t i;

	if (text.len < SECRET_MIN || text.len > SECRET_MAX)
		return false;
	for (i = 0; i < text.len; i++)
		if (text.data[i] <= ' ' || text.data[i] > '~')
			return false;
	return true;
}

/* Characters of `alphabet`, each equally likely: random bytes beyond the last whole multiple of its size are thrown
 * away. */
static void
generate(const char *alphabet, char *out, size_t len)
{
	size_t count = strlen(alphabet), limit = 256 - 256 % count, done = 0;

	while (done < len) {
		uint8_t random[64];
		size_t i;

		random_bytes(random, sizeof(random));
		for (i = 0; i < sizeof(random) && done < len; i++)
			if (random[i] < limit)
				out[done++] = alphabet[random[i] % count];
		explicit_bzero(random, sizeof(random));
	}
	out[len] = '\0';
}

void
access_key_generate(char *out, size_t len)
{
	generate("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", out, len);
}

void
secret_generate(char *out, size_t len)
{
	generate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", out, len);
}
