/* engine/http_answer.h: how a request is answered; then it is not ours any more. */
#ifndef ENGINE_HTTP_ANSWER_H
#define ENGINE_HTTP_ANSWER_H

#include <stddef.h>

#include "engine/api.h"

struct evhttp_request;

void http_answer(struct evhttp_request *req, int status, const char *type, const void *body,
                 size_t n);
void http_answer_text(struct evhttp_request *req, int status, const char *text);
void http_answer_response(struct evhttp_request *req, const struct api_response *resp);
/* The api's error object. */
void http_answer_fail(struct evhttp_request *req, int status, const char *code,
                      const char *message);

#endif
