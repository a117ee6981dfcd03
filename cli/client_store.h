/* cli/client_store.h: where no daemon listens, its handler runs in this process over the store itself, as the
 * store's owner. For client.c alone. */
#ifndef CLI_CLIENT_STORE_H
#define CLI_CLIENT_STORE_H

#include "cli/client.h"

struct keyring; /* store/seal.h */

/* OK: answered. ERR_BUSY: another process holds the store. *keys: loaded where it is NULL. */
enum err_code client_ask_store(struct cli *cli, struct keyring **keys,
                               const struct client_request *r, struct answer *out, struct err *err);

#endif
