/* config_check.h: what the text of an option may be, by its kind in options.def; for config.c only. [init] */
#ifndef BASE_CONFIG_CHECK_H
#define BASE_CONFIG_CHECK_H

#include <stdbool.h>

enum config_kind {
	CONFIG_KIND_PATH,
	CONFIG_KIND_FILE, /* a path, or empty: none */
	CONFIG_KIND_ADDRESS,
	CONFIG_KIND_REGION,
	CONFIG_KIND_DOMAIN, /* or empty: none */
	CONFIG_KIND_WORD,   /* one of those of a list, with spaces between them */
};

#define CONFIG_LEGAL_BYTES 96

/* `words` as above; else "". */
bool config_text_is_legal(enum config_kind kind, const char *words, const char *value);
/* What would be: "HOST:PORT", "text or json". */
const char *config_text_legal(enum config_kind kind, const char *words, char out[CONFIG_LEGAL_BYTES]);

#endif
