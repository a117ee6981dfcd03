/* cli/help_topics.c: webhookctl help TOPIC: a page about what all commands have in common, and the
 * tables themselves for programs that make documents of them. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/help.h"

static const char text_filters[] =
    "Filters choose dead letters, deliveries and attempts, in all commands alike.\n"
    "Different flags narrow the set; one given twice, or with commas, widens it:\n"
    "  webhookctl dlq list -s acme-settle -s globex-fills --status 5xx --since 3h\n"
    "An event's id stands for all of its deliveries. What changes something needs ids,\n"
    "a filter or --all; --dry-run shows what it would take.\n";
static const char text_replay[] =
    "A replay sends dead letters again: the same webhook-id, the same body, signed\n"
    "anew, with a fresh budget of retries.\n"
    "\n"
    "  webhookctl dlq summary                    whose are dead, and why\n"
    "  webhookctl dlq show ID                    what the endpoint answered\n"
    "  webhookctl dlq replay -s NAME --dry-run   how many, of which types, how long\n"
    "  webhookctl dlq replay -s NAME --rate 5/s  asks, then sends five a second\n"
    "\n"
    "First one letter goes alone (--canary), then the rest at the rate. The replay stops\n"
    "if the first 5 fail, or later more than 50% of the last 20 (--stop-at). What was not\n"
    "sent stays dead: job resume sends it. What died again: dlq replay --job ID. Live\n"
    "deliveries that are due when a letter's turn comes go first, at the subscription's\n"
    "own rate; --rate slows the replay alone.\n"
    "\n"
    "It runs in webhookd, as a job. Ctrl-C only stops looking: the job goes on, also\n"
    "after a restart. job watch ID comes back to it; job set-rate, job pause, job resume\n"
    "and job cancel steer it; job list finds it again. What arrived is counted, not\n"
    "what was tried: it ends with how many were delivered and how many died again,\n"
    "and with status 0 all, 3 some, 1 none. webhookctl delivery list --job ID names\n"
    "each of them. Without --yes it asks on a terminal and refuses elsewhere.\n"
    "\n"
    "--to URL sends copies to an endpoint of your own and leaves the letters dead: each\n"
    "once, signed as always, without the bearer token and custom headers.\n"
    "A letter whose event has expired is left out unless --ignore-expiry is given.\n"
    "One subscription has one active job: a second one gets status 75.\n";
static const char text_times[] =
    "--since and --until take\n"
    "  2h  90s  3d        that long ago (units: ms s m h d)\n"
    "  now  today         this moment; 00:00 UTC of this day (yesterday: of the one before)\n"
    "  18:55  18:55:07    the last time it was that on your clock (TZ)\n"
    "  2026-11-22         00:00 UTC of that day\n"
    "  2026-11-22T05:00:00Z, 2026-11-22T06:00:00.000+01:00    RFC 3339\n"
    "  2026-11-22T06:00:00  2026-11-22T06:00    without an offset: on your clock (TZ)\n"
    "--since is inclusive, --until is not. For dead letters both look at the time of\n"
    "death, for attempts at their start, elsewhere at the time of creation.\n"
    "\n"
    "On a terminal a list shows how long ago something was, and single screens the\n"
    "time of day in the zone of TZ. Elsewhere, and in JSON everywhere, times are RFC\n"
    "3339 in UTC with milliseconds. --utc gives that on a terminal too, --local the\n"
    "same with the local offset.\n"
    "\n"
    "Durations (--wait, --for, --overlap, --timeout) are a whole number and one unit:\n"
    "500ms 10s 5m 24h 30d.\n";
static const char text_ids[] =
    "evt_...  an event; a producer's own id is used where it gave one\n"
    "dlv_...  a delivery: an event on its way to one subscription\n"
    "sub_...  a subscription, which has a unique name too\n"
    "job_...  a replay, purge or other work of webhookd on many letters\n"
    "rej_...  an outbox row that was refused\n"
    "dlv_.../3  the third attempt of that delivery, as attempt list prints it; where a\n"
    "          delivery is wanted its delivery is meant\n"
    "\n"
    "A dead letter is a delivery that is dead: it keeps its dlv_ id. Wherever the id of\n"
    "a delivery is wanted, an event's id means all of its deliveries. The receiver\n"
    "knows the event's id: it is the webhook-id of every attempt and every replay.\n"
    "\n"
    "At a terminal an id may be typed short, where only one begins like it: six\n"
    "characters (behind the _) or more.\n"
    "\n"
    "-q prints ids alone, one a line, and --ids-from - reads them:\n"
    "  webhookctl dlq list -q --status 503 > ids; vi ids\n"
    "  webhookctl dlq replay --ids-from ids\n";
static const char text_json[] =
    "-o json   one JSON document; a list is {\"items\":[...],\"next_cursor\":null|\"...\"}\n"
    "          of 50, or as --limit and --all say; next_cursor null: that was the whole\n"
    "          (else --limit N, --all or -o jsonl have the rest: no flag takes a cursor)\n"
    "-o jsonl  one item a line, as many as there are, in constant memory\n"
    "-o id     one id a line, for xargs and --ids-from -\n"
    "\n"
    "Standard output is data, standard error is for people. Members may be added,\n"
    "never taken away; what is unknown is null, never missing. Times are RFC 3339 UTC\n"
    "with milliseconds, durations end in _seconds (a number), sizes in _bytes;\n"
    "enumerations are lower snake case. Every shape has a JSON Schema in docs/schema,\n"
    "and docs/schema/commands.json says which command prints which.\n"
    "\n"
    "Errors go to standard error, with -o json as {\"error\":{\"code\",\"message\",...}}:\n"
    "branch on the exit status or on code, never on the message.\n";
static const char text_environment[] =
    "WEBHOOKD_CONFIG  the configuration file where -c is not given (without both:\n"
    "                 /etc/webhookd/webhookd.conf)\n"
    "NO_COLOR         not empty: nothing is coloured (--color always overrules it)\n"
    "TERM             dumb: no colours, nothing is drawn over\n"
    "TZ               the zone of the times on a terminal and of --local\n"
    "\n"
    "Standard output and standard error are judged apart: each is coloured, and cut to\n"
    "the terminal's width, only where it is a terminal itself. In a pipe a table is\n"
    "whole, whatever its width. Progress is drawn on a terminal and told in lines\n"
    "elsewhere. Nothing is asked where standard input is no terminal, or with\n"
    "--no-input: the message then names the flag that would have been the answer.\n"
    "\n"
    "What came from a partner (answers, headers, URLs, payloads) is escaped wherever\n"
    "it is shown: no byte of it can move the cursor or pretend to be something else.\n";
static const char text_columns[] =
    "A list is a table. On a terminal it is cut to the terminal's width, with … where\n"
    "something is missing, and columns at the end are left out where it is too narrow\n"
    "(which is said). In a pipe it is whole.\n"
    "\n"
    "  --columns A,B   these columns, in this order; a name is the heading or the\n"
    "                  JSON member, in lower case, with - for a blank: last-died\n"
    "  --no-headers    without the first line\n"
    "\n"
    "  webhookctl dlq list --all --columns event,cause --no-headers | sort -k2\n"
    "\n"
    "A wrong name is answered with the names that are there. For programs -o jsonl is\n"
    "the better way (webhookctl help json).\n";

static const char text_backup[] =
    "A backup is a copy of the store, made beside live traffic or without it:\n"
    "\n"
    "  webhookctl db backup /backup/webhookd.db --verify\n"
    "\n"
    "Keep the key file (store.encryption_key_file) too, and apart from it: secrets and\n"
    "dead letters are sealed with it; without it they are lost.\n"
    "\n"
    "To restore one, with the paths of your configuration:\n"
    "\n"
    "  systemctl stop webhookd\n"
    "  rm -f /var/lib/webhookd/webhookd.db-wal /var/lib/webhookd/webhookd.db-shm\n"
    "  install -o webhookd -g webhookd -m 600 /backup/webhookd.db \\\n"
    "          /var/lib/webhookd/webhookd.db\n"
    "  webhookctl db check\n"
    "  systemctl start webhookd\n"
    "\n"
    "The log and its index (-wal, -shm) belong to the file that was there: beside\n"
    "another one they would damage it.\n"
    "\n"
    "Whatever was open when the backup was made is sent again, with the webhook-id it\n"
    "had: receivers drop what they know. Rows that are still in a producer's outbox\n"
    "and are newer than the backup are taken again; what was trimmed since is gone. To\n"
    "look before anything is sent: webhookctl egress pause, before the start.\n";

static void print_flags(FILE *to)
{
    fputs("Every command takes these; they may stand anywhere, and -- ends them:\n", to);
    help_flags(to, FLAGS_GLOBAL);
}

static void print_filters(FILE *to)
{
    help_flags(to, HELP_FILTERS);
}

static void print_commands(FILE *to)
{
    help_commands(to, "");
}

static void print_exits(FILE *to)
{
    for (size_t i = 0; cli_exits[i].meaning; i++) {
        char code[8];

        snprintf(code, sizeof code, "%d", cli_exits[i].code);
        help_entry(to, 5, code, cli_exits[i].meaning);
    }
}

/* The whole table as Markdown. */
static void print_reference(FILE *to)
{
    for (size_t i = 0; i < commands_n; i++) {
        const struct command *c = &commands_table[i];

        fprintf(to, "### webhookctl %s%s%s\n\n%s\n\n", c->words, *c->args ? " " : "", c->args,
                c->help);
        for (size_t k = 0; k < FLAGS; k++) {
            const struct flag *f = &flags_table[k];

            if (c->flags & FLAG_BIT(k))
                fprintf(to, "- `--%s%s%s`: %s\n", f->name, f->value ? " " : "",
                        f->value ? f->value : "", f->help);
        }
        fprintf(to, "%s    %s\n\nExit status: %s\n\n", c->flags ? "\n" : "", c->example, c->exits);
    }
}

