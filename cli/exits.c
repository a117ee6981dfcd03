/* cli/exits.c: what each exit status means, in general, and what it means of one command. */
#include <string.h>

#include "cli/cli.h"

const struct cli_exit_row cli_exits[] = {
    {CLI_OK, "success; dry run; nothing matched"},
    {CLI_NO, "the answer is no: refused, not ready, none delivered"},
    {CLI_PARTIAL, "partial: some were delivered, some were not"},
    {CLI_NOT_FOUND, "no such id or name"},
    {CLI_USAGE, "wrong usage, or a confirmation is missing"},
    {CLI_DATA, "input data is malformed"},
    {CLI_NO_INPUT, "input file is missing"},
    {CLI_UNREACHABLE, "the daemon cannot be reached"},
    {CLI_INTERNAL, "internal error"},
    {CLI_CANNOT_CREATE, "output cannot be created, or the disk is full"},
    {CLI_IO, "input or output error"},
    {CLI_LATER, "try later: not done in time, busy, or it waits for webhookd to start"},
    {CLI_DENIED, "not permitted"},
    {CLI_CONFIG, "the configuration is invalid"},
    {CLI_INTERRUPTED, "interrupted (^C); a job that runs goes on"},
    {CLI_PIPE, "the reader of the output went away"},
    {0, NULL},
};

#define SENDS "dlq replay,delivery resend"

