/* cli/ids.h: ids that somebody typed short. */
#ifndef CLI_IDS_H
#define CLI_IDS_H

#include "base/id.h"
#include "cli/cli.h"

/* Where one delivery's id alone begins with "dlv_01N8D3": out is it whole; "" where ref is no short
 * id (whole already, a name). Where a delivery is meant an event's id may be short likewise. At a terminal only; 0, or 4 or 64 with a message:
 * nobody's, several's (some are named), or in a script. prefix: dlv, job, sub or rej, whichever is
 * meant here; from six characters behind the underscore on. Of an attempt ("dlv_…/4", as attempt
 * list prints it), anywhere, out is its delivery. */
enum { IDS_MAX = 130 };
int ids_whole(struct cli *cli, const char *prefix, const char *ref, char out[IDS_MAX]);
/* "dlv_…/4" is an attempt of the delivery out; false: ref has another form, out stays as it is. */
bool ids_of_attempt(const char *ref, char out[IDS_MAX]);

#endif
