/* engine/api_request.h: the request of a delivery, for people to read: as an attempt sent it, or as it
 * would be sent now. For api_*.c alone. */
#ifndef ENGINE_API_REQUEST_H
#define ENGINE_API_REQUEST_H

#include "engine/api_impl.h"

/* "request": as attempt n sent it, signatures and secrets masked; null where the subscription (NULL) or
 * the payload is gone. */
void put_request_sent(struct api_call *c, const struct event_rec *e, const char *url,
                      const struct subscription *s, int n, int64_t sent_ms);
/* "request_now": as attempt n would send it, signed anew. A signature is good for this one request;
 * what is a secret by itself (a bearer token, custom headers) stays masked. */
void put_request_now(struct api_call *c, const struct event_rec *e, const struct subscription *s,
                     int n);

#endif
