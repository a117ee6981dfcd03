/* cli/failure.c: see failure.h. */
#include "cli/failure.h"

#include <string.h>

#include "base/buf.h"
#include "cli/out.h"
#include "cli/shell.h"

#define LINE_MAX_BYTES 65536
#define COMMAND_COLUMN 50 /* where the reasons begin, if the command lets them */

#define SUB_TEST                                                                                   \
    {                                                                                              \
        "sub test %s", "is it mended?"                                                             \
    }
#define SUB_PAUSE                                                                                  \
    {                                                                                              \
        "sub pause %s", "so that no more die meanwhile"                                            \
    }
#define SUB_URL(why)                                                                               \
    {                                                                                              \
        "sub set %s --url URL", why                                                                \
    }
#define SUB_RATE                                                                                   \
    {                                                                                              \
        "sub set %s --rate N/s", "slower"                                                          \
    }

/* The first that fits. */
static const struct failure table[] = {
    {300,
     399,
     NULL,
     true,
     "they moved: no redirect is followed. Location in their answer says where to",
     {SUB_URL("where that is meant"), SUB_PAUSE}},
    {401,
     401,
     NULL,
     true,
     "they refuse our signature or token. Compare the secret with the partner",
     {{"sub rotate-secret %s", "a new secret; the old one signs too for a day"},
      {"sub set %s --bearer-file FILE", "a new token"},
      SUB_PAUSE}},
    {403,
     403,
     NULL,
     true,
     "they refuse our signature, our token or our address. Compare the secret with the partner",
     {{"sub rotate-secret %s", "a new secret; the old one signs too for a day"},
      {"sub set %s --bearer-file FILE", "a new token"},
      SUB_PAUSE}},
    {404,
     404,
     NULL,
     true,
     "they have nothing at this URL",
     {SUB_URL("where it should be"), SUB_TEST, SUB_PAUSE}},
    {405,
     405,
     NULL,
     true,
     "they take no POST at this URL",
     {SUB_URL("where it should be"), SUB_TEST, SUB_PAUSE}},
    {410,
     410,
     NULL,
     true,
     "it is gone for good, they say; webhookd sends nothing more there",
     {SUB_URL("where it is now; then sub enable"),
      {"delivery discard -s %s", "gives up what waits"},
      {"sub delete %s", "where they want no more"}}},
    {413,
     413,
     NULL,
     true,
     "it is too large for them. They must take more, or the producer send less",
     {{"dlq list -s %s --status 413", "those that were"}}},
    {408, 408, NULL, false, "they gave up waiting for the request", {SUB_TEST, SUB_RATE}},
    {425, 425, NULL, false, "they want it later", {SUB_TEST}},
    {429,
     429,
     NULL,
     false,
     "we send faster than they take it",
     {SUB_RATE, {"sub set %s --concurrency N", "fewer at a time"}}},
    {400,
     499,
     NULL,
     true,
     "they refuse what we send. Their answer may say why; ask the partner",
     {SUB_TEST, SUB_PAUSE}},
    {503, 503, NULL, false, "they are down, or overloaded", {SUB_TEST, SUB_RATE}},
    {500,
     599,
     NULL,
     false,
     "their side is broken. Their answer may say why",
     {SUB_TEST, SUB_PAUSE}},
    {0,
     0,
     "timeout",
     false,
     "they did not answer in time",
     {SUB_TEST,
      {"sub set %s --timeout 30s", "longer"},
      {"sub set %s --concurrency N", "fewer at a time"}}},
    {0,
     0,
     "dns",
     false,
     "its name is not found: a mistake in the URL, theirs, or of this machine's name server",
     {{"doctor %s", "looks from here"}, SUB_URL("where it is wrong")}},
    {0,
     0,
     "connect",
     false,
     "nothing takes the connection: they are down, or a firewall is on the way",
     {{"doctor %s", "looks from here"}, SUB_URL("where it is wrong")}},
    {0,
     0,
     "tls",
     false,
     "no trust: mostly their certificate has expired, or is of another name",
     {{"doctor %s", "shows their certificate"}, SUB_PAUSE}},
    {0, 0, "reset", false, "they broke the connection off", {SUB_TEST, SUB_RATE}},
    {0,
     0,
     "blocked",
     true,
     "webhookd may not dial it: egress of webhookd.conf",
     {{"config show --origin", "what is allowed"},
      {"config reload", "after a CIDR in egress.allow"},
      SUB_URL("where it is wrong")}},
    {0, 0, "internal", false, "webhookd itself was in trouble", {{"doctor", "says with what"}}},
};

const struct failure *failure_of(int64_t status, const char *outcome)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct failure *f = &table[i];

        if (f->outcome != NULL ? status <= 0 && outcome != NULL && strcmp(outcome, f->outcome) == 0
                               : status >= f->status_min && status <= f->status_max)
            return f;
    }
    return NULL;
}

/* The %s of a command of the table. */
static void command_put(struct buf *out, const char *command, const char *subscription)
{
    const char *at = strstr(command, "%s");

    buf_adds(out, "      webhookctl ");
    buf_add(out, command, at != NULL ? (size_t)(at - command) : strlen(command));
    if (at == NULL)
        return;
    shell_word(out, subscription != NULL ? subscription : "NAME");
    buf_adds(out, at + strlen("%s"));
}

void failure_say(FILE *to, int64_t status, const char *outcome, const char *subscription)
{
    const struct failure *f = failure_of(status, outcome);
    struct buf line;

    if (f == NULL)
        return;
    (void)out_flush(); /* in order with standard output on a terminal */
    buf_init(&line, LINE_MAX_BYTES);
    if (status > 0)
        buf_addf(&line, "%lld: %s.", (long long)status, f->means);
    else
        buf_addf(&line, "%s: %s.", outcome, f->means);
    out_line(to, line.data);
    for (int i = 0; i < FAILURE_HINTS && f->hints[i].command != NULL; i++) {
        buf_clear(&line);
        command_put(&line, f->hints[i].command, subscription);
        if (f->hints[i].why != NULL) {
            while (line.len < COMMAND_COLUMN)
                buf_addc(&line, ' ');
            buf_addf(&line, "  %s", f->hints[i].why);
        }
        out_line(to, line.data);
    }
    buf_fini(&line);
}
