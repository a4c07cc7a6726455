/* identity.h: who is asking, as every layer sees it. Made by the auth manager only (managers/auth/auth.h). [any] */
#ifndef BASE_IDENTITY_H
#define BASE_IDENTITY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define IDENTITY_NOBODY 0
#define IDENTITY_ROOT 1 /* the root key's identity */

/* Immutable once given out, but for what `removed` points to; lives as long as the auth manager. */
struct identity {
	uint64_t id;
	const char *name;       /* "root", "anna"; "" for nobody */
	const char *display_id; /* S3's canonical user id: 64 hex digits */
	bool admin;             /* may do everything, and call administration */
	/* What the access key that was used is limited to; NULL: not limited. */
	const char *scope_bucket;
	const char *scope_prefix;
	bool scope_read_only;
	const atomic_bool *removed; /* he was removed meanwhile; one for all that was made of him. NULL: he cannot be */
	const atomic_bool *key_removed; /* so was the access key that he came with. NULL: with none, or with the root key */
};

/* He, or his access key. */
static inline bool
identity_is_removed(const struct identity *who)
{
	return (who->removed && atomic_load(who->removed)) || (who->key_removed && atomic_load(who->key_removed));
}

#endif
