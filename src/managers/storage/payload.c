/* payload.c: a block's frames, made where it takes nobody's turn; see storage_int.h. */
#include "managers/storage/storage_int.h"
#include <stdlib.h>

struct framing {
	const struct slice *parts;
	size_t count, len;
	bool compress;
	struct payload *out;
};

static void
frame(void *data)
{
	struct framing *f = data;

	f->out->count = frames_build(f->parts, f->count, f->len, f->compress, f->out->slices, &f->out->bytes);
}

void
payload_build(struct storage *s, const struct slice *parts, size_t count, size_t len, bool compress, struct payload *out)
{
	struct framing framing = { parts, count, len, compress, out };

	out->slices = xcalloc(frames_slices_max(count, len), sizeof(*out->slices));
	compute_run(s->compute, len, frame, &framing);
}

void
payload_clear(struct payload *p)
{
	for (size_t i = 0; i < p->count; i++)
		slice_unref(&p->slices[i]);
	free(p->slices);
	*p = (struct payload){ 0 };
}