/* commands: by commas; a noun alone stands for all of its verbs. The first row that fits holds. */
static const struct {
    const char *commands;
    int code;
    const char *meaning;
} rows[] = {
    {SENDS, CLI_OK, "all were delivered; or --dry-run, --detach, or nothing matched"},
    {SENDS, CLI_NO, "none was delivered, or none can be sent"},
    {SENDS, CLI_PARTIAL, "some were delivered, some were not"},
    {SENDS, CLI_LATER, "not over in --wait, paused, another job active, or no webhookd runs"},
    {SENDS, CLI_INTERRUPTED, "^C: at the question nothing was sent; later the job goes on"},
    {"job watch", CLI_OK, "all that it took was done (of a replay: was delivered)"},
    {"job watch", CLI_NO, "nothing of it was done (of a replay: was delivered)"},
    {"job watch", CLI_PARTIAL, "some was done, some was not"},
    {"job watch", CLI_LATER, "not over within --wait, paused by somebody, or no webhookd runs"},
    {"job watch", CLI_INTERRUPTED, "^C: no longer watched; the job goes on"},
    {"job pause,job resume,job cancel,job set-rate", CLI_NO,
     "its kind or its state does not allow it"},
    {"dlq purge", CLI_OK, "all were purged; or --dry-run, --detach, or nothing matched"},
    {"dlq restore", CLI_OK, "all came back; or --dry-run, or --detach"},
    {"delivery discard", CLI_OK, "all were discarded; or --dry-run, --detach, or nothing matched"},
    {"dlq purge", CLI_NO, "none was purged"},
    {"dlq restore", CLI_NO, "none came back: too late, or nothing is left of it"},
    {"delivery discard", CLI_NO, "none was discarded"},
    {"dlq purge", CLI_PARTIAL, "some were purged, some were gone already"},
    {"dlq restore", CLI_PARTIAL, "some came back, some could not"},
    {"delivery discard", CLI_PARTIAL, "some were discarded, some were over already"},
    {"dlq purge", CLI_USAGE, "wrong usage, or --confirm=N is missing or another number"},
    {"dlq purge,delivery discard", CLI_INTERRUPTED,
     "^C: at the question nothing was changed; later the job goes on"},
    {"dlq restore", CLI_INTERRUPTED, "^C: no longer watched; the job goes on"},
    {"dlq purge", CLI_LATER,
     "not over within --wait, paused, or a replay is at work on these letters"},
    {"dlq restore,delivery discard", CLI_LATER, "not over within --wait, paused, or busy"},
    {"dlq export", CLI_OK, "all that match were written, if any"},
    {"dlq export", CLI_CANNOT_CREATE,
     "the file cannot be made or holds something, or the disk is full"},
    {"dlq export", CLI_INTERRUPTED, "^C: a file that was begun is removed"},
    {"dlq import", CLI_OK, "all lines were taken, or known already"},
    {"dlq import", CLI_DATA, "a line is no dead letter: it is named; the good ones are taken"},
    {"dlq import", CLI_INTERRUPTED, "^C: what was taken so far stays"},
    {"dlq show", CLI_NO, "what was asked for is not stored (any more)"},
    {"dlq note", CLI_OK, "the note is written"},
    {"dlq note", CLI_NO, "refused"},
    {"subscription add,partner add", CLI_OK, "it is there now"},
    {"subscription add,subscription set,partner add", CLI_NO, "the name is taken"},
    {"subscription test", CLI_OK, "the endpoint took the test event; or --dry-run, --detach"},
    {"subscription test", CLI_NO, "it did not: the answer is shown"},
    {"subscription test", CLI_INTERRUPTED, "^C: not waited for any more"},
    {"subscription test", CLI_LATER, "no answer within --wait, or no webhookd runs"},
    {"subscription delete", CLI_INTERRUPTED, "^C at the question: nothing was changed"},
    {"subscription", CLI_NO, "its state does not allow it"},
    {"event emit", CLI_OK, "it is stored; with --wait: all were delivered"},
    {"event emit", CLI_NO, "the id was seen with other content; with --wait: none was delivered"},
    {"event emit", CLI_PARTIAL, "with --wait: some were delivered"},
    {"event emit", CLI_DATA, "the event is not one: payload, id, partner, size"},
    {"event emit", CLI_LATER, "stored, but not over within --wait; or busy"},
    {"event trace", CLI_INTERRUPTED, "^C ended -f"},
    {"attempt show", CLI_NO, "no body of an answer is stored"},
    {"attempt tail", CLI_OK, "never: it goes on until ^C"},
    {"attempt tail,stats,monitor,top", CLI_INTERRUPTED, "^C ended it"},
    {"outbox init", CLI_OK, "the table is there"},
    {"outbox init", CLI_NO, "there is a table of that name that is no outbox"},
    {"outbox check", CLI_OK, "it is fit"},
    {"outbox check", CLI_NO, "it is not: why, and the fix, is said"},
    {"outbox rejects retry", CLI_OK, "all were accepted"},
    {"outbox rejects retry", CLI_NO, "none was accepted: refused again"},
    {"outbox rejects retry", CLI_PARTIAL, "some were accepted"},
    {"outbox rejects purge", CLI_OK, "all were forgotten"},
    {"outbox rejects purge", CLI_NO, "none was forgotten"},
    {"outbox rejects purge", CLI_PARTIAL, "some were forgotten"},
    {"outbox rejects purge", CLI_INTERRUPTED, "^C at the question: nothing was changed"},
    {"status", CLI_OK, "webhookd is ready"},
    {"status", CLI_NO, "webhookd runs and is not ready"},
    {"status", CLI_UNREACHABLE, "no webhookd runs, or it does not answer"},
    {"monitor,top", CLI_NO, "webhookd refused to answer"},
    {"config check", CLI_OK, "it is valid"},
    {"config check", CLI_CONFIG, "it is not: every mistake is named"},
    {"config diff", CLI_OK, "no difference"},
    {"config diff", CLI_NO, "they differ"},
    {"config reload", CLI_OK, "taken over (with --dry-run: it could be)"},
    {"config reload", CLI_NO, "refused, and all stays: the file is wrong, or needs a restart"},
    {"doctor", CLI_OK, "nothing is wrong; warnings are possible"},
    {"doctor", CLI_NO, "something is wrong: what, and the fix, is said"},
    {"doctor", CLI_DENIED, "not permitted to look at all of it; nothing is wrong with the rest"},
    {"db check", CLI_OK, "the store is sound"},
    {"db check", CLI_NO, "it is not"},
    {"db check", CLI_INTERRUPTED, "^C: not checked to the end"},
    {"db backup", CLI_OK, "the copy is there"},
    {"db backup", CLI_NO, "--verify: the copy is not sound, and is removed"},
    {"db backup", CLI_CANNOT_CREATE, "FILE is there already, cannot be made, or the disk is full"},
    {"db backup", CLI_INTERRUPTED, "^C: what was begun is removed"},
    {"egress check", CLI_OK, "it would be dialled"},
    {"egress check", CLI_NO, "it would be refused"},
    {"egress pause", CLI_INTERRUPTED, "^C at the question: nothing was changed"},
    {"egress pause,egress resume", CLI_NO, "refused"},
};

static bool is_among(const char *commands, const char *words)
{
    while (*commands) {
        size_t n = strcspn(commands, ",");

        if (strncmp(commands, words, n) == 0 && (words[n] == '\0' || words[n] == ' '))
            return true;
        commands += n + (commands[n] == ',');
    }
    return false;
}

const char *cli_exit_of(const char *words, int code)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].code == code && is_among(rows[i].commands, words))
            return rows[i].meaning;
    }
    return NULL;
}
