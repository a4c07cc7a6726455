/* data_uploads.h: what ls and rm do with --uploads. */
#ifndef CLIENTS_CLI_DATA_UPLOADS_H
#define CLIENTS_CLI_DATA_UPLOADS_H

#include "data.h"

/* Of what the path names, in that bucket. False: `error`. */
bool data_uploads_list(struct data *d, const char *bucket);
bool data_uploads_remove(struct data *d);

#endif