static json_t *words_array(const char *words)
{
    json_t *out = json_array();
    char word[64];

    for (size_t n = 0; args_word(words, n, word, sizeof word); n++)
        json_array_append_new(out, json_string(word));
    return out;
}

static json_t *rows_exits(void)
{
    json_t *out = json_array();

    for (size_t i = 0; cli_exits[i].meaning; i++)
        json_array_append_new(out, json_pack("{s:i,s:s}", "code", cli_exits[i].code, "meaning",
                                             cli_exits[i].meaning));
    return out;
}

static json_t *rows_flags(void)
{
    json_t *out = json_array();

    for (size_t i = 0; i < FLAGS; i++) {
        const struct flag *f = &flags_table[i];
        char letter[2] = {f->letter, '\0'};

        json_array_append_new(
            out, json_pack("{s:s,s:s?,s:s?,s:b,s:o,s:b,s:s}", "flag", f->name, "letter",
                           f->letter ? letter : NULL, "value", f->value, "repeatable", f->many,
                           "words", f->words ? words_array(f->words) : json_null(), "global",
                           (FLAGS_GLOBAL & FLAG_BIT(i)) != 0, "help", f->help));
    }
    return out;
}

static json_t *rows_commands(void)
{
    json_t *out = json_array();

    for (size_t i = 0; i < commands_n; i++) {
        const struct command *c = &commands_table[i];
        json_t *flags = json_array(), *values = json_object(), *exits = json_array();
        char code[8];

        for (size_t k = 0; k < FLAGS; k++) {
            const char *value = flags_table[k].value;

            if (!(c->flags & FLAG_BIT(k)))
                continue;
            json_array_append_new(flags, json_string(flags_table[k].name));
            json_object_set_new(values, flags_table[k].name,
                                value != NULL ? json_string(value) : json_null());
        }
        for (size_t n = 0; args_word(c->exits, n, code, sizeof code); n++)
            json_array_append_new(exits, json_integer(strtol(code, NULL, 10)));
        json_array_append_new(
            out, json_pack("{s:s,s:s,s:i,s:o,s:o,s:o,s:o,s:s,s:s}", "command", c->words, "args",
                           c->args, "args_min", c->args_min, "args_max",
                           c->args_max == COMMAND_ANY ? json_null() : json_integer(c->args_max),
                           "flags", flags, "values", values, "exits", exits, "help", c->help,
                           "example", c->example));
    }
    return out;
}

