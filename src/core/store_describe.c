/* store_describe.c: what each manager, and the driver below them, says of its state; for developers. [worker] */
#include "base/dump.h"
#include "core/core_int.h"

void
store_describe(struct core *core, struct request *rq, struct dump *out)
{
	struct metadata_driver *driver = metadata_driver(core->metadata);

	dump_object(out, "auth");
	auth_describe(core->auth, out);
	dump_end(out);
	dump_object(out, "metadata");
	metadata_describe(core->metadata, out);
	dump_end(out);
	dump_object(out, "storage");
	storage_describe(core->storage, rq, out);
	dump_end(out);
	if (!driver->ops->describe)
		return;
	dump_object(out, "driver");
	driver->ops->describe(driver, out);
	dump_end(out);
}