const struct help_topic help_topics[] = {
    {"replay", "sending dead letters again, from the first look to the proof", text_replay, NULL,
     NULL},
    {"filters", "how dead letters, deliveries and events are chosen", text_filters, print_filters,
     NULL},
    {"ids", "what the prefixes mean, and how ids travel from one command to another", text_ids,
     NULL, NULL},
    {"times", "how times are typed and shown", text_times, NULL, NULL},
    {"columns", "tables, and which columns they have", text_columns, NULL, NULL},
    {"backup", "copying the store, and putting a copy back", text_backup, NULL, NULL},
    {"json", "output for programs", text_json, NULL, NULL},
    {"exit-codes", "what each exit status means", NULL, print_exits, rows_exits},
    {"environment", "variables, terminals and pipes", text_environment, NULL, NULL},
    {"flags", "what every command takes", NULL, print_flags, rows_flags},
    {"commands", "every command in one line", NULL, print_commands, rows_commands},
    {"reference", "every command with its flags, as Markdown", NULL, print_reference, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const struct help_topic *help_topic_find(const char *name)
{
    for (size_t i = 0; help_topics[i].name; i++) {
        if (strcmp(help_topics[i].name, name) == 0)
            return &help_topics[i];
    }
    return NULL;
}

bool help_topic_print(FILE *to, const char *topic)
{
    const struct help_topic *t = help_topic_find(topic);

    if (t == NULL)
        return false;
    if (t->text != NULL)
        help_text(to, t->text);
    if (t->print != NULL)
        t->print(to);
    return true;
}

json_t *help_topic_json(const struct help_topic *topic)
{
    char *text = NULL;
    size_t n;

    if (topic->rows != NULL)
        return json_pack("{s:o,s:n}", "items", topic->rows(), "next_cursor");
    FILE *to = open_memstream(&text, &n);

    if (to != NULL) {
        help_topic_print(to, topic->name);
        fclose(to);
    }
    json_t *out = json_pack("{s:s,s:s,s:s}", "topic", topic->name, "about", topic->about, "text",
                            text ? text : "");

    free(text);
    return out;
}
